package events_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
)

// documents are what keepers write into: a change stream that tells of its own
// checkpoint, and what each conversation's document has. A write does what the
// next of its outcomes says.
type documents struct {
	*script
	last       map[id.Conversation]int64
	holder     string
	until      time.Time
	outcomes   []outcome
	calls      []string // of keepers, in order
	violations []string
}

type outcome uint8

const (
	works outcome = iota
	fails
	doneButFails // as where the answer is lost
	halfDone
)

func newDocuments(outcomes ...outcome) *documents {
	begun := events.Position{Seconds: 100}
	return &documents{
		script: &script{checkpoint: begun}, last: map[id.Conversation]int64{}, outcomes: outcomes,
	}
}

// outcome is what happens to a call; the caller holds the lock.
func (d *documents) outcome(call string) outcome {
	d.calls = append(d.calls, call)
	if len(d.outcomes) == 0 {
		return works
	}
	o := d.outcomes[0]
	d.outcomes = d.outcomes[1:]
	return o
}

func (o outcome) err() error {
	if o == works {
		return nil
	}
	return errBroken
}

func (d *documents) Lease(_ context.Context, _, holder string, now, until time.Time) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holder != holder && d.until.After(now) && !d.until.After(until.Add(until.Sub(now))) {
		return false, nil
	}
	o := d.outcome("lease of " + holder)
	if o == works || o == doneButFails {
		d.holder, d.until = holder, until
	}
	return o == works, o.err()
}

func (d *documents) SaveActivity(_ context.Context, all []events.Activity) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.outcome(fmt.Sprint("activity of ", len(all)))
	if o == fails {
		return errBroken
	}
	if o == halfDone {
		all = all[:len(all)/2]
	}
	for _, a := range all {
		d.last[a.Conversation] = max(d.last[a.Conversation], a.Last.Seq)
	}
	return o.err()
}

func (d *documents) SaveCheckpoint(_ context.Context, p events.Position) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.outcome("checkpoint")
	if o != works && o != doneButFails || !d.checkpoint.Before(p) {
		return o.err()
	}
	d.checkpoint = p
	d.happens(events.Event{Kind: events.CheckpointMoved, Checkpoint: p})
	for _, e := range d.all {
		if e.Kind == events.MessageSent && !p.Before(e.Position) && d.last[e.Conversation] < e.Message.ID.Seq {
			d.violations = append(d.violations, fmt.Sprintf("the checkpoint %v is ahead of message %d", p, e.Message.ID.Seq))
		}
	}
	return o.err()
}

// happens adds a change; the caller holds the lock.
func (d *documents) happens(e events.Event) {
	e.Position = events.Position{Seconds: 100, Ordinal: uint32(len(d.all) + 1)}
	d.all = append(d.all, e)
}

// say sends the next message of a conversation.
func (d *documents) say(c byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := int64(1)
	for _, e := range d.all {
		if e.Kind == events.MessageSent && e.Conversation == (id.Conversation{c}) {
			n++
		}
	}
	d.happens(sent(c, n, events.Position{}))
}

func (d *documents) right() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.all {
		if e.Kind == events.MessageSent && d.last[e.Conversation] < e.Message.ID.Seq {
			return false
		}
	}
	return true
}

func (d *documents) called() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := d.calls
	d.calls = nil
	return calls
}

