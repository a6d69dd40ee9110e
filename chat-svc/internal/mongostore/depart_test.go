package mongostore_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/departure"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

func TestAttended(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	first, second := inserted(t, s, group(0, "one"), 2).ID, inserted(t, s, group(1, "two"), 2).ID
	if bytes.Compare(first[:], second[:]) > 0 {
		first, second = second, first
	}
	inserted(t, s, group(2, "of others"), 3)
	_, err := s.ChangeConversation(t.Context(), first, []id.Account{account(2)}, func(chat.Conversation, []chat.Member) (chat.Change, error) {
		return chat.Change{At: at(5), Leaves: account(2)}, nil
	})
	require.NoError(t, err)
	attended := func(behind id.Conversation, limit int) []id.Conversation {
		found, err := s.Attended(t.Context(), account(2), behind, limit)
		require.NoError(t, err)
		return found
	}
	require.Equal(t, []id.Conversation{first, second}, attended(id.Conversation{}, 10), "left or not, by id")
	require.Equal(t, []id.Conversation{first}, attended(id.Conversation{}, 1))
	require.Equal(t, []id.Conversation{second}, attended(first, 10))
	require.Empty(t, attended(second, 10))
}

func TestEraseSent(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := inserted(t, s, group(0, "one"), 2).ID
	say(t, s, c, 1, 1, 2, 3, 4, 5) // all of the account 1
	erase := func(a id.Account, above int64, limit int) (int64, int) {
		upTo, erased, err := s.EraseSent(t.Context(), c, a, above, limit)
		require.NoError(t, err)
		return upTo, erased
	}
	expect := func(wantUpTo int64, wantErased int, upTo int64, erased int) {
		t.Helper()
		require.Equal(t, []int64{wantUpTo, int64(wantErased)}, []int64{upTo, int64(erased)})
	}
	upTo, erased := erase(account(2), 0, 3)
	expect(3, 0, upTo, erased)
	upTo, erased = erase(account(1), 1, 2)
	expect(3, 2, upTo, erased)
	upTo, erased = erase(account(1), 0, 10)
	expect(5, 3, upTo, erased)
	upTo, erased = erase(account(1), 5, 10)
	expect(0, 0, upTo, erased)
	is, err := s.Message(t.Context(), id.Message{Conversation: c, Seq: 2})
	require.NoError(t, err)
	require.True(t, is.Withdrawn)
	require.Empty(t, is.Body.Content)
}

func TestDeparturesAreKept(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	position, err := s.Heard(t.Context())
	require.NoError(t, err)
	require.Zero(t, position)
	d := departure.Departure{Account: account(1), Erase: true, Heard: at(1), Due: at(1)}
	require.NoError(t, s.Hear(t.Context(), []departure.Departure{d}, accounts.Position{Epoch: "e", At: 7}))
	position, err = s.Heard(t.Context())
	require.NoError(t, err)
	require.Equal(t, accounts.Position{Epoch: "e", At: 7}, position)

	due := func(now time.Time) []departure.Departure {
		found, err := s.Due(t.Context(), now, 10)
		require.NoError(t, err)
		return found
	}
	require.Empty(t, due(at(0)))
	require.Equal(t, []departure.Departure{d}, due(at(1)))
	d.Looks, d.Due, d.Left, d.Behind, d.UpTo = 1, at(9), true, id.NewGroup(), 7
	require.NoError(t, s.SaveDeparture(t.Context(), d))
	again := departure.Departure{Account: account(1), Heard: at(2), Due: at(2)}
	require.NoError(t, s.Hear(t.Context(), []departure.Departure{again}, accounts.Position{}))
	require.Equal(t, []departure.Departure{d}, due(at(9)), "what is there stays as it is")
	require.NoError(t, s.EndDeparture(t.Context(), d.Account))
	require.Empty(t, due(at(9)))
}

func TestHeirOfNobody(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	_, err := s.Heir(t.Context(), inserted(t, s, group(0, "alone")).ID, account(1))
	require.ErrorIs(t, err, fault.ErrNotFound)
}
