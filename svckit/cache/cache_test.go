package cache_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chatplatform.io/svckit/cache"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEntriesEnd(t *testing.T) {
	t.Parallel()
	clock := svctest.NewClock()
	c := cache.New[string, int](10, time.Minute, clock.Now)
	_, ok := c.Get("a")
	require.False(t, ok)
	c.Set("a", 1)
	clock.Advance(59 * time.Second)
	c.Set("b", 2)
	value, ok := c.Get("a")
	require.True(t, ok)
	require.Equal(t, 1, value)
	clock.Advance(time.Second)
	_, ok = c.Get("a")
	require.False(t, ok, "after its age")
	value, ok = c.Get("b")
	require.True(t, ok)
	require.Equal(t, 2, value)

	c.Set("b", 3)
	clock.Advance(59 * time.Second)
	value, ok = c.Get("b")
	require.True(t, ok, "a new value has a new age")
	require.Equal(t, 3, value)
	c.Delete("b")
	_, ok = c.Get("b")
	require.False(t, ok)
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := cache.New[string, int](100, time.Hour, time.Now)
	const sets = 100_000
	for i := range sets {
		c.Set(strconv.Itoa(i), i)
	}
	kept := 0
	for i := range sets {
		if _, ok := c.Get(strconv.Itoa(i)); ok {
			kept++
		}
	}
	// The bound is kept shortly after, not within each call.
	require.LessOrEqual(t, kept, 1000)
}
