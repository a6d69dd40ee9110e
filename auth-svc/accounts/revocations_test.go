package accounts

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

func TestRevocationsAreBounded(t *testing.T) {
	t.Parallel()
	clock := svctest.NewClock()
	r := newRevocations(clock.Now)
	old := &token.Claims{ID: "other", IssuedAt: clock.Now()}
	fill := func(name string, n int) {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = name + strconv.Itoa(i)
		}
		r.add(ids...)
	}
	fill("first", revocationsMax/4)
	clock.Advance(tokenLife + time.Second)
	fill("second", revocationsMax)
	require.False(t, r.has(old), "what no token can have outlived is forgotten first")
	require.True(t, r.has(&token.Claims{ID: "second0", IssuedAt: clock.Now()}))

	fill("third", revocationsMax/2)
	require.LessOrEqual(t, len(r.ended), revocationsMax)
	require.True(t, r.has(old), "past the bound, tokens issued before are refused")
	require.True(t, r.has(&token.Claims{ID: "third0", IssuedAt: clock.Now()}))
	clock.Advance(time.Second)
	require.False(t, r.has(&token.Claims{ID: "fresh", IssuedAt: clock.Now()}))
}
