package chat_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/ratelimit"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }

// everybody knows every account.
type everybody struct{}

func (everybody) ByID(_ context.Context, ids ...string) (map[string]accounts.Account, error) {
	found := map[string]accounts.Account{}
	for _, id := range ids {
		found[id] = accounts.Account{ID: id}
	}
	return found, nil
}

func (everybody) ByName(context.Context, ...string) (map[string]accounts.Account, error) {
	return nil, nil
}

// A breaking store is the real one, whose calls of one kind fail once.
type breaking struct {
	*mongostore.Store
	call string
	late func() // happens between a view's being read and its arriving; nil for nothing
}

func (b *breaking) fail(call string) error {
	if b.call != call {
		return nil
	}
	b.call = ""
	return fault.ErrUnavailable
}

func (b *breaking) InsertConversation(ctx context.Context, c chat.Conversation, first []chat.Member, pending bool) error {
	if err := b.fail("insert"); err != nil {
		return err
	}
	return b.Store.InsertConversation(ctx, c, first, pending)
}

func (b *breaking) AddMembers(ctx context.Context, c id.Conversation, chunk []chat.Member) error {
	if len(chunk) < chat.MaxChunk { // the last one
		if err := b.fail("last members"); err != nil {
			return err
		}
	}
	return b.Store.AddMembers(ctx, c, chunk)
}

func (b *breaking) PublishConversation(ctx context.Context, c id.Conversation) error {
	if err := b.fail("publish"); err != nil {
		return err
	}
	return b.Store.PublishConversation(ctx, c)
}

func (b *breaking) FinishClaim(ctx context.Context, c chat.Claim, made bool) error {
	if err := b.fail("finish"); err != nil {
		return err
	}
	return b.Store.FinishClaim(ctx, c, made)
}

func account(n int) id.Account { return id.Account(fmt.Sprintf("agt_%020d", n)) }

func newService(t *testing.T, now func() time.Time) (*chat.Service, *breaking) {
	t.Helper()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	store := &breaking{Store: mongostore.New(db)}
	rights := chat.NewRights(store, now)
	feed := events.New(events.Options{Source: store, Now: now, Logger: slog.New(slog.DiscardHandler)})
	rights.Hear(feed)
	return serviceOn(t, store, feed, rights, now), store
}

func serviceOn(t *testing.T, store interface {
	chat.Store
	sequence.Store
	lists.Store
}, feed *events.Feed, rights *chat.Rights, now func() time.Time) *chat.Service {
	t.Helper()
	committer := sequence.New(sequence.Options{Store: store, Now: now, Report: func(sequence.Report) {}})
	reads := readmark.New(store, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		committer.Close(context.Background())
		reads.Close(context.Background())
	})
	tracked := lists.New(store, now, lists.Bounds{})
	tracked.Hear(feed)
	return chat.New(chat.Limits{MembersPerGroup: 5000, ConversationsPerAccount: 100, ClockOffset: 1000 * time.Hour}, chat.Deps{
		Store: store, Committer: committer, Reads: reads, Accounts: everybody{},
		Lists: tracked, Reading: func(context.Context) (func(), error) { return func() {}, nil }, Feed: feed, Rights: rights, Distrusted: func(string) {},
		Sends: ratelimit.New(10, 100, 100, now), Creations: ratelimit.New(10, 100, 100, now), DirectKey: []byte("key"), Now: now,
	})
}

// Wherever the making of a large group breaks off, a repeat with the key
// finishes the same one.
func TestARepeatFinishesABrokenCreation(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"insert", "last members", "publish", "finish"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			service, store := newService(t, time.Now)
			wanted := chat.NewConversation{Type: chat.Group, Name: "crowd", Key: "k"}
			for n := range 1100 {
				wanted.Members = append(wanted.Members, account(10+n))
			}
			store.call = call
			_, err := service.Create(t.Context(), account(1), wanted)
			require.ErrorIs(t, err, fault.ErrUnavailable)

			made, err := service.Create(t.Context(), account(1), wanted)
			require.NoError(t, err)
			require.True(t, made.Made)
			views, next, err := service.Conversations(t.Context(), account(1), nil, 10)
			require.NoError(t, err)
			require.Nil(t, next)
			require.Len(t, views, 1, "one group, not two")
			require.Equal(t, made.ID, views[0].ID)
			members, err := store.Members(t.Context(), made.ID, "", 5000)
			require.NoError(t, err)
			require.Len(t, members, 1101)

			again, err := service.Create(t.Context(), account(1), wanted)
			require.NoError(t, err)
			require.True(t, again.Replayed)
			require.Equal(t, made.ID, again.ID)
		})
	}
}

// Who comes while the first request runs is sent away; after its lease it is
// taken to be dead.
func TestALeaseOfACreation(t *testing.T) {
	t.Parallel()
	now := time.Now()
	service, store := newService(t, func() time.Time { return now })
	wanted := chat.NewConversation{Type: chat.Group, Name: "one", Members: []id.Account{}, Key: "k"}
	store.call = "finish"
	_, err := service.Create(t.Context(), account(1), wanted)
	require.ErrorIs(t, err, fault.ErrUnavailable)
	claim, inserted, err := store.InsertClaim(t.Context(), chat.Claim{Account: account(1), Key: "k"})
	require.NoError(t, err)
	require.False(t, inserted)
	require.NoError(t, store.TakeClaim(t.Context(), claim, now.UTC().Truncate(time.Millisecond)))

	_, err = service.Create(t.Context(), account(1), wanted)
	require.ErrorIs(t, err, fault.ErrConflict)
	other := wanted
	other.Name = "two"
	_, err = service.Create(t.Context(), account(1), other)
	require.ErrorIs(t, err, fault.ErrIdempotency)

	now = now.Add(31 * time.Second)
	made, err := service.Create(t.Context(), account(1), wanted)
	require.NoError(t, err)
	require.True(t, made.Made)
	require.Equal(t, claim.Conversation, made.ID)
}
