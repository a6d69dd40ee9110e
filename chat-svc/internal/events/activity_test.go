package events

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
)

// A ledger is what a table should know, written down in full.
type ledger struct {
	sent       []noted
	checkpoint Position
}

type noted struct {
	conversation id.Conversation
	last         sequence.Place
	position     Position
	at           time.Time
}

// unsaved is the last message of each conversation with one after the checkpoint.
func (l *ledger) unsaved() map[id.Conversation]sequence.Place {
	last, late := map[id.Conversation]sequence.Place{}, map[id.Conversation]bool{}
	for _, n := range l.sent {
		last[n.conversation] = n.last
		late[n.conversation] = late[n.conversation] || l.checkpoint.Before(n.position)
	}
	for c := range last {
		if !late[c] {
			delete(last, c)
		}
	}
	return last
}

// lacking is when the first message after the checkpoint came.
func (l *ledger) lacking() time.Time {
	for _, n := range l.sent {
		if l.checkpoint.Before(n.position) {
			return n.at
		}
	}
	return time.Time{}
}

func TestTableAgainstAFullLedger(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		now := time.Unix(1000, 0)
		begun := Position{Seconds: 1}
		table, want := newTable(begun, now), ledger{checkpoint: begun}
		seqs := map[id.Conversation]int64{}
		heard := begun
		r.Repeat(map[string]func(*rapid.T){
			"note": func(r *rapid.T) {
				c := id.Conversation{rapid.Byte().Draw(r, "conversation") % 4}
				seqs[c]++
				heard.Ordinal++
				n := noted{c, sequence.Place{Seq: seqs[c], At: now}, heard, now}
				want.sent = append(want.sent, n)
				table.note(c, n.last, n.position, now)
			},
			"pass": func(r *rapid.T) { // up to anything that was heard, forwards or not
				p := Position{Seconds: 1, Ordinal: rapid.Uint32Range(0, heard.Ordinal).Draw(r, "checkpoint")}
				if want.checkpoint.Before(p) {
					want.checkpoint = p
				}
				table.pass(p, now)
				require.Equal(r, now, table.moved)
			},
			"time": func(r *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(r, "milliseconds")) * time.Millisecond)
			},
			"": func(r *rapid.T) {
				unsaved := map[id.Conversation]sequence.Place{}
				for _, a := range table.unsaved() {
					unsaved[a.Conversation] = a.Last
				}
				require.Equal(r, want.unsaved(), unsaved)
				for c, last := range unsaved {
					require.Equal(r, last, table.entries[c].last)
				}
				lacking, exact := table.lacking(), want.lacking()
				require.Equal(r, exact.IsZero(), lacking.IsZero())
				require.False(r, lacking.After(exact), "never later than it was")
				require.LessOrEqual(r, exact.Sub(lacking), arrivalStep)
			},
		})
	})
}

// A reader that read a document before it was saved finds the entry for a
// minute after; then it goes, so that the table does not grow for ever.
func TestASavedEntryStaysAWhile(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	c := id.Conversation{1}
	at := func(n uint32) Position { return Position{Seconds: n} }
	table := newTable(at(1), now)
	table.note(c, sequence.Place{Seq: 7, At: now}, at(2), now)
	table.pass(at(2), now)
	require.Empty(t, table.unsaved())
	for seconds := range uint32(61) {
		table.pass(at(3+seconds), now.Add(time.Duration(seconds)*time.Second))
		require.Contains(t, table.entries, c)
	}
	table.pass(at(100), now.Add(keepSaved+time.Second))
	require.Empty(t, table.entries)
}

func TestArrivalsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	table := newTable(Position{}, now)
	last := Position{}
	for n := range uint32(2 * maxArrivals) {
		last = Position{Seconds: n + 1}
		table.note(id.Conversation{1}, sequence.Place{Seq: int64(n + 1)}, last, now.Add(time.Duration(n)*2*time.Second))
	}
	require.Len(t, table.arrivals, maxArrivals)
	require.Equal(t, now, table.lacking())
	table.pass(last, now)
	require.Zero(t, table.lacking())
}
