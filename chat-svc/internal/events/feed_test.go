package events_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

// history makes n messages of three conversations; changes of a transaction
// share their cluster time.
func history(r *rapid.T, n int) []events.Event {
	var all []events.Event
	at := events.Position{Seconds: 100}
	seqs := [3]int64{}
	for range n {
		if rapid.Bool().Draw(r, "in the same transaction") {
			at.Index++
		} else {
			at = events.Position{Seconds: at.Seconds + rapid.Uint32Range(0, 1).Draw(r, "seconds"), Ordinal: at.Ordinal + 1}
		}
		c := rapid.IntRange(0, 2).Draw(r, "conversation")
		seqs[c]++
		all = append(all, sent(byte(c), seqs[c], at))
	}
	return all
}

// A memory is a listener; it forgets where it is told to.
type memory struct {
	told   []events.Event
	resets int
}

func (m *memory) listen(e events.Event) {
	if e.Position.IsZero() {
		m.told = nil
		m.resets++
		return
	}
	m.told = append(m.told, e)
}

func newFeed(s *script, memory int, listeners ...func(events.Event)) *events.Feed {
	return events.New(events.Options{
		Source: s, Checkpoint: s.checkpoint, Memory: memory, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}, listeners...)
}

// pass lets time pass: that of a bubble, which waits for nobody.
func pass(d time.Duration) { <-time.After(d) }

// following runs a feed in a bubble whose time passes by itself, until do ends.
func following(t *testing.T, f *events.Feed, do func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	do()
	cancel()
	running.Wait()
}

// However a stream is cut into batches, breaks and repeats itself, every
// listener hears every event once and in order.
func TestEveryEventIsAppliedOnceAndInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := &script{all: history(r, rapid.IntRange(1, 30).Draw(r, "events"))}
		s.checkpoint = events.Position{Seconds: 99}
		s.turns = rapid.SliceOfN(rapid.IntRange(-1, 5), 0, 30).Draw(r, "turns")
		s.again = rapid.IntRange(0, 10).Draw(r, "repeated")
		var one, two memory
		var f *events.Feed
		f = newFeed(s, 1<<20, one.listen, two.listen, func(e events.Event) {
			require.Equal(t, e.Position, f.Taken(), "what is read by who heard of it is no older")
			require.True(t, f.Applied().Before(e.Position))
		})
		var upTo events.Position
		synctest.Test(t, func(t *testing.T) {
			following(t, f, func() {
				pass(time.Minute)
				upTo = f.Applied()
			})
		})
		require.Equal(r, s.all, one.told)
		require.Equal(r, s.all, two.told)
		require.Equal(r, s.all[len(s.all)-1].Position, upTo)
		told, ok := f.Between(s.checkpoint, upTo)
		require.True(r, ok)
		require.Equal(r, s.all, told)
		for c := range byte(3) {
			last, known := f.Last(id.Conversation{c})
			n := int64(0)
			for _, e := range s.all {
				if e.Conversation == (id.Conversation{c}) {
					n++
				}
			}
			require.Equal(r, n, last.Seq)
			require.Equal(r, n > 0, known)
		}
	})
}

// A stream that is opened anew in the middle of a transaction's changes goes on
// with the next of them: positions count them.
func TestAStreamBreaksInATransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := events.Position{Seconds: 100, Ordinal: 1}
		s := &script{checkpoint: events.Position{Seconds: 99}, turns: []int{2, -1}}
		for n := range int64(5) {
			s.all = append(s.all, sent(0, n+1, at))
			at.Index++
		}
		s.again = 2 // the database gives the whole transaction again
		var m memory
		f := newFeed(s, 1<<20, m.listen)
		following(t, f, func() { pass(10 * time.Second) })
		require.Equal(t, s.all, m.told)
		require.Equal(t, 2, s.opened)
	})
}

