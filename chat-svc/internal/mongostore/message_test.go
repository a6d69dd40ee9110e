package mongostore_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
)

func TestInsertAndReadBack(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := id.NewGroup()
	full := row(c, 2, "nul \x00, line\nbreak, \U0001F4AC")
	full.Key, full.Fingerprint = "k", [16]byte{1, 2, 3}
	full.Body.Type, full.Body.InReplyTo, full.Body.Mention = chat.Command, 1, []id.Account{account(2), account(3)}
	run := []sequence.Message{row(c, 1, "hello"), full}

	session, err := s.Begin()
	require.NoError(t, err)
	defer session.End()
	outcome, err := session.Insert(t.Context(), run)
	require.NoError(t, err)
	require.Equal(t, sequence.Outcome{Stored: 2}, outcome)

	rows, err := session.From(t.Context(), c, 1, 10)
	require.NoError(t, err)
	require.Equal(t, run, rows, "everything comes back, in order")
	rows, err = session.From(t.Context(), c, 1, 1)
	require.NoError(t, err)
	require.Equal(t, run[:1], rows, "at most the limit")
	rows, err = session.From(t.Context(), c, 3, 10)
	require.NoError(t, err)
	require.Empty(t, rows)
}

func TestInsertStopsAtTheFirstRefusal(t *testing.T) {
	t.Parallel()
	keyed := func(c id.Conversation, seq int64, sender int, key string) sequence.Message {
		m := row(c, seq, "again")
		m.Sender, m.Key = account(sender), key
		return m
	}
	tests := map[string]struct {
		second  func(c id.Conversation) sequence.Message
		outcome sequence.Outcome
	}{
		"a place that is taken": {
			func(c id.Conversation) sequence.Message { return row(c, 1, "mine") },
			sequence.Outcome{Stored: 1, Refusal: sequence.PlaceTaken},
		},
		"a key that its sender has used": {
			func(c id.Conversation) sequence.Message { return keyed(c, 3, 1, "k") },
			sequence.Outcome{Stored: 1, Refusal: sequence.KeyRepeated},
		},
		"both: the place counts": {
			func(c id.Conversation) sequence.Message { return keyed(c, 1, 1, "k") },
			sequence.Outcome{Stored: 1, Refusal: sequence.PlaceTaken},
		},
		"a key of another sender does not refuse": {
			func(c id.Conversation) sequence.Message { return keyed(c, 3, 2, "k") },
			sequence.Outcome{Stored: 3},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := open(t)
			c := id.NewGroup()
			session, err := s.Begin()
			require.NoError(t, err)
			defer session.End()
			_, err = session.Insert(t.Context(), []sequence.Message{keyed(c, 1, 1, "k")})
			require.NoError(t, err)

			outcome, err := session.Insert(t.Context(), []sequence.Message{row(c, 2, "before"), tt.second(c), row(c, 4, "behind")})
			require.NoError(t, err)
			require.Equal(t, tt.outcome.Stored, outcome.Stored)
			require.Equal(t, tt.outcome.Refusal, outcome.Refusal)
			behind, err := s.HasMessage(t.Context(), id.Message{Conversation: c, Seq: 4})
			require.NoError(t, err)
			require.Equal(t, tt.outcome.Refusal == sequence.None, behind)
		})
	}
}

func TestByKey(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := id.NewGroup()
	session, err := s.Begin()
	require.NoError(t, err)
	defer session.End()
	first := row(c, 1, "hello")
	first.Key, first.Fingerprint = "k", [16]byte{9}
	_, err = session.Insert(t.Context(), []sequence.Message{first})
	require.NoError(t, err)

	found, ok, err := session.ByKey(t.Context(), c, account(1), "k")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, first, found)
	for name, other := range map[string]struct {
		c      id.Conversation
		sender id.Account
		key    string
	}{
		"another conversation": {id.NewGroup(), account(1), "k"},
		"another sender":       {c, account(2), "k"},
		"another key":          {c, account(1), "l"},
	} {
		_, ok, err = session.ByKey(t.Context(), other.c, other.sender, other.key)
		require.NoError(t, err, name)
		require.False(t, ok, name)
	}
}

func TestLastPlace(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rows  []int64
		noted sequence.Place // in the conversation's document
		want  sequence.Place
	}{
		"nothing was said":       {},
		"nothing is noted yet":   {rows: []int64{1, 2, 3}, want: sequence.Place{Seq: 3, At: at(12)}},
		"the document is behind": {rows: []int64{1, 2, 3}, noted: sequence.Place{Seq: 1, At: at(10)}, want: sequence.Place{Seq: 3, At: at(12)}},
		"the document is right":  {rows: []int64{1, 2, 3}, noted: sequence.Place{Seq: 3, At: at(12)}, want: sequence.Place{Seq: 3, At: at(12)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, commands := open(t)
			c := inserted(t, s, group(0, name)).ID
			say(t, s, c, 10, tt.rows...)
			say(t, s, id.NewGroup(), 30, 1, 2, 3, 4)
			if tt.noted.Seq > 0 {
				require.NoError(t, s.SaveActivity(t.Context(), []events.Activity{{Conversation: c, Last: tt.noted}}))
			}
			commands.Reset()
			last, err := s.LastPlace(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, tt.want, last)
			sent := commands.Sent()
			require.Len(t, sent, 2, "the document, and the rows above")
			require.Equal(t, tt.noted.Seq, sent[1].Filters[0].Lookup("s", "$gt").Int64(), "rows that are noted are not walked")
		})
	}
}

// A conversation of which nothing but rows is left still has its last place.
func TestLastPlaceWithoutADocument(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := id.NewGroup()
	say(t, s, c, 10, 1, 2, 3)
	last, err := s.LastPlace(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, sequence.Place{Seq: 3, At: at(12)}, last)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	s, commands := open(t)
	c := id.NewGroup()
	say(t, s, c, 0, 1, 2, 3, 4, 5, 6)
	for name, tt := range map[string]struct {
		above, upTo int64
		limit       int
		want        []int64
	}{
		"newest first":         {0, math.MaxInt64, 10, []int64{6, 5, 4, 3, 2, 1}},
		"between both bounds":  {1, 4, 10, []int64{4, 3, 2}},
		"at most the limit":    {0, 5, 2, []int64{5, 4}},
		"nothing in the range": {6, math.MaxInt64, 10, []int64{}},
	} {
		commands.Reset()
		page, err := s.History(t.Context(), c, tt.above, tt.upTo, tt.limit)
		require.NoError(t, err, name)
		seqs := []int64{}
		for _, m := range page {
			seqs = append(seqs, m.ID.Seq)
		}
		require.Equal(t, tt.want, seqs, name)
		require.Equal(t, 1, commands.Count(), "one query")
	}
}

func TestHasMessage(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := id.NewGroup()
	say(t, s, c, 0, 1)
	there, err := s.HasMessage(t.Context(), id.Message{Conversation: c, Seq: 1})
	require.NoError(t, err)
	require.True(t, there)
	there, err = s.HasMessage(t.Context(), id.Message{Conversation: c, Seq: 2})
	require.NoError(t, err)
	require.False(t, there)
}
