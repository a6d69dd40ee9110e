package readmark_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }

// A breaking store is the real one, which can be broken.
type breaking struct {
	*mongostore.Store
	broken atomic.Bool
}

func (b *breaking) MoveReads(ctx context.Context, marks map[readmark.Reader]int64) error {
	if b.broken.Load() {
		return errors.New("broken")
	}
	return b.Store.MoveReads(ctx, marks)
}

const ann = id.Account("agt_00000000000000000001")

func newWriter(t *testing.T) (*readmark.Writer, *breaking, readmark.Reader) {
	t.Helper()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	store := &breaking{Store: mongostore.New(db)}
	c := chat.Conversation{ID: id.NewGroup(), Type: chat.Group, Creator: ann, MemberCount: 1}
	require.NoError(t, store.InsertConversation(t.Context(), c, []chat.Member{{Account: ann, Role: chat.RoleOwner}}, false))
	logger, _ := svctest.Logs(t)
	w := readmark.New(store, logger)
	t.Cleanup(func() { w.Close(context.Background()) })
	return w, store, readmark.Reader{Account: ann, Conversation: c.ID}
}

func stored(t *testing.T, store *breaking, r readmark.Reader) int64 {
	t.Helper()
	view, err := store.View(t.Context(), r.Account, r.Conversation)
	require.NoError(t, err)
	return view.Read
}

func TestManyMovesAreOneWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		logger, _ := svctest.Logs(t)
		store, reader := &counting{}, readmark.Reader{Account: ann}
		w := readmark.New(store, logger)
		defer w.Close(t.Context())
		for seq := range int64(100) {
			w.Move(reader, seq+1)
		}
		w.Move(reader, 50)
		require.EqualValues(t, 100, w.Mark(reader), "known at once, never back")
		<-time.After(1500 * time.Millisecond)
		require.EqualValues(t, 100, store.latest.Load())
		require.EqualValues(t, 1, store.writes.Load())
	})
}

// Who read the store before a mark was written finds it here for as long as a
// request takes; then it is forgotten, or the process would grow with its
// readers.
func TestAWrittenMarkIsRememberedForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		logger, _ := svctest.Logs(t)
		store := &counting{}
		w := readmark.New(store, logger)
		defer w.Close(t.Context())
		reader, other := readmark.Reader{Account: ann}, readmark.Reader{Account: ann, Conversation: id.Conversation{1}}
		w.Move(reader, 7)
		<-time.After(1500 * time.Millisecond)
		require.EqualValues(t, 1, store.writes.Load())
		for seconds := range 7 { // others write all the time
			require.EqualValues(t, 7, w.Mark(reader), "after %d s", seconds)
			w.Move(other, int64(seconds+1))
			<-time.After(1100 * time.Millisecond)
		}
		for seconds := range 16 {
			w.Move(other, int64(seconds+10))
			<-time.After(1100 * time.Millisecond)
		}
		require.Zero(t, w.Mark(reader))
		require.EqualValues(t, 25, w.Mark(other))
	})
}

// A counting store is there in no time, and keeps the latest mark alone.
type counting struct{ writes, latest atomic.Int64 }

func (c *counting) MoveReads(_ context.Context, marks map[readmark.Reader]int64) error {
	c.writes.Add(1)
	for _, seq := range marks {
		c.latest.Store(seq)
	}
	return nil
}

func TestMovesOutliveAnOutage(t *testing.T) {
	t.Parallel()
	w, store, reader := newWriter(t)
	store.broken.Store(true)
	w.Move(reader, 7)
	require.Never(t, func() bool { return w.Mark(reader) != 7 }, 2500*time.Millisecond, 100*time.Millisecond)
	store.broken.Store(false)
	require.Eventually(t, func() bool { return stored(t, store, reader) == 7 }, 30*time.Second, 10*time.Millisecond)
}

func TestCloseWritesWhatIsPending(t *testing.T) {
	t.Parallel()
	w, store, reader := newWriter(t)
	w.Move(reader, 3)
	w.Close(t.Context())
	require.EqualValues(t, 3, stored(t, store, reader))
	w.Move(reader, 9)
	require.EqualValues(t, 3, w.Mark(reader), "closed")
}
