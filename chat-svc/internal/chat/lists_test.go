package chat_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/svckit/fault"
)

func (s *slow) Memberships(ctx context.Context, a id.Account, from events.Position) ([]lists.Entry, error) {
	if s.memberships != nil {
		return nil, s.memberships
	}
	return s.Store.Memberships(ctx, a, from)
}

// Conversations that were closed a moment ago, of which memory has not heard,
// shorten pages of a list, but not the list.
func TestAListGoesOnBehindWhatWasClosed(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	groups := []id.Conversation{r.group}
	for range 6 {
		r.clock.Advance(time.Millisecond)
		made, err := r.Create(t.Context(), account(1), chat.NewConversation{Type: chat.Group, Members: []id.Account{account(2)}})
		require.NoError(t, err)
		groups = append(groups, made.ID)
	}
	slices.Reverse(groups)
	walk := func(limit int) (walked []id.Conversation) {
		var from *chat.ListPage
		for {
			page, next, err := r.Conversations(t.Context(), account(2), from, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), limit)
			for _, v := range page {
				walked = append(walked, v.ID)
			}
			if next == nil {
				return walked
			}
			require.NotEmpty(t, page)
			from = next
		}
	}
	require.Equal(t, groups, walk(2))
	for _, c := range groups[1:4] {
		_, err := r.store.ChangeConversation(t.Context(), c, []id.Account{account(1)}, func(chat.Conversation, []chat.Member) (chat.Change, error) {
			return chat.Change{At: time.Now(), Closes: true}, nil
		})
		require.NoError(t, err)
	}
	left := slices.Concat(groups[:1], groups[4:])
	for limit := 1; limit <= 5; limit++ {
		require.Equal(t, left, walk(limit), "pages of %d", limit)
	}
}

// Who reads lists while memory is not trusted takes one of few places, for as
// long as it reads.
func TestAListThatIsReadTakesAPlace(t *testing.T) {
	t.Parallel()
	service, store := newService(t, time.Now) // its feed is not followed
	_, err := service.Create(t.Context(), account(1), chat.NewConversation{Type: chat.Group, Members: []id.Account{account(2)}})
	require.NoError(t, err)
	places := make(chan struct{}, 1)
	service.Reading = func(context.Context) (func(), error) {
		select {
		case places <- struct{}{}:
			return func() { <-places }, nil
		default:
			return nil, fault.ErrUnavailable
		}
	}
	taken := 0
	store.late = func() { taken += len(places) }
	page, _, err := service.Conversations(t.Context(), account(2), nil, 10)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, 1, taken)
	require.Empty(t, places)
	places <- struct{}{}
	_, _, err = service.Conversations(t.Context(), account(2), nil, 10)
	require.ErrorIs(t, err, fault.ErrUnavailable)
	require.Equal(t, 1, taken)
}

// The first page of one conversation does not need the lists of its reader.
func TestAPageWithoutLists(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	_, err := r.Send(t.Context(), account(1), chat.NewMessage{Conversation: &r.group, Content: "x"})
	require.NoError(t, err)
	r.slow.memberships = fault.ErrUnavailable
	r.Track(t.Context(), account(2))
	page, _, err := r.History(t.Context(), account(2), r.group, 0, 10)
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)
}
