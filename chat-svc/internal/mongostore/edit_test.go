package mongostore_test

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/svctest"
)

// full is a stored message that has everything a message can have.
func full(t *testing.T, s *mongostore.Store, c id.Conversation) sequence.Message {
	t.Helper()
	m := row(c, 2, "hello")
	m.Key, m.Fingerprint = "k", [16]byte{1, 2, 3}
	m.Body.Type, m.Body.InReplyTo, m.Body.Mention = chat.Command, 1, []id.Account{account(2)}
	session, err := s.Begin()
	require.NoError(t, err)
	defer session.End()
	outcome, err := session.Insert(t.Context(), []sequence.Message{row(c, 1, "first"), m})
	require.NoError(t, err)
	require.Equal(t, sequence.Outcome{Stored: 2}, outcome)
	return m
}

func stands(t *testing.T, s *mongostore.Store, m id.Message) sequence.Message {
	t.Helper()
	is, err := s.Message(t.Context(), m)
	require.NoError(t, err)
	return is
}

func TestMessage(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	m := full(t, s, id.NewGroup())
	require.Equal(t, m, stands(t, s, m.ID))
	for name, other := range map[string]id.Message{
		"another place": {Conversation: m.ID.Conversation, Seq: 3}, "another conversation": {Conversation: id.NewGroup(), Seq: 2},
	} {
		_, err := s.Message(t.Context(), other)
		require.ErrorIs(t, err, fault.ErrNotFound, name)
	}
}

func TestSentUnder(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	m := full(t, s, id.NewGroup())
	found, err := s.SentUnder(t.Context(), m.ID.Conversation, m.Sender, "k")
	require.NoError(t, err)
	require.Equal(t, m, found)
	_, err = s.SentUnder(t.Context(), m.ID.Conversation, account(2), "k")
	require.ErrorIs(t, err, fault.ErrNotFound, "of another sender")
	require.NoError(t, s.WithdrawMessage(t.Context(), m.ID))
	found, err = s.SentUnder(t.Context(), m.ID.Conversation, m.Sender, "k")
	require.NoError(t, err)
	require.True(t, found.Withdrawn, "withdrawn or not")
}

func TestEditMessage(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	first := full(t, s, id.NewGroup())
	require.NoError(t, s.EditMessage(t.Context(), first, "edited", at(10)))
	second := first
	second.Body.Content, second.EditedAt = "edited", at(10)
	require.Equal(t, second, stands(t, s, first.ID), "content and time change, nothing else")

	requireConflict(t, s.EditMessage(t.Context(), first, "lost", at(11)))
	require.NoError(t, s.EditMessage(t.Context(), second, "edited again", at(11)))
	requireConflict(t, s.EditMessage(t.Context(), second, "lost", at(12)))
	require.Equal(t, "edited again", stands(t, s, first.ID).Body.Content)

	third := stands(t, s, first.ID)
	require.NoError(t, remove(t, s, first.ID, 1))
	requireConflict(t, s.EditMessage(t.Context(), third, "back", at(14)))
	require.NoError(t, s.WithdrawMessage(t.Context(), first.ID))
	requireConflict(t, s.EditMessage(t.Context(), third, "back", at(15)))
	requireConflict(t, s.EditMessage(t.Context(), stands(t, s, first.ID), "back", at(15)))
	requireConflict(t, s.EditMessage(t.Context(), row(first.ID.Conversation, 9, "none"), "x", at(15)))
}

// remove deletes one message by account n, at a time of its own.
func remove(t *testing.T, s *mongostore.Store, m id.Message, n int) error {
	t.Helper()
	return s.DeleteMessages(t.Context(), m.Conversation, []int64{m.Seq}, account(n), at(10+n))
}

func TestMessages(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	m := full(t, s, id.NewGroup())
	full(t, s, id.NewGroup())
	require.NoError(t, s.WithdrawMessage(t.Context(), id.Message{Conversation: m.ID.Conversation, Seq: 1}))
	found, err := s.Messages(t.Context(), m.ID.Conversation, []int64{1, 2, 3})
	require.NoError(t, err)
	slices.SortFunc(found, func(a, b sequence.Message) int { return int(a.ID.Seq - b.ID.Seq) })
	require.Len(t, found, 2, "those that are there")
	require.True(t, found[0].Withdrawn, "withdrawn or not")
	require.Equal(t, m, found[1])
}

