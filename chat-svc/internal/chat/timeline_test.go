package chat_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/svckit/svctest"
)

// silent is a database that tells of no change, as one does that has not come
// so far.
type silent struct{ *mongostore.Store }

func (s silent) Changes(context.Context, events.Position) (events.Stream, error) { return s, nil }

func (silent) Next(ctx context.Context) ([]events.Event, events.Position, error) {
	select {
	case <-time.After(10 * time.Millisecond):
		return nil, events.Position{}, nil
	case <-ctx.Done():
		return nil, events.Position{}, ctx.Err()
	}
}

func (silent) Close() {}

// unhearing is a service whose feed is trusted and has heard of nothing.
func unhearing(t *testing.T, store silent) *chat.Service {
	t.Helper()
	rights := chat.NewRights(store, time.Now)
	feed := events.New(events.Options{Source: store, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	rights.Hear(feed)
	ctx, end := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { feed.Run(ctx) })
	t.Cleanup(func() { end(); following.Wait() })
	require.Eventually(t, func() bool { return feed.Healthy() == "" }, 20*time.Second, time.Millisecond)
	return serviceOn(t, store, feed, rights, time.Now)
}

// The first page of a walk may show what the next page's server has not heard
// of; what lies between them belongs to the walk, because next does not tell it
// again.
func TestAWalkGoesOnInWhatItsServerHasNotHeardOf(t *testing.T) {
	t.Parallel()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	store := silent{mongostore.New(db)}
	first, next := unhearing(t, store), unhearing(t, store)
	made, err := first.Create(t.Context(), account(1), chat.NewConversation{Type: chat.Group})
	require.NoError(t, err)
	var last chat.TimelinePosition
	for range 3 {
		sent, err := first.Send(t.Context(), account(1), chat.NewMessage{Conversation: &made.ID, Content: "x"})
		require.NoError(t, err)
		m := sent.Message
		last = chat.TimelinePosition{At: m.CreatedAt, Conversation: made.ID, Seq: m.ID.Seq}
	}
	from := chat.Page{Behind: last, Next: chat.Next{Above: map[id.Conversation]int64{made.ID: last.Seq}}}
	for name, tt := range map[string]struct {
		caller id.Account
		places []int64
	}{
		"a member":                  {account(1), []int64{2, 1}},
		"who was removed meanwhile": {account(2), nil},
	} {
		page, err := next.Timeline(t.Context(), tt.caller, &from, 10)
		require.NoError(t, err, name)
		var places []int64
		for _, m := range page.Messages {
			places = append(places, m.ID.Seq)
		}
		require.Equal(t, tt.places, places, name)
	}
}
