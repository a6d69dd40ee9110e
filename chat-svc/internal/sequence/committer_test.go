package sequence_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

// A bench is one committer over one store, in a bubble of its own time.
type bench struct {
	*sequence.Committer
	store   *store
	reports []sequence.Report
}

func newBench(t *testing.T, o sequence.Options) *bench {
	b := &bench{store: &store{}}
	o.Store, o.Now, o.Committers = b.store, time.Now, 1
	var mu sync.Mutex
	o.Report = func(r sequence.Report) {
		mu.Lock()
		defer mu.Unlock()
		b.reports = append(b.reports, r)
	}
	b.Committer = sequence.New(o)
	t.Cleanup(func() { b.Close(context.Background()) })
	return b
}

// hold makes inserts wait until the function that it returns is called.
func (b *bench) hold() (release func()) {
	gate := make(chan struct{})
	b.store.insert = func(ctx context.Context, _ []sequence.Message) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return sync.OnceFunc(func() { close(gate) })
}

type answer struct {
	receipt sequence.Receipt
	err     error
}

// later commits beside the test.
func (b *bench) later(d sequence.Draft) <-chan answer {
	answered := make(chan answer, 1)
	go func() {
		receipt, err := b.Commit(context.Background(), d)
		answered <- answer{receipt, err}
	}()
	synctest.Wait()
	return answered
}

func draft(c id.Conversation, text string) sequence.Draft {
	return sequence.Draft{Conversation: c, Sender: "agt_a", Body: sequence.Body{Content: text}}
}

func keyed(c id.Conversation, text, key string) sequence.Draft {
	d := draft(c, text)
	d.Key = key
	copy(d.Fingerprint[:], text)
	return d
}

func TestGathersWhileAWriteIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		release := b.hold()
		var all []<-chan answer
		for i := range 301 {
			all = append(all, b.later(draft(id.NewGroup(), fmt.Sprint(i))))
		}
		release()
		for _, answered := range all {
			require.NoError(t, (<-answered).err)
		}
		sizes := make([]int, 0, len(b.reports))
		for _, r := range b.reports {
			sizes = append(sizes, r.Messages)
		}
		require.Equal(t, []int{1, 256, 44}, sizes, "the first waits for nobody; batches are bounded")
	})
}

func TestEqualKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		c := id.NewGroup()
		release := b.hold()
		first := b.later(keyed(c, "hello", "k"))
		same := b.later(keyed(c, "hello", "k"))
		other := b.later(keyed(c, "bye", "k"))
		require.ErrorIs(t, (<-other).err, fault.ErrIdempotency, "in flight, another body")
		release()

		one, two := <-first, <-same
		require.NoError(t, one.err)
		require.NoError(t, two.err)
		require.False(t, one.receipt.Replayed)
		require.True(t, two.receipt.Replayed, "in flight, the same body")
		require.Equal(t, one.receipt.Message, two.receipt.Message)

		again, err := b.Commit(t.Context(), keyed(c, "hello", "k"))
		require.NoError(t, err)
		require.True(t, again.Replayed, "stored, the same body")
		require.Equal(t, one.receipt.Message, again.Message)
		_, err = b.Commit(t.Context(), keyed(c, "bye", "k"))
		require.ErrorIs(t, err, fault.ErrIdempotency, "stored, another body")

		elsewhere, err := b.Commit(t.Context(), keyed(id.NewGroup(), "bye", "k"))
		require.NoError(t, err)
		require.False(t, elsewhere.Replayed, "another conversation, another key")
		next, err := b.Commit(t.Context(), draft(c, "next"))
		require.NoError(t, err)
		require.EqualValues(t, 2, next.Message.ID.Seq, "repeats take no places")
	})
}

// Withdrawing takes a message's content and leaves its place, also the last
// one of a conversation, and what a repeat is recognised by.
func TestWithdrawnRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{Remembered: 1})
		c := id.NewGroup()
		first, err := b.Commit(t.Context(), keyed(c, "hello", "k"))
		require.NoError(t, err)
		_, err = b.Commit(t.Context(), draft(id.NewGroup(), "so that the place is forgotten"))
		require.NoError(t, err)
		b.store.withdraw(first.Message.ID)

		next, err := b.Commit(t.Context(), draft(c, "next"))
		require.NoError(t, err)
		require.EqualValues(t, 2, next.Message.ID.Seq, "the place of the withdrawn last row is not given again")
		require.False(t, next.Message.CreatedAt.Before(first.Message.CreatedAt))

		again, err := b.Commit(t.Context(), keyed(c, "hello", "k"))
		require.NoError(t, err)
		require.True(t, again.Replayed)
		require.True(t, again.Message.Withdrawn)
		require.Equal(t, first.Message.ID, again.Message.ID)
		require.Equal(t, sequence.Body{}, again.Message.Body)
		_, err = b.Commit(t.Context(), keyed(c, "bye", "k"))
		require.ErrorIs(t, err, fault.ErrIdempotency, "the key stays used")
	})
}

func TestFullQueueRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{Queue: 2})
		release := b.hold()
		waiting := []<-chan answer{
			b.later(draft(id.NewGroup(), "in flight")),
			b.later(draft(id.NewGroup(), "first of two")),
			b.later(draft(id.NewGroup(), "second of two")),
		}
		_, err := b.Commit(t.Context(), draft(id.NewGroup(), "too many"))
		require.ErrorIs(t, err, fault.ErrUnavailable)
		require.Positive(t, fault.Of(err).RetryAfter)
		require.InDelta(t, 1, b.Full(), 0)
		release()
		for _, answered := range waiting {
			require.NoError(t, (<-answered).err)
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		release := b.hold()
		inFlight, waiting := b.later(draft(id.NewGroup(), "1")), b.later(draft(id.NewGroup(), "2"))
		go b.Close(context.Background())
		synctest.Wait()
		_, err := b.Commit(t.Context(), draft(id.NewGroup(), "3"))
		require.ErrorIs(t, err, fault.ErrUnavailable, "closed to new ones")
		release()
		require.NoError(t, (<-inFlight).err)
		require.NoError(t, (<-waiting).err, "what was at hand is written")
	})
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		b.hold()
		inFlight, waiting := b.later(draft(id.NewGroup(), "1")), b.later(draft(id.NewGroup(), "2"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b.Close(ctx)
		require.ErrorIs(t, (<-inFlight).err, fault.ErrUnavailable)
		require.ErrorIs(t, (<-waiting).err, fault.ErrUnavailable)
	})
}

func TestABatchHasItsOwnDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		b.hold()
		begun := time.Now()
		_, err := b.Commit(t.Context(), draft(id.NewGroup(), "lost"))
		require.ErrorIs(t, err, fault.ErrUnavailable)
		require.Equal(t, 20*time.Second, time.Since(begun))
		require.True(t, b.reports[0].Unknown)
	})
}

func TestACallerMayLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		c := id.NewGroup()
		release := b.hold()
		ctx, leave := context.WithCancel(t.Context())
		leave()
		_, err := b.Commit(ctx, keyed(c, "hello", "k"))
		require.ErrorIs(t, err, fault.ErrUnavailable)
		release()
		again, err := b.Commit(t.Context(), keyed(c, "hello", "k"))
		require.NoError(t, err)
		require.True(t, again.Replayed, "the message went its way")
	})
}

func TestRejectedRowFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		c := id.NewGroup()
		release := b.hold()
		opening := b.later(draft(c, "1"))
		bad, good := b.later(draft(c, unstorable)), b.later(draft(c, "2"))
		release()
		require.NoError(t, (<-opening).err)
		err := (<-bad).err
		require.Error(t, err)
		require.Equal(t, fault.Internal, fault.Of(err).Kind)
		after := <-good
		require.NoError(t, after.err)
		require.EqualValues(t, 2, after.receipt.Message.ID.Seq, "its place is given to the next")
	})
}

func TestMemoryOfPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{Remembered: 2})
		c := id.NewGroup()
		say := func(c id.Conversation) {
			_, err := b.Commit(t.Context(), draft(c, "hello"))
			require.NoError(t, err)
		}
		say(c)
		say(c)
		require.Equal(t, 1, b.store.reads, "a known place is not read")
		<-time.After(9 * time.Minute)
		say(c)
		require.Equal(t, 1, b.store.reads, "each write confirms it")
		<-time.After(10*time.Minute + time.Second)
		say(c)
		require.Equal(t, 2, b.store.reads, "an old place is read again")
		for range 10 {
			say(id.NewGroup())
		}
		say(c)
		require.Equal(t, 13, b.store.reads, "memory is bounded")
	})
}

func TestTimeDoesNotRunBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		c := id.NewGroup()
		ahead := time.Now().Add(time.Hour).UTC()
		b.store.log = []sequence.Message{{ID: id.Message{Conversation: c, Seq: 1}, CreatedAt: ahead}}
		b.store.durable = 1
		receipt, err := b.Commit(t.Context(), draft(c, "hello"))
		require.NoError(t, err)
		require.Equal(t, ahead, receipt.Message.CreatedAt)
	})
}

func TestAContendedConversationDelaysNoOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		contended := id.NewGroup()
		_, err := b.Commit(t.Context(), draft(contended, "1"))
		require.NoError(t, err)
		b.store.log = append(b.store.log, sequence.Message{ID: id.Message{Conversation: contended, Seq: 2}})
		receipt, err := b.Commit(t.Context(), draft(contended, "3"))
		require.NoError(t, err)
		require.EqualValues(t, 3, receipt.Message.ID.Seq, "behind the other one's")

		gate := make(chan struct{})
		b.store.insert = func(_ context.Context, run []sequence.Message) error {
			if run[0].ID.Conversation == contended {
				<-gate
			}
			return nil
		}
		slow := b.later(draft(contended, "4"))
		second := b.later(draft(contended, "5"))
		_, err = b.Commit(t.Context(), draft(id.NewGroup(), "elsewhere"))
		require.NoError(t, err)
		close(gate)
		require.EqualValues(t, 4, (<-slow).receipt.Message.ID.Seq)
		require.EqualValues(t, 5, (<-second).receipt.Message.ID.Seq, "never two inserts at once")
	})
}

func TestGivesUpOnEndlessContention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		c := id.NewGroup()
		b.store.insert = func(_ context.Context, run []sequence.Message) error {
			<-time.After(time.Second)
			b.store.log = append(b.store.log, sequence.Message{ID: run[0].ID}) // another was faster, each time
			return nil
		}
		begun := time.Now()
		_, err := b.Commit(t.Context(), draft(c, "hello"))
		require.ErrorIs(t, err, fault.ErrUnavailable)
		require.InDelta(t, 20, time.Since(begun).Seconds(), 2)
	})
}

func TestAnUnreadablePlaceFailsItsOwnOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		b.store.script = []mishap{cutBefore}
		_, err := b.Commit(t.Context(), draft(id.NewGroup(), "hello"))
		require.ErrorIs(t, err, fault.ErrUnavailable)
		require.ErrorIs(t, err, errConnection, "the cause is kept for the log")
		_, err = b.Commit(t.Context(), draft(id.NewGroup(), "hello"))
		require.NoError(t, err)
	})
}
