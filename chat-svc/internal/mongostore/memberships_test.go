package mongostore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/sequence"
)

// What was said at one instant is found whole: up to that instant, since it, and
// between it and itself.
func TestMessagesOfOneInstant(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := inserted(t, s, group(0, "one"), 2).ID
	session, err := s.Begin()
	require.NoError(t, err)
	defer session.End()
	const each = 3 // messages at each of three instants
	var all []sequence.Message
	for seq := range int64(3 * each) {
		m := row(c, seq+1, "x")
		m.CreatedAt = at(int(seq / each))
		all = append(all, m)
	}
	_, err = session.Insert(t.Context(), all)
	require.NoError(t, err)

	for n := range int64(3) {
		instant, first, last := at(int(n)), n*each+1, n*each+each
		for _, tt := range []struct {
			at   time.Time
			want int64
		}{{instant, last}, {instant.Add(-time.Millisecond), first - 1}, {instant.Add(time.Millisecond), last}} {
			seq, err := s.SeqAt(t.Context(), c, tt.at)
			require.NoError(t, err)
			require.Equal(t, tt.want, seq, "the last one until %s", tt.at)
		}
		since := func(upTo time.Time, above int64) (seqs []int64) {
			found, err := s.CreatedSince(t.Context(), c, instant, upTo, above, 100)
			require.NoError(t, err)
			for _, m := range found {
				seqs = append(seqs, m.ID.Seq)
			}
			return seqs
		}
		require.Equal(t, []int64{first, first + 1, last}, since(instant, 0))
		require.Equal(t, []int64{last}, since(instant, first+1))
		require.Len(t, since(time.Time{}, 0), int(3*each-first+1))
	}
}
