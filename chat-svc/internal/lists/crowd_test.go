package lists_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/sequence"
)

// A room is a database in which everybody is in one conversation, and a feed
// that has told nothing.
type room struct{ conversation id.Conversation }

func (r room) Memberships(context.Context, id.Account, events.Position) ([]lists.Entry, error) {
	return []lists.Entry{{Conversation: r.conversation}}, nil
}

func (room) Taken() events.Position { return events.Position{Seconds: 1} }

func (room) Last(id.Conversation) (sequence.Place, bool) { return sequence.Place{}, false }

// A message into a crowd makes nothing in memory for each member: it wakes who
// watches, and leaves the others a higher version.
func TestAMessageIntoACrowdMakesNoGarbage(t *testing.T) {
	const crowd = 3000
	r := room{id.Conversation{1}}
	start := time.Unix(1_800_000_000, 0)
	l := lists.New(r, func() time.Time { return start }, lists.Bounds{})
	l.Hear(r)
	member := func(n int) id.Account { return id.Account(fmt.Sprintf("agt_%020d", n)) }
	for n := range crowd {
		_, err := l.Of(t.Context(), member(n))
		require.NoError(t, err)
	}
	said := int64(0)
	say := func() {
		said++
		m := sequence.Message{ID: id.Message{Conversation: r.conversation, Seq: said}, CreatedAt: start}
		l.Sent(m.ID, m.CreatedAt)
		l.Listen(events.Event{
			Position: events.Position{Seconds: 1}, Kind: events.MessageSent, Conversation: r.conversation, Message: &m,
		})
	}
	before, _ := l.Version(member(crowd - 1))
	_, changed, err := l.Watch(t.Context(), member(0))
	require.NoError(t, err)
	require.Less(t, testing.AllocsPerRun(20, say), 10.0)
	select {
	case <-changed:
	default:
		require.Fail(t, "who watches was not woken")
	}
	after, _ := l.Version(member(crowd - 1))
	require.GreaterOrEqual(t, after, before+uint64(said))
	entries, err := l.Of(t.Context(), member(crowd-1))
	require.NoError(t, err)
	require.Equal(t, said, entries[0].Last.Seq)
}