func TestWhereChangesAreLostEverythingBeginsAnew(t *testing.T) {
	t.Parallel()
	at := func(n uint32) events.Position { return events.Position{Seconds: n} }
	tests := map[string]struct {
		checkpoint uint32 // at the time of the loss
		repaired   int
		told       []uint32 // after the loss
	}{
		"the checkpoint has gone on":        {checkpoint: 8, told: []uint32{9, 10}},
		"the checkpoint is where it was":    {checkpoint: 2, repaired: 1, told: nil},
		"the checkpoint's changes are lost": {checkpoint: 5, repaired: 1, told: nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{checkpoint: at(2)}
				for n := range uint32(4) {
					s.all = append(s.all, sent(1, int64(n+1), at(n+1)))
				}
				var m memory
				f := newFeed(s, 1<<20, m.listen)
				following(t, f, func() {
					pass(time.Second)
					require.Equal(t, at(4), f.Applied())
					s.mu.Lock()
					for n := uint32(5); n <= 10; n++ {
						s.all = append(s.all, sent(1, int64(n), at(n)))
					}
					s.forgotten, s.checkpoint, s.turns = 7, at(tt.checkpoint), []int{-1}
					s.mu.Unlock()
					pass(time.Minute)
					require.Empty(t, f.Healthy())
				})
				require.Equal(t, tt.repaired, s.repaired)
				require.Positive(t, m.resets)
				var told []uint32
				for _, e := range m.told {
					told = append(told, e.Position.Seconds)
				}
				require.Equal(t, tt.told, told)
				_, ok := f.Between(at(4), f.Applied())
				require.False(t, ok, "who resumes from before the loss is told so")
				_, known := f.Last(id.Conversation{1})
				require.Equal(t, len(tt.told) > 0, known, "nothing is known from before")
			})
		})
	}
}

// What a listener reads when it is told to forget is from where the feed goes
// on, and calling the feed from there does not hang.
func TestListenersForgetWhenTheFeedStandsWhereItGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{checkpoint: events.Position{Seconds: 5}, forgotten: 1}
		s.all = []events.Event{sent(1, 1, events.Position{Seconds: 6}), sent(1, 2, events.Position{Seconds: 7})}
		var f *events.Feed
		var stood events.Position
		f = newFeed(s, 1<<20, func(e events.Event) {
			if e.Position.IsZero() {
				stood = f.Applied()
				require.Equal(t, "starting", f.Healthy())
			}
		})
		following(t, f, func() { pass(time.Minute) })
		require.Equal(t, s.checkpoint, stood)
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{checkpoint: events.Position{Seconds: 5}, quiet: true}
		f := newFeed(s, 1<<20)
		require.Equal(t, "starting", f.Healthy())
		set := func(change func()) {
			s.mu.Lock()
			change()
			s.mu.Unlock()
		}
		set(func() { s.quiet = false })
		following(t, f, func() {
			pass(pollEvery + time.Millisecond)
			require.Empty(t, f.Healthy(), "nothing came")

			set(func() {
				for n := range uint32(8) {
					s.all = append(s.all, sent(1, int64(n)+1, events.Position{Seconds: 10 + n}))
					s.turns = append(s.turns, 1)
				}
				s.slow = 400 * time.Millisecond
			})
			pass(2 * time.Second)
			require.Equal(t, "behind", f.Healthy(), "what comes is older than what there was a second ago")

			set(func() { s.slow = 0 })
			pass(2 * time.Second)
			require.Empty(t, f.Healthy())

			set(func() { s.turns = []int{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1} })
			pass(pollEvery + time.Second)
			require.Equal(t, "silent", f.Healthy(), "the stream breaks again and again")

			pass(time.Minute)
			require.Empty(t, f.Healthy(), "and is back by itself")
		})
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{checkpoint: events.Position{Seconds: 5}}
		inListener, goOn := make(chan struct{}), make(chan struct{})
		f := newFeed(s, 1<<20, func(e events.Event) {
			if e.Position.Seconds == 9 {
				close(inListener)
				<-goOn
			}
		})
		following(t, f, func() {
			upTo, err := f.Wait(t.Context(), events.Position{Seconds: 4})
			require.NoError(t, err)
			require.Equal(t, s.checkpoint, upTo, "it is there")

			begun := time.Now()
			_, err = f.Wait(t.Context(), events.Position{Seconds: 9})
			require.ErrorIs(t, err, fault.ErrUnavailable)
			require.Equal(t, time.Second, time.Since(begun))

			// A listener hears of an event before it counts as applied: who was
			// woken by that listener has to wait for it.
			s.mu.Lock()
			s.all = []events.Event{sent(1, 1, events.Position{Seconds: 9})}
			s.mu.Unlock()
			<-inListener
			require.Equal(t, s.checkpoint, f.Applied())
			waited := make(chan events.Position)
			go func() {
				upTo, _ := f.Wait(t.Context(), events.Position{Seconds: 1})
				waited <- upTo
			}()
			synctest.Wait()
			close(goOn)
			require.Equal(t, events.Position{Seconds: 9}, <-waited)

			gone, cancel := context.WithCancel(t.Context())
			cancel()
			_, err = f.Wait(gone, events.Position{Seconds: 10})
			require.ErrorIs(t, err, fault.ErrUnavailable)
		})
	})
}

func TestTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := func(n uint32) events.Position { return events.Position{Seconds: n} }
		s := &script{checkpoint: at(5), all: []events.Event{sent(1, 6, at(6)), sent(1, 7, at(7)), sent(2, 1, at(8))}}
		f := newFeed(s, 1<<20)
		following(t, f, func() { pass(10 * time.Second) })
		one, two := id.Conversation{1}, id.Conversation{2}
		require.True(t, f.Told(one, 7, at(7)))
		require.False(t, f.Told(one, 7, at(6)), "it came later")
		require.True(t, f.Told(one, 6, at(7)))
		require.False(t, f.Told(one, 6, at(6)), "rather not told than told too early")
		require.False(t, f.Told(one, 8, at(8)), "it did not come")
		require.True(t, f.Told(two, 1, at(8)))
		require.False(t, f.Told(id.Conversation{3}, 1, at(8)), "nothing is known of it")
	})
}

// While the feed is not heard, documents may lack what it would tell; when it is
// heard again, they are known to have all.
func TestBehindWhileTheFeedIsNotHeard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{checkpoint: events.Position{Seconds: 5}}
		f := newFeed(s, 1<<20)
		following(t, f, func() {
			pass(pollEvery + time.Millisecond)
			require.Zero(t, f.Behind())
			s.mu.Lock()
			s.turns = slices.Repeat([]int{-1}, 50) // ten seconds of streams that break
			s.mu.Unlock()
			pass(6 * time.Second)
			require.InDelta(t, 6, f.Behind().Seconds(), 1)
			pass(6 * time.Second)
			require.Zero(t, f.Behind())
		})
	})
}

// A stream that breaks is told at once, and then each half minute.
func TestAnOutageIsToldNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{checkpoint: events.Position{Seconds: 5}}
		for range 350 { // 70 seconds
			s.turns = append(s.turns, -1)
		}
		var lines bytes.Buffer
		f := events.New(events.Options{
			Source: s, Checkpoint: s.checkpoint, Memory: 1 << 20, Now: time.Now,
			Logger: slog.New(slog.NewTextHandler(&lines, nil)),
		})
		following(t, f, func() { pass(2 * time.Minute) })
		require.Equal(t, 3, strings.Count(lines.String(), "the change stream broke"))
		require.Contains(t, lines.String(), "times=1\n")
		require.Contains(t, lines.String(), "times=150\n")
	})
}

// What cannot be read is passed over; listeners forget what they know when the
// feed stands behind it, and memory is trusted only then.
func TestAnUnreadableChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := func(n uint32) events.Position { return events.Position{Seconds: n} }
		s := &script{checkpoint: at(5), all: []events.Event{
			sent(1, 1, at(6)), {Position: at(7), Kind: events.Unreadable, Err: errBroken}, sent(1, 2, at(8)),
		}}
		var m memory
		var f *events.Feed
		f = newFeed(s, 1<<20, m.listen, func(e events.Event) {
			if e.Position.IsZero() {
				require.Equal(t, at(7), f.Applied())
				require.Equal(t, "starting", f.Healthy())
			}
		})
		following(t, f, func() {
			pass(time.Second)
			require.Empty(t, f.Healthy())
		})
		require.Equal(t, 1, m.resets)
		require.Equal(t, s.all[2:], m.told)
		require.EqualValues(t, 1, f.Unread())
		require.Equal(t, 1, s.opened)
		told, ok := f.Between(at(5), at(8))
		require.True(t, ok)
		require.Equal(t, []events.Event{s.all[0], s.all[2]}, told)
	})
}