// replica runs a feed with its keeper until it is stopped.
func (d *documents) replica(t *testing.T, name string) (f *events.Feed, stop func()) {
	d.mu.Lock()
	f = newFeed(d.script, 1<<20)
	d.mu.Unlock()
	k := events.NewKeeper(f, d, name, time.Now, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	running.Go(func() { k.Run(ctx) })
	return f, func() { cancel(); running.Wait() }
}

// Whatever fails, at whichever write, and whoever starts or stops meanwhile,
// the checkpoint is never ahead of the documents; when writes work again, the
// documents are right.
func TestTheCheckpointIsNeverAheadOfTheDocuments(t *testing.T) {
	t.Parallel()
	type step struct {
		says    []byte // conversations
		wait    time.Duration
		restart int // replica, or none
	}
	steps := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) step {
		return step{
			says:    rapid.SliceOfN(rapid.ByteRange(0, 3), 0, 6).Draw(r, "says"),
			wait:    time.Duration(rapid.IntRange(0, 4000).Draw(r, "milliseconds")) * time.Millisecond,
			restart: rapid.IntRange(0, 9).Draw(r, "restart"),
		}
	}), 1, 20)
	rapid.Check(t, func(r *rapid.T) {
		d := newDocuments(rapid.SliceOfN(rapid.Map(rapid.ByteRange(0, 3), func(b byte) outcome { return outcome(b) }), 0, 40).Draw(r, "outcomes")...)
		script := steps.Draw(r, "steps")
		var right, wereTold bool
		synctest.Test(t, func(t *testing.T) {
			var feeds [2]*events.Feed
			var stops [2]func()
			for n := range feeds {
				feeds[n], stops[n] = d.replica(t, fmt.Sprint(n))
			}
			for _, s := range script {
				for _, c := range s.says {
					d.say(c)
				}
				pass(s.wait)
				if s.restart < len(stops) {
					stops[s.restart]()
					feeds[s.restart], stops[s.restart] = d.replica(t, fmt.Sprint(s.restart, " again"))
				}
			}
			pass(2 * time.Minute)
			right = d.right()
			wereTold = feeds[0].Behind() == 0 && feeds[1].Behind() == 0
			stops[0]()
			stops[1]()
		})
		require.Empty(r, d.violations)
		require.True(r, right, "the documents have every last message")
		require.True(r, wereTold, "and every replica knows")
	})
}

func TestTheLeaseChangesHands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDocuments()
		_, stopOne := d.replica(t, "one") // looks every second
		pass(250 * time.Millisecond)
		two, stopTwo := d.replica(t, "two") // the same, a quarter later
		defer stopTwo()
		d.say(1)
		pass(2 * time.Second)
		require.Equal(t, []string{"lease of one", "activity of 1", "checkpoint"}, d.called())
		stopOne()
		d.say(2)
		pass(3 * time.Second)
		require.Empty(t, d.called(), "the lease is still the other one's")
		require.Positive(t, two.Behind())
		pass(3 * time.Second)
		require.Equal(t, []string{"lease of two", "activity of 1", "checkpoint"}, d.called())
		require.True(t, d.right())
		require.Zero(t, two.Behind())
	})
}

// While nothing is said, the checkpoint moves once a minute, however many
// replicas there are.
func TestAQuietCheckpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDocuments()
		for n := range 3 {
			_, stop := d.replica(t, fmt.Sprint(n))
			defer stop()
		}
		d.mu.Lock()
		d.happens(events.Event{Kind: events.MemberSet})
		d.mu.Unlock()
		pass(10*time.Minute + 10*time.Second)
		moves := 0
		for _, call := range d.called() {
			if call == "checkpoint" {
				moves++
			}
		}
		require.InDelta(t, 10, moves, 1)
	})
}

// After a long outage there is much to save: it goes in parts, each under a
// lease of its own, and nothing of it moves the checkpoint before all is saved.
func TestMuchIsSavedInParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDocuments()
		for n := range 1200 {
			c := id.Conversation{1, byte(n >> 8), byte(n)}
			e := sent(0, 1, events.Position{})
			e.Conversation = c
			d.happens(e)
		}
		_, stop := d.replica(t, "one")
		defer stop()
		pass(3 * time.Second)
		require.Equal(t, []string{
			"lease of one", "activity of 500", "activity of 500", "activity of 200", "checkpoint",
		}, d.called())
		require.Empty(t, d.violations)
		require.True(t, d.right())
	})
}

// How long documents have lacked something is told from when it came, also
// while the same conversation goes on.
func TestBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDocuments()
		for range 100 {
			d.outcomes = append(d.outcomes, fails)
		}
		f, stop := d.replica(t, "one")
		defer stop()
		pass(3 * time.Second)
		require.Zero(t, f.Behind())
		for seconds := range 20 {
			d.say(1)
			pass(time.Second)
			require.InDelta(t, float64(seconds+1), f.Behind().Seconds(), 1)
		}
		d.mu.Lock()
		d.outcomes = nil
		d.mu.Unlock()
		pass(3 * time.Second)
		require.Zero(t, f.Behind())
	})
}

// A feed that never catches up does not keep what it has told from being saved.
func TestWhatAFeedThatIsBehindHasToldIsSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDocuments()
		for range 100 { // a message at a time, never an empty batch
			d.say(1)
			d.turns = append(d.turns, 1)
		}
		d.slow = 500 * time.Millisecond
		f, stop := d.replica(t, "one")
		defer stop()
		pass(10 * time.Second)
		require.Equal(t, "behind", f.Healthy())
		require.Contains(t, d.called(), "checkpoint")
		require.Empty(t, d.violations)
	})
}
