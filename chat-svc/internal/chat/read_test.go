package chat_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
)

// A mark that is written while a list is on its way from the store is in the
// list: reading what one has sent oneself is never unread.
func TestAMarkThatIsWrittenWhileAListIsRead(t *testing.T) {
	t.Parallel()
	service, store := newService(t, time.Now)
	made, err := service.Create(t.Context(), account(1), chat.NewConversation{Type: chat.Group, Name: "one"})
	require.NoError(t, err)
	for name, unread := range map[string]func() int64{
		"the list": func() int64 {
			views, _, err := service.Conversations(t.Context(), account(1), nil, 10)
			require.NoError(t, err)
			return views[0].Unread()
		},
		"one conversation": func() int64 {
			detail, err := service.Conversation(t.Context(), account(1), made.ID)
			require.NoError(t, err)
			return detail.Unread()
		},
	} {
		sent, err := service.Send(t.Context(), account(1), chat.NewMessage{Conversation: &made.ID, Content: "x"})
		require.NoError(t, err)
		store.late = func() {
			require.Eventually(t, func() bool {
				view, err := store.Store.View(t.Context(), account(1), made.ID)
				return err == nil && view.Read == sent.Message.ID.Seq
			}, 30*time.Second, 10*time.Millisecond)
		}
		require.Zero(t, unread(), name)
	}
}

func (b *breaking) View(ctx context.Context, a id.Account, c id.Conversation) (chat.View, error) {
	v, err := b.Store.View(ctx, a, c)
	if b.late != nil {
		b.late()
	}
	return v, err
}

func (b *breaking) Views(ctx context.Context, a id.Account, behind *chat.Position, limit int) ([]chat.View, error) {
	v, err := b.Store.Views(ctx, a, behind, limit)
	if b.late != nil {
		b.late()
	}
	return v, err
}

// Without memory, too, the pages of all conversations have every one of them,
// however many an account is in by what others made.
func TestMessagesOfMoreConversationsThanOneMakes(t *testing.T) {
	t.Parallel()
	service, store := newService(t, time.Now) // its feed is not followed
	insert := func(created time.Time) id.Conversation {
		c := chat.Conversation{ID: id.NewGroup(), Type: chat.Group, Creator: account(2), MemberCount: 2, CreatedAt: created, UpdatedAt: created}
		require.NoError(t, store.InsertConversation(t.Context(), c, []chat.Member{
			{Account: account(2), Role: chat.RoleOwner, JoinedAt: created}, {Account: account(1), Role: chat.RoleMember, JoinedAt: created},
		}, false))
		return c.ID
	}
	oldest := insert(time.Now())
	sent, err := service.Send(t.Context(), account(2), chat.NewMessage{Conversation: &oldest, Content: "x"})
	require.NoError(t, err)
	for range most {
		insert(time.Now().Add(time.Hour))
	}
	page, err := service.Timeline(t.Context(), account(1), nil, 10)
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)
	require.Equal(t, sent.Message.ID, page.Messages[0].ID)
}
