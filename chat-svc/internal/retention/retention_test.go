package retention_test

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
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/retention"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }

const keep = 48 * time.Hour

func now() time.Time { return time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC) }

func open(t *testing.T) *mongostore.Store {
	t.Helper()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	return mongostore.New(db)
}

// spoken is a conversation with messages of these ages, the oldest first.
func spoken(t *testing.T, store *mongostore.Store, ages ...time.Duration) id.Conversation {
	t.Helper()
	c := chat.Conversation{ID: id.NewGroup(), Type: chat.Group, Creator: "agt_1", MemberCount: 1, CreatedAt: now().Add(-ages[0])}
	require.NoError(t, store.InsertConversation(t.Context(), c, []chat.Member{{Account: "agt_1", Role: chat.RoleOwner}}, false))
	run := make([]sequence.Message, len(ages))
	for n, age := range ages {
		run[n] = sequence.Message{
			ID: id.Message{Conversation: c.ID, Seq: int64(n + 1)}, Sender: "agt_1", CreatedAt: now().Add(-age),
			Body: sequence.Body{Type: chat.Text, Content: fmt.Sprint(n + 1)},
		}
	}
	session, err := store.Begin()
	require.NoError(t, err)
	defer session.End()
	_, err = session.Insert(t.Context(), run)
	require.NoError(t, err)
	last := run[len(run)-1]
	require.NoError(t, store.SaveActivity(t.Context(), []events.Activity{
		{Conversation: c.ID, Last: sequence.Place{Seq: last.ID.Seq, At: last.CreatedAt}},
	}))
	return c.ID
}

func kept(t *testing.T, store *mongostore.Store, c id.Conversation) (seqs []int64) {
	t.Helper()
	rows, err := store.History(t.Context(), c, 0, 1<<40, 10_000)
	require.NoError(t, err)
	for _, m := range rows {
		seqs = append(seqs, m.ID.Seq)
	}
	return seqs
}

// A run is one replica that deletes.
type run struct {
	store   retention.Store
	dropped atomic.Int64
	chore   *chore.Chore
}

func (r *run) start(t *testing.T, holder string) {
	t.Helper()
	logger, _ := svctest.Logs(t)
	r.chore = retention.Start(retention.Deps{
		Store: r.store, Keep: keep, Holder: holder, Now: now, Trusted: func() bool { return true }, Logger: logger,
		Dropped: func(n int) { r.dropped.Add(int64(n)) },
	})
	t.Cleanup(r.chore.Close)
}

// deleted waits until runs have told so many deletions, and ends them: they tell
// no more.
func deleted(t *testing.T, want int64, runs ...*run) {
	t.Helper()
	told := func() (n int64) {
		for _, r := range runs {
			n += r.dropped.Load()
		}
		return n
	}
	require.Eventually(t, func() bool { return told() >= want }, 30*time.Second, time.Millisecond)
	for _, r := range runs {
		r.chore.Close()
	}
	require.Equal(t, want, told(), "each row once")
}

func eventuallyKept(t *testing.T, store *mongostore.Store, want map[id.Conversation][]int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		left, err := store.Outgrown(t.Context(), now().Add(-keep), 1)
		return err == nil && len(left) == 0
	}, 30*time.Second, 10*time.Millisecond)
	for c, seqs := range want {
		require.Equal(t, seqs, kept(t, store, c))
	}
}

func repeated(age time.Duration, n int) (ages []time.Duration) {
	for range n {
		ages = append(ages, age)
	}
	return ages
}

const old, young = keep + time.Hour, keep - time.Hour

func TestDeletesWhatIsOlder(t *testing.T) {
	t.Parallel()
	store := open(t)
	want := map[id.Conversation][]int64{
		spoken(t, store, old, old, keep, young, young):        {5, 4},
		spoken(t, store, old, old, old):                       {3}, // the last row stays
		spoken(t, store, old):                                 {1},
		spoken(t, store, young, young):                        {2, 1},
		spoken(t, store, append(repeated(old, 2500), old)...): {2501}, // in several steps
		spoken(t, store, append(repeated(old, 1000), old)...): {1001}, // in just one
	}
	r := run{store: store}
	r.start(t, "one")
	eventuallyKept(t, store, want)
	deleted(t, 3+2+2500+1000, &r)
}

// A torn store is the real one, of which an answer is lost, as by a crash
// between two steps.
type torn struct {
	*mongostore.Store
	lost atomic.Bool
}

func (s *torn) Drop(ctx context.Context, c id.Conversation, at time.Time, limit int) (int, bool, error) {
	if s.lost.CompareAndSwap(false, true) {
		_, _, _ = s.Store.Drop(ctx, c, at, 10)
		return 0, false, fault.ErrUnavailable
	}
	return s.Store.Drop(ctx, c, at, limit)
}

func TestGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	store := open(t)
	c := spoken(t, store, append(repeated(old, 30), young)...)
	r := run{store: &torn{Store: store}}
	r.start(t, "one")
	require.Eventually(t, func() bool { return len(kept(t, store, c)) == 21 }, 30*time.Second, time.Millisecond)
	r.start(t, "one") // what the crash left is found
	eventuallyKept(t, store, map[id.Conversation][]int64{c: {31}})
}

func TestReplicasTogether(t *testing.T) {
	t.Parallel()
	store := open(t)
	want := map[id.Conversation][]int64{}
	for range 5 {
		want[spoken(t, store, append(repeated(old, 1500), young)...)] = []int64{1501}
	}
	first, second := run{store: store}, run{store: store}
	first.start(t, "one")
	second.start(t, "two")
	eventuallyKept(t, store, want)
	deleted(t, 5*1500, &first, &second)
}

func TestAClockThatIsNotTrustedDeletesNothing(t *testing.T) {
	t.Parallel()
	store := open(t)
	c := spoken(t, store, old, old)
	logger, _ := svctest.Logs(t)
	var asked atomic.Int64
	chore := retention.Start(retention.Deps{
		Store: store, Keep: keep, Holder: "one", Now: now, Logger: logger, Dropped: func(int) {},
		Trusted: func() bool {
			asked.Add(1)
			return false
		},
	})
	require.Eventually(t, func() bool { return asked.Load() > 0 }, 30*time.Second, time.Millisecond)
	chore.Wake()
	require.Eventually(t, func() bool { return asked.Load() > 1 }, 30*time.Second, time.Millisecond, "the first round is over")
	chore.Close()
	require.Len(t, kept(t, store, c), 2)
}