func TestDeleteMessages(t *testing.T) {
	t.Parallel()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	s := mongostore.New(db)
	m := full(t, s, id.NewGroup())
	elsewhere := full(t, s, id.NewGroup())
	require.NoError(t, remove(t, s, m.ID, 7))
	want := m
	want.Deleted, want.Body.Content = true, ""
	require.Equal(t, want, stands(t, s, m.ID), "everything but the content")
	require.Equal(t, elsewhere, stands(t, s, elsewhere.ID), "in one conversation")

	withdrawn := id.Message{Conversation: m.ID.Conversation, Seq: 1}
	require.NoError(t, s.WithdrawMessage(t.Context(), withdrawn))
	require.NoError(t, s.DeleteMessages(t.Context(), m.ID.Conversation, []int64{1, 2, 9}, account(8), at(11)))
	require.False(t, stands(t, s, withdrawn).Deleted, "a withdrawn one stays as it is")
	doc, err := db.Collection("messages").FindOne(t.Context(), bson.D{{Key: "_id", Value: m.ID.Place()}}).Raw()
	require.NoError(t, err)
	require.Equal(t, string(account(7)), doc.Lookup("deleted_by").StringValue(), "so does a deleted one")

	there, err := s.HasMessage(t.Context(), m.ID)
	require.NoError(t, err)
	require.True(t, there, "it may be replied to")
	page, err := s.History(t.Context(), m.ID.Conversation, 0, math.MaxInt64, 10)
	require.NoError(t, err)
	require.Equal(t, want, page[0], "it stays in lists")
}

func TestWithdrawMessage(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	m := full(t, s, id.NewGroup())
	c := m.ID.Conversation
	require.NoError(t, s.EditMessage(t.Context(), m, "edited", at(10)))
	require.NoError(t, remove(t, s, m.ID, 7))
	require.NoError(t, s.WithdrawMessage(t.Context(), m.ID))
	want := m
	want.Body, want.Withdrawn = sequence.Body{}, true
	require.Equal(t, want, stands(t, s, m.ID), "place, sender, key, fingerprint, mark and time are left")
	requireConflict(t, s.WithdrawMessage(t.Context(), m.ID))
	require.NoError(t, remove(t, s, m.ID, 8))
	require.Equal(t, want, stands(t, s, m.ID), "it is deleted no more")

	there, err := s.HasMessage(t.Context(), m.ID)
	require.NoError(t, err)
	require.False(t, there, "it may not be replied to")
	page, err := s.History(t.Context(), c, 0, math.MaxInt64, 10)
	require.NoError(t, err)
	require.Len(t, page, 1, "it is gone from lists")
	last, err := s.LastPlace(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, sequence.Place{Seq: 2, At: m.CreatedAt}, last, "it is still the last place")

	session, err := s.Begin()
	require.NoError(t, err)
	defer session.End()
	outcome, err := session.Insert(t.Context(), []sequence.Message{row(c, 2, "usurper")})
	require.NoError(t, err)
	require.Equal(t, sequence.PlaceTaken, outcome.Refusal, "its place is taken")
	rows, err := session.From(t.Context(), c, 2, 10)
	require.NoError(t, err)
	require.Equal(t, []sequence.Message{want}, rows, "who was refused finds it there")
	again := row(c, 3, "hello")
	again.Key = "k"
	outcome, err = session.Insert(t.Context(), []sequence.Message{again})
	require.NoError(t, err)
	require.Equal(t, sequence.KeyRepeated, outcome.Refusal, "its key is used")
}

// Of changes that read the same state and race, one is made.
func TestChangesRace(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	tests := map[string]func(m sequence.Message, n int) error{
		"edits": func(m sequence.Message, n int) error {
			return s.EditMessage(t.Context(), m, "edited", at(10).Add(time.Duration(n)*time.Millisecond))
		},
		"withdrawals": func(m sequence.Message, _ int) error { return s.WithdrawMessage(t.Context(), m.ID) },
	}
	for name, change := range tests {
		for range 5 {
			m := full(t, s, id.NewGroup())
			var made, refused atomic.Int32
			var all sync.WaitGroup
			for n := range 8 {
				all.Go(func() {
					switch err := change(m, n); {
					case err == nil:
						made.Add(1)
					case fault.Of(err).Is(fault.ErrConflict):
						refused.Add(1)
					}
				})
			}
			all.Wait()
			require.EqualValues(t, 1, made.Load(), name)
			require.EqualValues(t, 7, refused.Load(), name)
		}
	}
}
