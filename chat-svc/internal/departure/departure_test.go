package departure_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/departure"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }

func account(n int) id.Account { return id.Account(fmt.Sprintf("agt_%020d", n)) }

// A feed has these changes, from position 1 on.
type feed []accounts.Change

func (f feed) Changes(_ context.Context, after accounts.Position) ([]accounts.Change, accounts.Position, error) {
	return f[after.At:], accounts.Position{Epoch: "e", At: int64(len(f))}, nil
}

// A breaking store is the real one until it has been called a number of times:
// that call is carried out, but is not answered, and later ones are neither.
type breaking struct {
	*mongostore.Store
	left atomic.Int64
	dead atomic.Bool
	// erases may refuse what is to be erased; nil for nothing.
	erases func(a id.Account, above int64) error
}

var errCrash = errors.New("crashed")

// then lets a call happen, as long as there are any left.
func (b *breaking) then(call func() error) error {
	left := b.left.Add(-1)
	if left > 0 {
		return call()
	}
	defer b.dead.Store(true)
	if left == 0 {
		return errors.Join(call(), errCrash)
	}
	return errCrash
}

func (b *breaking) Hear(ctx context.Context, deleted []departure.Departure, upTo accounts.Position) error {
	return b.then(func() error { return b.Store.Hear(ctx, deleted, upTo) })
}

func (b *breaking) DeleteBlock(ctx context.Context, a id.Account, of id.Block) (was chat.Block, err error) {
	err = b.then(func() error { was, err = b.Store.DeleteBlock(ctx, a, of); return err })
	return was, err
}

func (b *breaking) ChangeConversation(ctx context.Context, c id.Conversation, all []id.Account,
	decide func(chat.Conversation, []chat.Member) (chat.Change, error)) (is chat.Conversation, err error) {
	err = b.then(func() error { is, err = b.Store.ChangeConversation(ctx, c, all, decide); return err })
	return is, err
}

func (b *breaking) EraseSent(ctx context.Context, c id.Conversation, a id.Account, above int64, limit int) (upTo int64, n int, err error) {
	if b.erases != nil {
		if err := b.erases(a, above); err != nil {
			return 0, 0, err
		}
	}
	err = b.then(func() error { upTo, n, err = b.Store.EraseSent(ctx, c, a, above, limit); return err })
	return upTo, n, err
}

func (b *breaking) SaveDeparture(ctx context.Context, d departure.Departure) error {
	return b.then(func() error { return b.Store.SaveDeparture(ctx, d) })
}

// world is three groups with the account 1: its own with 2, its own alone, and
// one of 2; in each it has said something, and so has 2.
type world struct {
	store                *mongostore.Store
	shared, alone, other id.Conversation
}

func newWorld(t *testing.T) world {
	t.Helper()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	w := world{store: mongostore.New(db)}
	w.shared, w.alone, w.other = w.group(t, 1, 2), w.group(t, 1), w.group(t, 2, 1)
	require.NoError(t, w.store.InsertBlock(t.Context(), chat.Block{
		ID: id.NewBlock(), Blocker: account(1), Target: chat.Target{Account: account(2)}, CreatedAt: time.Now(),
	}, "", [16]byte{}))
	return w
}

func (w world) group(t *testing.T, owner int, others ...int) id.Conversation {
	t.Helper()
	c := chat.Conversation{ID: id.NewGroup(), Type: chat.Group, Creator: account(owner), MemberCount: 1 + len(others)}
	all := []chat.Member{{Account: account(owner), Role: chat.RoleOwner}}
	for _, n := range others {
		all = append(all, chat.Member{Account: account(n), Role: chat.RoleMember})
	}
	require.NoError(t, w.store.InsertConversation(t.Context(), c, all, false))
	session, err := w.store.Begin()
	require.NoError(t, err)
	defer session.End()
	for n := range 2 {
		m := sequence.Message{
			ID: id.Message{Conversation: c.ID, Seq: int64(n + 1)}, Sender: account(n + 1), CreatedAt: time.Now(),
			Body: sequence.Body{Type: chat.Text, Content: "x"},
		}
		_, err := session.Insert(t.Context(), []sequence.Message{m})
		require.NoError(t, err)
	}
	return c.ID
}

// carryOut lets a replica with a store carry out what the feed tells, until the
// store says that it is over.
func (w world) carryOut(t *testing.T, f feed, store *breaking, holder string, over func() bool) {
	t.Helper()
	logger, _ := svctest.Logs(t)
	future := func() time.Time { return time.Now().Add(time.Duration(len(holder)) * time.Minute) } // behind the lease of the one before
	service := chat.New(chat.Limits{}, chat.Deps{Store: store, Lists: lists.New(store, future, lists.Bounds{}), Rights: chat.NewRights(store, future), Count: func(chat.Deed, int) {}, Now: future})
	chore := departure.Start(departure.Deps{
		Feed: f, Store: store, Chat: service, Holder: holder, Now: future, Logger: logger, Departed: func() {},
	})
	defer chore.Close()
	require.Eventually(t, over, 30*time.Second, time.Millisecond)
}

