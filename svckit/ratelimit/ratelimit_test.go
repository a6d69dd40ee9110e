package ratelimit_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chatplatform.io/svckit/ratelimit"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// frozen is a clock that moves by hand alone.
type frozen struct{ now time.Time }

func (f *frozen) Now() time.Time { return f.now }

func TestTake(t *testing.T) {
	t.Parallel()
	clock := &frozen{time.Unix(1_000_000, 0)}
	l := ratelimit.New(2, 3, 10, clock.Now)
	take := func(key string) time.Duration {
		wait, ok := l.Take(key)
		require.Equal(t, ok, wait == 0)
		return wait
	}
	for range 3 {
		require.Zero(t, l.Wait("a"))
		require.Zero(t, take("a"), "a burst passes")
	}
	require.Equal(t, 500*time.Millisecond, take("a"))
	require.Equal(t, 500*time.Millisecond, take("a"), "a refusal spends nothing")
	require.Equal(t, 500*time.Millisecond, l.Wait("a"))
	require.Zero(t, take("b"), "each key has its own")

	clock.now = clock.now.Add(499 * time.Millisecond)
	require.Equal(t, time.Millisecond, take("a"))
	clock.now = clock.now.Add(time.Millisecond)
	require.Zero(t, take("a"))
	require.Equal(t, 500*time.Millisecond, take("a"))
	clock.now = clock.now.Add(time.Hour)
	for range 3 {
		require.Zero(t, take("a"), "rest refills the burst and no more")
	}
	require.NotZero(t, take("a"))
	clock.now = clock.now.Add(-time.Hour)
	require.LessOrEqual(t, take("b"), 2*time.Hour, "a clock that is set back locks nobody out for ever")
}

func TestABurstOfNoneIsOne(t *testing.T) {
	t.Parallel()
	clock := &frozen{time.Unix(1_000_000, 0)}
	l := ratelimit.New(1, 0, 10, clock.Now)
	_, ok := l.Take("a")
	require.True(t, ok)
	_, ok = l.Take("a")
	require.False(t, ok)
}

func TestSeveralAtOnce(t *testing.T) {
	t.Parallel()
	clock := &frozen{time.Unix(1_000_000, 0)}
	l := ratelimit.New(1, 10, 10, clock.Now)
	refused := func(n int, wait time.Duration) {
		t.Helper()
		require.Equal(t, wait, l.WaitN("a", n))
		is, ok := l.TakeN("a", n)
		require.False(t, ok)
		require.Equal(t, wait, is)
	}
	passes := func(n int) {
		t.Helper()
		require.Zero(t, l.WaitN("a", n))
		_, ok := l.TakeN("a", n)
		require.True(t, ok)
	}
	passes(6)
	refused(5, time.Second)
	passes(4)
	refused(1, time.Second)
	refused(25, 10*time.Second)
	clock.now = clock.now.Add(10 * time.Second)
	passes(25)
	refused(1, 16*time.Second)
	clock.now = clock.now.Add(16 * time.Second)
	passes(1)
}

func TestRacersShareOneBurst(t *testing.T) {
	t.Parallel()
	l := ratelimit.New(0.001, 50, 10, time.Now)
	var passed atomic.Int64
	var racing sync.WaitGroup
	for range 8 {
		racing.Go(func() {
			for range 100 {
				if _, ok := l.Take("a"); ok {
					passed.Add(1)
				}
			}
		})
	}
	racing.Wait()
	require.EqualValues(t, 50, passed.Load())
}

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	l := ratelimit.New(0.001, 1, 100, svctest.NewClock().Now)
	const keys = 100_000
	for i := range keys {
		l.Take(strconv.Itoa(i))
	}
	remembered := 0
	for i := range keys {
		if l.Wait(strconv.Itoa(i)) > 0 {
			remembered++
		}
	}
	require.LessOrEqual(t, remembered, 1000)
}
