package polling_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/chat-svc/internal/polling"
)

// shown is how answers write instants.
const shown = "2006-01-02T15:04:05.000Z"

// A world is replicas that share nothing but the time, and one account.
type world struct {
	now      time.Time
	replicas []*polling.Limiter
	load     float64 // of all replicas
	random   func() float64
	newest   time.Time // the instant in the account's newest answer
}

func start() *world {
	return &world{now: time.Unix(1_800_000_000, 123_456), load: 1, random: rand.Float64}
}

func (w *world) replica(settings polling.Settings) *polling.Limiter {
	return polling.New(settings, polling.Deps{
		Load: func() float64 { return w.load }, Now: func() time.Time { return w.now }, Random: w.random,
	})
}

// hear takes an answer as a client reads it: from its headers.
func (w *world) hear(t require.TestingT, v polling.Verdict) {
	next, err := time.Parse(shown, v.Next.UTC().Format(shown))
	require.NoError(t, err)
	wait := next.Sub(w.now)
	require.GreaterOrEqual(t, wait, time.Second, "never sooner than in a second")
	seconds := time.Duration(v.Seconds()) * time.Second
	require.GreaterOrEqual(t, seconds, wait, "whole seconds are rounded up")
	require.Less(t, seconds-wait, time.Second, "and the same wait")
	w.newest = next
}

// poll is one that finds something or nothing; it takes a while to answer.
func (w *world) poll(t *rapid.T, l *polling.Limiter, waits bool) polling.Verdict {
	v := l.Admit("ann", waits)
	if v.Refused {
		w.hear(t, v)
		return v
	}
	most := 3000
	if waits {
		most = 30_000
	}
	w.now = w.now.Add(time.Duration(rapid.IntRange(0, most).Draw(t, "ms until the answer")) * time.Millisecond)
	if waits {
		l.Spend("ann")
	}
	w.hear(t, l.Answer(v, "ann", rapid.Bool().Draw(t, "found")))
	return v
}

func settings(t *rapid.T) polling.Settings {
	least := time.Duration(rapid.IntRange(1000, 5000).Draw(t, "least ms")) * time.Millisecond
	return polling.Settings{
		MinInterval: least, MaxInterval: least + time.Duration(rapid.IntRange(0, 30).Draw(t, "most"))*time.Second,
		Burst: rapid.IntRange(1, 8).Draw(t, "burst"),
	}
}

// Whatever the account did before, whatever the replicas are configured to and
// how busy they become: a poll that comes when the newest answer said is
// served.
func TestWhoKeepsToTheNewestAnswerIsServed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := start()
		w.random = func() float64 { return float64(rand.IntN(2)) * rand.Float64() }
		for range rapid.IntRange(1, 4).Draw(t, "replicas") {
			w.replicas = append(w.replicas, w.replica(settings(t)))
		}
		drawn := func(t *rapid.T) *polling.Limiter { return rapid.SampledFrom(w.replicas).Draw(t, "replica") }
		t.Repeat(map[string]func(*rapid.T){
			"one of its clients keeps to the newest answer": func(t *rapid.T) {
				late := time.Duration(rapid.SampledFrom([]int{0, 0, 1, 700, 60_000}).Draw(t, "late")) * time.Millisecond
				if w.newest.After(w.now) {
					w.now = w.newest
				}
				w.now = w.now.Add(late)
				require.False(t, w.poll(t, drawn(t), rapid.Bool().Draw(t, "waits")).Refused)
			},
			"one waits while another polls": func(t *rapid.T) {
				w.now = w.now.Add(max(0, w.newest.Sub(w.now)))
				waiting := drawn(t)
				v := waiting.Admit("ann", true)
				require.False(t, v.Refused)
				for range rapid.IntRange(0, 5).Draw(t, "polls meanwhile") {
					w.now = w.now.Add(max(0, w.newest.Sub(w.now)))
					require.False(t, w.poll(t, drawn(t), false).Refused)
				}
				waiting.Spend("ann")
				w.hear(t, waiting.Answer(v, "ann", true))
			},
			"a client pays no heed": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "polls") {
					w.poll(t, drawn(t), rapid.Bool().Draw(t, "waits"))
				}
			},
			"a replica is started anew, with other settings": func(t *rapid.T) {
				w.replicas[rapid.IntRange(0, len(w.replicas)-1).Draw(t, "replica")] = w.replica(settings(t))
			},
			"they become busy, or calm": func(t *rapid.T) { w.load = rapid.Float64Range(1, 8).Draw(t, "load") },
		})
	})
}

func usual() polling.Settings {
	return polling.Settings{MinInterval: time.Second, MaxInterval: 30 * time.Second, Burst: 5}
}