// A replica dies behind any of the writes; another one ends what it began.
func TestACrashAnywhereRepeatsHarmlessly(t *testing.T) {
	t.Parallel()
	// The news, the block, three groups that are left and read to the end, and
	// the note that all is done.
	const writes = 1 + 1 + 3*(1+2) + 1
	for n := range int64(writes + 1) {
		t.Run(fmt.Sprintf("behind write %d", n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			f := feed{{Kind: accounts.TokenRevoked}, {Kind: accounts.AccountDeleted, AccountID: string(account(1)), Content: accounts.Erase}}
			dying, living := &breaking{Store: w.store}, &breaking{Store: w.store}
			dying.left.Store(n) // 0: before the first
			living.left.Store(1 << 40)
			w.carryOut(t, f, dying, "a", func() bool { return dying.dead.Load() })
			w.carryOut(t, f, living, "bb", func() bool { return w.looked(t) })
			w.check(t)
		})
	}
}

func (w world) looked(t *testing.T) bool {
	due, err := w.store.Due(t.Context(), time.Now().Add(time.Hour), 10)
	require.NoError(t, err)
	return len(due) == 1 && due[0].Looks == 1
}

func (w world) check(t *testing.T) {
	t.Helper()
	for _, c := range []id.Conversation{w.shared, w.other} {
		members, err := w.store.Members(t.Context(), c, "", 10)
		require.NoError(t, err)
		require.Equal(t, []chat.Member{{Account: account(2), Role: chat.RoleOwner, JoinedAt: members[0].JoinedAt}}, members)
		count, err := w.store.MemberCount(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, 1, count)
	}
	left, err := w.store.Members(t.Context(), w.alone, "", 10)
	require.NoError(t, err)
	require.Empty(t, left)
	there, err := w.store.Conversations(t.Context(), []id.Conversation{w.alone})
	require.NoError(t, err)
	require.Empty(t, there, "closed")
	for _, c := range []id.Conversation{w.shared, w.alone, w.other} {
		history, err := w.store.History(t.Context(), c, 0, 10, 10)
		require.NoError(t, err)
		require.Len(t, history, 1)
		require.Equal(t, account(2), history[0].Sender)
	}
	blocks, err := w.store.Blocks(t.Context(), account(1), nil, 10)
	require.NoError(t, err)
	require.Empty(t, blocks)
	position, err := w.store.Heard(t.Context())
	require.NoError(t, err)
	require.Equal(t, accounts.Position{Epoch: "e", At: 2}, position)
}

func (w world) due(t *testing.T) map[id.Account]departure.Departure {
	t.Helper()
	due, err := w.store.Due(t.Context(), time.Now().Add(time.Hour), 10)
	require.NoError(t, err)
	all := map[id.Account]departure.Departure{}
	for _, d := range due {
		all[d.Account] = d
	}
	return all
}

var errStuck = errors.New("stuck")

// An account that cannot be erased has left everything before that, and keeps
// no other account waiting.
func TestOneThatFailsStopsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	deleted := func(n int) accounts.Change {
		return accounts.Change{Kind: accounts.AccountDeleted, AccountID: string(account(n)), Content: accounts.Erase}
	}
	store := &breaking{Store: w.store, erases: func(a id.Account, _ int64) error {
		if a == account(1) {
			return errStuck
		}
		return nil
	}}
	store.left.Store(1 << 40)
	w.carryOut(t, feed{deleted(1), deleted(2)}, store, "a", func() bool {
		due := w.due(t)
		return due[account(2)].Looks == 1 && due[account(1)].Left
	})
	stuck := w.due(t)[account(1)]
	require.Zero(t, stuck.Looks)
	require.Greater(t, stuck.Due, stuck.Heard.Add(30*time.Second), "its turn comes later")
	for _, c := range []id.Conversation{w.shared, w.alone, w.other} {
		left, err := w.store.MembersAmong(t.Context(), c, []id.Account{account(1)})
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// Another replica goes on where the one before it came to in a conversation.
func TestALongHistoryIsErasedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session, err := w.store.Begin()
	require.NoError(t, err)
	defer session.End()
	for batch := range int64(10) {
		run := make([]sequence.Message, 250)
		for n := range run {
			run[n] = sequence.Message{
				ID: id.Message{Conversation: w.alone, Seq: 3 + batch*250 + int64(n)}, Sender: account(1), CreatedAt: time.Now(),
				Body: sequence.Body{Type: chat.Text, Content: "x"},
			}
		}
		_, err := session.Insert(t.Context(), run)
		require.NoError(t, err)
	}
	f := feed{{Kind: accounts.AccountDeleted, AccountID: string(account(1)), Content: accounts.Erase}}
	first, second := &breaking{Store: w.store}, &breaking{Store: w.store}
	first.left.Store(1 << 40)
	second.left.Store(1 << 40)
	first.erases = func(_ id.Account, above int64) error {
		if above >= 2000 {
			return errStuck
		}
		return nil
	}
	w.carryOut(t, f, first, "a", func() bool { return w.due(t)[account(1)].UpTo > 0 })
	require.EqualValues(t, 2000, w.due(t)[account(1)].UpTo)
	from := make(chan int64, 100)
	second.erases = func(_ id.Account, above int64) error {
		from <- above
		return nil
	}
	w.carryOut(t, f, second, "aaaa", func() bool { return w.looked(t) })
	require.EqualValues(t, 2000, <-from)
	left, err := w.store.History(t.Context(), w.alone, 0, 3000, 10)
	require.NoError(t, err)
	require.Len(t, left, 1, "the other's")
}
