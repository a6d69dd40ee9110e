package mongostore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
)

func claim(key string) chat.Claim {
	return chat.Claim{
		Account: account(1), Key: key, Fingerprint: [16]byte{7}, Conversation: id.NewGroup(), StartedAt: at(0),
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	first := claim("k")
	insert := func(c chat.Claim) (chat.Claim, bool) {
		standing, inserted, err := s.InsertClaim(t.Context(), c)
		require.NoError(t, err)
		return standing, inserted
	}
	standing, inserted := insert(first)
	require.True(t, inserted)
	require.Equal(t, first, standing)
	standing, inserted = insert(claim("k"))
	require.False(t, inserted, "the key is used")
	require.Equal(t, first, standing, "the first claim stands")
	_, inserted = insert(claim("another"))
	require.True(t, inserted)
	others := claim("k")
	others.Account = account(2)
	_, inserted = insert(others)
	require.True(t, inserted, "each account has keys of its own")

	require.NoError(t, s.TakeClaim(t.Context(), first, at(40)))
	requireConflict(t, s.TakeClaim(t.Context(), first, at(41)))
	require.NoError(t, s.ReleaseClaim(t.Context(), first))
	require.NoError(t, s.DropClaim(t.Context(), first))
	standing, _ = insert(claim("k"))
	require.Equal(t, at(40), standing.StartedAt, "who lost the claim changes nothing")

	require.NoError(t, s.ReleaseClaim(t.Context(), standing))
	released, _ := insert(claim("k"))
	require.True(t, released.StartedAt.IsZero())
	require.Equal(t, first.Conversation, released.Conversation)
	require.NoError(t, s.TakeClaim(t.Context(), released, at(50)))

	require.NoError(t, s.FinishClaim(t.Context(), first, true))
	finished, _ := insert(claim("k"))
	require.True(t, finished.Finished)
	require.True(t, finished.Made)
	requireConflict(t, s.TakeClaim(t.Context(), finished, at(60)))

	require.NoError(t, s.DropClaim(t.Context(), claim("another")))
	_, inserted = insert(claim("another"))
	require.True(t, inserted, "a dropped key is free")
}
