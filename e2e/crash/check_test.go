package crash_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A story is what was sent into one conversation, and what it lists.
type story struct {
	summary

	rows []row
	sent map[string]*message
}

// newStory is one that holds: five messages, of which the third was edited, the
// fourth withdrawn, and the fifth never acknowledged.
func newStory() *story {
	s := &story{summary: summary{ID: "c", LastSeq: 5}, sent: map[string]*message{}}
	for seq := int64(1); seq <= 5; seq++ {
		m := &message{
			text: fmt.Sprint("text ", seq), group: "c", sender: "a", keyed: true, began: 2 * seq, met: 2*seq + 1,
			place: place{ID: fmt.Sprint("m", seq), Conversation: "c", Seq: seq, CreatedAt: fmt.Sprint("2026-01-01T00:00:00.00", seq)},
		}
		s.sent[m.text] = m
		s.rows = append(s.rows, row{place: m.place, Sender: "a", Content: m.text})
	}
	s.sent["text 3"].edited, s.rows[2].Content = "other words", "other words"
	s.sent["text 4"].withdrawn = true
	s.sent["text 5"].gaveUp, s.sent["text 5"].met, s.sent["text 5"].place = true, 0, place{}
	s.rows = slices.Delete(s.rows, 3, 4)
	return s
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	require.NoError(t, func() error { s := newStory(); return check(s.summary, s.rows, s.sent) }())
	for outcome, spoil := range map[string]func(*story){
		"is lost": func(s *story) { s.rows = s.rows[1:] },
		"stands twice, or nobody sent it": func(s *story) {
			again := s.rows[3]
			again.ID, again.Seq = "m6", 6
			s.rows = append(s.rows, again)
		},
		"number 1 stands twice":                   func(s *story) { s.rows = append(s.rows, s.rows[0]) },
		"was neither acknowledged nor given up":   func(s *story) { s.sent["text 5"].gaveUp = false },
		"and stands at":                           func(s *story) { s.rows[0].Seq, s.rows[1].Seq = 2, 1 },
		"is shown although it was withdrawn":      func(s *story) { s.sent["text 1"].withdrawn = true },
		`shows "text 3"`:                          func(s *story) { s.rows[2].Content = "text 3" },
		"(deleted: true)":                         func(s *story) { s.rows[0].Deleted = true },
		"is shown as one of b":                    func(s *story) { s.rows[0].Sender = "b" },
		"stands in d, not in c":                   func(s *story) { s.sent["text 5"].group, s.rows[3].Conversation = "c", "d" },
		"number 5 is a gap":                       func(s *story) { s.rows[3].Seq = 6 },
		"time runs back at number 5":              func(s *story) { s.rows[3].CreatedAt = "2026-01-01T00:00:00.000" },
		"handed in after it was acknowledged":     func(s *story) { s.sent["text 1"].began = 6 },
		"it ends at 6, and 5 messages stand here": func(s *story) { s.LastSeq = 6 },
		"it ends at 5, and 4 messages stand here": func(s *story) { s.rows = s.rows[:3] },
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			s := newStory()
			spoil(s)
			require.ErrorContains(t, check(s.summary, s.rows, s.sent), outcome)
		})
	}
}

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	rows := newStory().rows
	told := func(rows ...row) (*reader, error) {
		r := newReader("a", "/api/messages")
		return r, r.take(page{Messages: rows})
	}
	r, err := told(rows[0], rows[1], rows[0], rows[2], rows[3])
	require.NoError(t, err, "one is told twice")
	require.NoError(t, r.missed(rows))
	_, err = told(rows[1], rows[0])
	require.ErrorContains(t, err, "told number 1 of c after number 2")
	r, err = told(rows[0], rows[2], rows[3])
	require.NoError(t, err)
	require.ErrorContains(t, r.missed(rows), "was not told of 1 messages, the first one number 2 of c")
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	last := map[string]string{"c": "3", "d": "2", "e": "1"}
	list := func(order ...string) (all []summary) {
		for _, c := range order {
			all = append(all, summary{ID: c, LastMessageAt: last[c]})
		}
		return all
	}
	require.NoError(t, repaired(list("c", "d", "e"), last))
	require.ErrorContains(t, repaired(list("d", "c", "e"), last), "not in order")
	later := maps.Clone(last)
	later["c"] = "4"
	require.ErrorContains(t, repaired(list("c", "d", "e"), later), "the last message of c is of 4")
}
