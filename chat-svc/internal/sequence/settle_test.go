package sequence_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

// stand puts rows into the store that no committer of the test wrote.
func (s *store) stand(rows ...sequence.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, rows...)
	s.durable = len(s.log)
}

// before has a function run once, just before the next insert.
func (b *bench) before(run func(run []sequence.Message)) {
	b.store.insert = func(_ context.Context, all []sequence.Message) error {
		b.store.insert = nil
		run(all)
		return nil
	}
}

// An insert that is refused somewhere stands up to there, and all behind it
// stands too in the end, without a gap.
func TestARefusalInMidBatch(t *testing.T) {
	t.Parallel()
	for outcome, tt := range map[string]struct {
		foreign func(c id.Conversation) sequence.Message // comes just before the insert
		seqs    []int64                                  // of three messages, the second under a key
		reason  sequence.Refusal
	}{
		"another process took the second place": {
			func(c id.Conversation) sequence.Message {
				return sequence.Message{ID: id.Message{Conversation: c, Seq: 2}}
			},
			[]int64{1, 3, 4}, sequence.PlaceTaken,
		},
		"another process stored the second one": {
			func(c id.Conversation) sequence.Message {
				d := keyed(c, "two", "k")
				return sequence.Message{ID: id.Message{Conversation: c, Seq: 1}, Sender: d.Sender, Key: d.Key, Fingerprint: d.Fingerprint, Body: d.Body}
			},
			[]int64{2, 1, 3}, sequence.PlaceTaken,
		},
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, sequence.Options{})
				c := id.NewGroup()
				release := b.hold()
				opening := b.later(draft(id.NewGroup(), "holds the others back"))
				answers := []<-chan answer{b.later(draft(c, "one")), b.later(keyed(c, "two", "k")), b.later(draft(c, "three"))}
				b.before(func([]sequence.Message) { b.store.stand(tt.foreign(c)) })
				release()
				require.NoError(t, (<-opening).err)
				for i, answered := range answers {
					a := <-answered
					require.NoError(t, a.err)
					require.Equal(t, tt.seqs[i], a.receipt.Message.ID.Seq)
				}
				require.Equal(t, 3, b.reports[1].Messages, "they were one batch")
				require.Equal(t, tt.reason, b.reports[1].Refusal)
			})
		})
	}
}

// A repeat that reaches another replica is refused by the index of keys alone,
// where its place is free, and answered with the first message.
func TestARepeatInMidBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, sequence.Options{})
		c := id.NewGroup()
		first, err := b.Commit(t.Context(), keyed(c, "hello", "k"))
		require.NoError(t, err)
		release := b.hold()
		answers := []<-chan answer{
			b.later(draft(id.NewGroup(), "holds the others back")),
			b.later(draft(c, "before")), b.later(keyed(c, "hello", "k")), b.later(draft(c, "behind")),
		}
		release()
		<-answers[0]
		before, repeat, behind := <-answers[1], <-answers[2], <-answers[3]
		require.EqualValues(t, 2, before.receipt.Message.ID.Seq)
		require.Equal(t, sequence.Receipt{Message: first.Message, Replayed: true}, repeat.receipt)
		require.EqualValues(t, 3, behind.receipt.Message.ID.Seq, "its place is given to the next")
	})
}

// The driver sends a command again whose connection broke. What the first one
// stored is found by its marks and acknowledged where it stands.
func TestTheDriversSecondTry(t *testing.T) {
	t.Parallel()
	for outcome, stored := range map[string]int{"all was stored": 3, "a part was stored": 2} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, sequence.Options{})
				c := id.NewGroup()
				release := b.hold()
				opening := b.later(draft(id.NewGroup(), "holds the others back"))
				answers := []<-chan answer{b.later(draft(c, "one")), b.later(keyed(c, "two", "k")), b.later(draft(c, "three"))}
				b.before(func(run []sequence.Message) { b.store.stand(run[:stored]...) })
				release()
				<-opening
				for i, answered := range answers {
					a := <-answered
					require.NoError(t, a.err)
					require.False(t, a.receipt.Replayed, "it is the first answer that its sender gets")
					require.EqualValues(t, i+1, a.receipt.Message.ID.Seq)
				}
				require.Equal(t, sequence.PlaceTaken, b.reports[1].Refusal)
				require.Len(t, b.store.log, 4, "none stands twice")
			})
		})
	}
}

// Where nobody knows what was stored, nobody is acknowledged and nothing that
// was known is believed; the repeat with the key settles it.
func TestNobodyKnows(t *testing.T) {
	t.Parallel()
	for outcome, tt := range map[string]struct {
		happens  mishap
		replayed bool
	}{
		"nothing was written":              {cutBefore, false},
		"all was, and no majority in time": {noConcern, true},
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, sequence.Options{})
				c := id.NewGroup()
				_, err := b.Commit(t.Context(), draft(c, "one"))
				require.NoError(t, err)
				b.store.script = []mishap{tt.happens}
				_, err = b.Commit(t.Context(), keyed(c, "two", "k"))
				require.ErrorIs(t, err, fault.ErrUnavailable)
				require.ErrorIs(t, err, errConnection)
				require.True(t, b.reports[1].Unknown)
				require.Equal(t, 1, b.store.reads)

				again, err := b.Commit(t.Context(), keyed(c, "two", "k"))
				require.NoError(t, err)
				require.Equal(t, 2, b.store.reads, "the last place is read again")
				require.EqualValues(t, 2, again.Message.ID.Seq)
				require.Equal(t, tt.replayed, again.Replayed)
			})
		})
	}
}

// A place is not believed either when the wall clock was put back.
func TestAClockThatIsPutBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var put time.Duration
		s := &store{}
		c := sequence.New(sequence.Options{
			Store: s, Now: func() time.Time { return time.Now().Add(put) }, Committers: 1, Report: func(sequence.Report) {},
		})
		defer c.Close(context.Background())
		conversation := id.NewGroup()
		for n, back := range []time.Duration{0, 30 * time.Second, 2 * time.Minute} {
			put = -back
			receipt, err := c.Commit(t.Context(), draft(conversation, "hello"))
			require.NoError(t, err)
			require.EqualValues(t, n+1, receipt.Message.ID.Seq)
		}
		require.Equal(t, 2, s.reads, "half a minute is an adjustment, two are not")
	})
}
