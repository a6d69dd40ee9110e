package events_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
)

// What somebody is doing is told while it is new, and neither kept for who
// resumes nor for the checkpoint. What is over by the database's clock is told to
// nobody: the position alone counts.
func TestWhatIsNotKept(t *testing.T) {
	t.Parallel()
	acts := func(second uint32) events.Event {
		return events.Event{
			Position: events.Position{Seconds: second, Ordinal: 1}, Kind: events.Typing,
			Conversation: id.Conversation{1}, Account: "agt_1", Action: "typing",
		}
	}
	over, old, fresh := acts(100), acts(120), acts(150)
	s := &script{all: []events.Event{over, old, fresh}, checkpoint: events.Position{Seconds: 99}}
	var told memory
	f := newFeed(s, 1<<20, told.listen)
	synctest.Test(t, func(t *testing.T) {
		following(t, f, func() {
			pass(time.Second)
			require.Equal(t, fresh.Position, f.Applied())
			found, ok := f.Between(s.checkpoint, fresh.Position)
			require.True(t, ok)
			require.Empty(t, found)
			_, known := f.Last(fresh.Conversation)
			require.False(t, known)
			require.Zero(t, f.Behind())
		})
	})
	require.Equal(t, []events.Event{{Position: over.Position}, old, fresh}, told.told)
}
