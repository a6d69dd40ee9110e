package sequence_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An acknowledgement is what one caller saw.
type acknowledgement struct {
	message    sequence.Message
	began, met int64 // before its first attempt, after the answer; one counter for all
}

// A world is two committers over one store, and what their callers saw.
type world struct {
	store    *store
	replicas []*sequence.Committer
	clock    atomic.Int64

	mu   sync.Mutex
	seen []acknowledgement
}

func (w *world) send(replica int, began int64, d sequence.Draft) bool {
	receipt, err := w.replicas[replica].Commit(context.Background(), d)
	if err != nil {
		return false
	}
	if rand.IntN(6) == 0 {
		w.store.withdraw(receipt.Message.ID)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, acknowledgement{receipt.Message, began, w.clock.Add(1)})
	return true
}

// client sends messages one after another. With a key it tries until it is
// acknowledged, now here, now there, sometimes on both at once.
func (w *world) client(name int, c id.Conversation, messages int) {
	for n := range messages {
		text := fmt.Sprintf("%d from %d", n, name)
		began := w.clock.Add(1)
		d := sequence.Draft{
			Conversation: c, Sender: id.Account(fmt.Sprint(name)),
			Body: sequence.Body{Content: text},
		}
		if rand.IntN(5) == 0 { // no key: one attempt
			w.send(rand.IntN(len(w.replicas)), began, d)
			continue
		}
		d.Key = text
		var both sync.WaitGroup
		if rand.IntN(4) == 0 {
			both.Go(func() { w.send(0, began, d) })
		}
		for !w.send(rand.IntN(len(w.replicas)), began, d) {
			continue // until the script of faults is over
		}
		both.Wait()
	}
}

// Two committers write the same conversations over a store that breaks
// connections, runs commands late or twice and loses what no majority has,
// while some of what was acknowledged is withdrawn. Then: every acknowledged message stands where it was acknowledged, numbers
// have no gap, no keyed message stands twice, the order is the order of
// acknowledgements, and time does not run back.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		mishaps := rapid.Custom(func(rt *rapid.T) mishap {
			return mishap(rapid.IntRange(0, int(mishapCount)-1).Draw(rt, "mishap"))
		})
		w := &world{store: &store{script: rapid.SliceOfN(mishaps, 0, 80).Draw(rt, "script")}}
		remembered := rapid.SampledFrom([]int{1, 100}).Draw(rt, "remembered")
		for range 2 {
			w.replicas = append(w.replicas, sequence.New(sequence.Options{
				Store: w.store, Now: time.Now, Report: func(sequence.Report) {},
				Committers: 2, Remembered: remembered,
			}))
		}
		conversations := make([]id.Conversation, rapid.IntRange(1, 4).Draw(rt, "conversations"))
		for i := range conversations {
			conversations[i] = id.NewGroup()
		}
		var clients sync.WaitGroup
		for name := range rapid.IntRange(1, 8).Draw(rt, "clients") {
			clients.Go(func() { w.client(name, conversations[name%len(conversations)], 8) })
		}
		clients.Wait()
		for _, r := range w.replicas {
			r.Close(context.Background())
		}
		w.store.runLate()
		w.store.settle(mishap(rapid.SampledFrom([]int{int(fine), int(failover)}).Draw(rt, "the end")))
		for _, c := range conversations {
			w.check(rt, c)
		}
	})
}

func (w *world) check(t require.TestingT, c id.Conversation) {
	var rows []sequence.Message
	for _, m := range w.store.log {
		if m.ID.Conversation == c {
			rows = append(rows, m)
		}
	}
	slices.SortFunc(rows, func(a, b sequence.Message) int { return cmp.Compare(a.ID.Seq, b.ID.Seq) })
	marks, keys := map[[8]byte]bool{}, map[string]bool{}
	for i, m := range rows {
		require.Equal(t, int64(i+1), m.ID.Seq, "a gap, or a place used twice")
		require.False(t, marks[m.Mark] || m.Key != "" && keys[m.Key], "%v stands twice", m)
		marks[m.Mark], keys[m.Key] = true, true
		require.True(t, i == 0 || !m.CreatedAt.Before(rows[i-1].CreatedAt), "time runs back")
	}

	var seen []acknowledgement
	for _, a := range w.seen {
		if a.message.ID.Conversation != c {
			continue
		}
		require.LessOrEqual(t, a.message.ID.Seq, int64(len(rows)), "%s is lost", a.message.ID)
		stands := rows[a.message.ID.Seq-1]
		if stands.Withdrawn {
			a.message = withdrawn(a.message)
		}
		require.Equal(t, stands, a.message, "acknowledged is not what stands")
		seen = append(seen, a)
	}
	// Going down the places, no message may have been acknowledged before
	// one that stands ahead of it was handed in.
	slices.SortFunc(seen, func(a, b acknowledgement) int { return cmp.Compare(a.message.ID.Seq, b.message.ID.Seq) })
	latest := int64(0)
	for _, a := range seen {
		require.Greater(t, a.met, latest, "%s stands behind one handed in after its acknowledgement", a.message.ID)
		latest = max(latest, a.began)
	}
}