func TestABurstIsServedAndThenOnePollASecond(t *testing.T) {
	t.Parallel()
	w := start()
	l := w.replica(usual())
	admitted := func() bool { return !l.Admit("ann", false).Refused }
	for range 5 {
		require.True(t, admitted(), "the burst")
	}
	for range 100 {
		require.False(t, admitted())
		require.True(t, l.Admit("ann", true).Refused, "waiting is no way around")
	}
	require.False(t, l.Admit("bob", false).Refused, "another account is not touched")
	w.now = w.now.Add(time.Second)
	require.True(t, admitted(), "a hundred refusals moved no bucket")
	require.False(t, admitted())
	w.now = w.now.Add(time.Hour)
	for range 5 {
		require.True(t, admitted(), "rest refills the burst")
	}
	require.False(t, admitted(), "and no more")
}

func TestAPollThatWaitsCountsOnceAndWhenItEnds(t *testing.T) {
	t.Parallel()
	w := start()
	l := w.replica(usual())
	for range 100 {
		require.False(t, l.Admit("ann", true).Refused)
	}
	for range 4 {
		l.Spend("ann")
	}
	require.False(t, l.Admit("ann", true).Refused)
	require.False(t, l.Admit("ann", false).Refused, "the fifth")
	require.True(t, l.Admit("ann", false).Refused)
}

func TestAdviceGrowsWhileThereIsNothingAndFallsAtOnce(t *testing.T) {
	t.Parallel()
	w := start()
	l := w.replica(usual())
	w.now = w.now.Add(time.Minute) // past the start
	poll := func(found bool) time.Duration {
		v := l.Answer(l.Admit("ann", false), "ann", found)
		require.False(t, v.Early)
		w.now = v.Next
		return v.Interval
	}
	within := func(base, got time.Duration) {
		t.Helper()
		require.GreaterOrEqual(t, got, base)
		require.LessOrEqual(t, got, base+base/10+time.Millisecond, "a spread of 10 %%, in whole milliseconds")
	}
	base := time.Second
	within(base, poll(true))
	for range 20 {
		base = min(base*3/2, 30*time.Second)
		within(base, poll(false))
	}
	require.Equal(t, 30*time.Second, base)
	within(time.Second, poll(true))
	w.load = 4
	within(4*time.Second, poll(true))
	w.load = 64
	within(30*time.Second, poll(true))
	w.load = 1
	within(time.Second, poll(true))
}

func TestPollingBeforeTheAdviceIsEarly(t *testing.T) {
	t.Parallel()
	w := start()
	l := w.replica(usual())
	first := l.Admit("ann", false)
	require.False(t, first.Early, "nobody told it anything")
	first = l.Answer(first, "ann", true)
	require.True(t, l.Admit("ann", false).Early)
	w.now = first.Next.Add(-1)
	require.True(t, l.Admit("ann", false).Early)
	w.now = first.Next
	require.False(t, l.Admit("ann", false).Early)
}

// After a start everybody comes at once. The first advices send them back over
// one interval, none of its tenths much fuller than another.
func TestAfterAStartAdviceIsSpreadOverOneInterval(t *testing.T) {
	t.Parallel()
	w := start()
	l := w.replica(usual())
	const accounts = 10_000
	tenths := map[int]int{}
	for n := range accounts {
		account := fmt.Sprint(n)
		v := l.Answer(l.Admit(account, false), account, true)
		require.LessOrEqual(t, v.Interval, 2*time.Second+time.Millisecond)
		tenths[int((v.Interval-time.Second)/(100*time.Millisecond))]++
	}
	for tenth := range 10 {
		require.InDelta(t, accounts/10, tenths[tenth], accounts/50, "tenth %d", tenth)
	}
	w.now = w.now.Add(time.Minute)
	v := l.Answer(l.Admit("late", false), "late", true)
	require.LessOrEqual(t, v.Interval, 1100*time.Millisecond+time.Millisecond, "who comes later is not part of it")
}

func TestAccountsAreForgottenBeyondABound(t *testing.T) {
	t.Parallel()
	w := start()
	l := w.replica(usual())
	const accounts = 300_000
	for n := range accounts {
		account := fmt.Sprint(n)
		l.Answer(l.Admit(account, false), account, true)
	}
	remembered := 0
	for n := range accounts {
		if l.Admit(fmt.Sprint(n), true).Early {
			remembered++
		}
	}
	require.LessOrEqual(t, remembered, 150_000)
	require.NotZero(t, remembered)
}

func TestSettingsThatWouldBreakTheContractAreRefused(t *testing.T) {
	t.Parallel()
	require.NoError(t, usual().Check())
	for outcome, change := range map[string]func(*polling.Settings){
		"less than a second":       func(s *polling.Settings) { s.MinInterval = time.Second - 1 },
		"the most below the least": func(s *polling.Settings) { s.MaxInterval = s.MinInterval - 1 },
		"no burst":                 func(s *polling.Settings) { s.Burst = 0 },
	} {
		s := usual()
		change(&s)
		require.ErrorContains(t, s.Check(), "polls", outcome)
	}
}
