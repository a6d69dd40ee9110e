package sweep_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/chore"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/sweep"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }

func account(n int) id.Account { return id.Account(fmt.Sprintf("agt_%020d", n)) }

// closed makes a group of n members and closes it, without a sweeper.
func closed(t *testing.T, store *mongostore.Store, n int) id.Conversation {
	t.Helper()
	c := chat.Conversation{ID: id.NewGroup(), Type: chat.Group, Creator: account(0), MemberCount: n}
	var all []chat.Member
	for m := range n {
		all = append(all, chat.Member{Account: account(m), Role: chat.RoleMember})
	}
	require.NoError(t, store.InsertConversation(t.Context(), c, all[:chat.MaxChunk], true))
	require.NoError(t, store.AddMembers(t.Context(), c.ID, all[chat.MaxChunk:]))
	require.NoError(t, store.PublishConversation(t.Context(), c.ID))
	_, err := store.ChangeConversation(t.Context(), c.ID, []id.Account{account(0)}, func(chat.Conversation, []chat.Member) (chat.Change, error) {
		return chat.Change{At: time.Now(), Closes: true}, nil
	})
	require.NoError(t, err)
	return c.ID
}

func open(t *testing.T) *mongostore.Store {
	t.Helper()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	return mongostore.New(db)
}

func start(t *testing.T, store sweep.Store) *chore.Chore {
	t.Helper()
	logger, _ := svctest.Logs(t)
	s := sweep.Start(store, time.Now, logger)
	t.Cleanup(s.Close)
	return s
}

func eventuallySwept(t *testing.T, store *mongostore.Store, conversations ...id.Conversation) {
	t.Helper()
	require.Eventually(t, func() bool {
		left, err := store.Unswept(t.Context(), time.Time{}, 1)
		return err == nil && len(left) == 0
	}, 30*time.Second, 10*time.Millisecond)
	for _, c := range conversations {
		members, err := store.Members(t.Context(), c, "", 1)
		require.NoError(t, err)
		require.Empty(t, members)
	}
}

func TestSweepsWhatACrashLeft(t *testing.T) {
	t.Parallel()
	store := open(t)
	first, second := closed(t, store, 700), closed(t, store, 1400)
	_, err := store.Sweep(t.Context(), second) // and half of one was done
	require.NoError(t, err)
	start(t, store)
	start(t, store) // two processes do it together
	eventuallySwept(t, store, first, second)
}

// The making of a large group that broke off is undone once nobody can take it
// up again, and not before.
func TestSweepsWhatWasNeverMade(t *testing.T) {
	t.Parallel()
	store := open(t)
	begun := time.Now()
	c := chat.Conversation{ID: id.NewGroup(), Type: chat.Group, Creator: account(0), MemberCount: 2000, CreatedAt: begun}
	var all []chat.Member
	for m := range 2 * chat.MaxChunk {
		all = append(all, chat.Member{Account: account(m), Role: chat.RoleMember})
	}
	require.NoError(t, store.InsertConversation(t.Context(), c, all[:chat.MaxChunk], true))
	require.NoError(t, store.AddMembers(t.Context(), c.ID, all[chat.MaxChunk:]))

	var shown atomic.Int64
	shown.Store(int64(25*time.Hour - time.Minute))
	looks := &looking{Store: store}
	logger, _ := svctest.Logs(t)
	s := sweep.Start(looks, func() time.Time { return begun.Add(time.Duration(shown.Load())) }, logger)
	defer s.Close()
	require.Eventually(t, func() bool { return looks.ended.Load() == 1 }, 30*time.Second, time.Millisecond)
	pending, err := store.Pending(t.Context(), c.ID)
	require.NoError(t, err)
	require.True(t, pending)

	shown.Store(int64(25*time.Hour + time.Minute))
	s.Wake()
	require.Eventually(t, func() bool {
		left, err := store.Unswept(t.Context(), begun.Add(time.Hour), 1)
		return err == nil && len(left) == 0
	}, 30*time.Second, 10*time.Millisecond)
	members, err := store.Members(t.Context(), c.ID, "", 1)
	require.NoError(t, err)
	require.Empty(t, members)
	for _, a := range []int{0, 700} {
		attended, err := store.Attended(t.Context(), account(a), id.Conversation{}, 1)
		require.NoError(t, err)
		require.Empty(t, attended, "there is no trace of it in any list")
	}
	made, err := store.CountCreations(t.Context(), account(0), 1)
	require.NoError(t, err)
	require.Zero(t, made)
	require.NoError(t, store.AddMembers(t.Context(), c.ID, all))
	require.NoError(t, store.PublishConversation(t.Context(), c.ID))
	there, err := store.Conversations(t.Context(), []id.Conversation{c.ID})
	require.NoError(t, err)
	require.Empty(t, there, "it stays away")
}

// A looking store counts the looks that have ended.
type looking struct {
	*mongostore.Store
	ended atomic.Int64
}

func (l *looking) Unswept(ctx context.Context, begun time.Time, limit int) ([]id.Conversation, error) {
	defer l.ended.Add(1)
	return l.Store.Unswept(ctx, begun, limit)
}

func TestSweepsWhenItIsWoken(t *testing.T) {
	t.Parallel()
	store := open(t)
	s := start(t, store)
	c := closed(t, store, 600)
	s.Wake()
	eventuallySwept(t, store, c)
}

// A failing store is the real one whose first sweeps fail.
type failing struct {
	*mongostore.Store
	left atomic.Int64
}

func (f *failing) Sweep(ctx context.Context, c id.Conversation) (bool, error) {
	if f.left.Add(-1) >= 0 {
		return false, fault.ErrUnavailable
	}
	return f.Store.Sweep(ctx, c)
}

func TestSweepsAfterTrouble(t *testing.T) {
	t.Parallel()
	store := open(t)
	c := closed(t, store, 600)
	broken := &failing{Store: store}
	broken.left.Store(1)
	s := start(t, broken)
	require.Eventually(t, func() bool { return broken.left.Load() == 0 }, 30*time.Second, time.Millisecond)
	s.Wake()
	eventuallySwept(t, store, c)
}
