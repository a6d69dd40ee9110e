package mongostore_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/auth-svc/internal/identity"
)

func TestPositionsHaveNoGapsAndNoOrderButTheirOwn(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	const writers, each = 4, 10
	ended, end := context.WithCancel(t.Context())
	var seen []int64
	var reading sync.WaitGroup
	reading.Go(func() { // a reader that never looks back
		for last := int64(0); ; {
			written := ended.Err() != nil // before the read, which then has everything
			changes, err := s.Changes(t.Context(), last, 7)
			require.NoError(t, err)
			for _, change := range changes {
				seen = append(seen, change.Position)
				last = change.Position
			}
			if written && len(changes) == 0 {
				return
			}
		}
	})
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				require.NoError(t, s.RevokeToken(t.Context(), "a1", strconv.Itoa(w)+"-"+strconv.Itoa(i), now(), now().Add(time.Hour)))
			}
		})
	}
	writing.Wait()
	end()
	reading.Wait()
	want := make([]int64, writers*each)
	for i := range want {
		want[i] = int64(i + 1)
	}
	require.Equal(t, want, seen)
}

func TestPositionAt(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	start := now()
	at := func(since time.Time) int64 {
		position, err := s.PositionAt(t.Context(), since)
		require.NoError(t, err)
		return position
	}
	require.Zero(t, at(start), "an empty feed begins at the beginning")
	// The second was begun before the first and kept after it.
	for i, minutes := range []int{2, 1, 3} {
		require.NoError(t, s.RevokeToken(t.Context(), "a1", strconv.Itoa(i), start.Add(time.Duration(minutes)*time.Minute), now().Add(time.Hour)))
	}
	require.EqualValues(t, 0, at(start))
	require.EqualValues(t, 0, at(start.Add(time.Minute)), "what happened at the instant is after it")
	require.EqualValues(t, 0, at(start.Add(2*time.Minute)), "none of those since is left out")
	require.EqualValues(t, 2, at(start.Add(2*time.Minute+time.Millisecond)))
	require.EqualValues(t, 3, at(start.Add(time.Hour)), "nothing since: the end")
}

func TestDeletionsAreKeptForGood(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	require.NoError(t, s.InsertAccount(t.Context(), account("a1", "ada")))
	past := now().Add(-8 * 24 * time.Hour)
	require.NoError(t, s.RevokeToken(t.Context(), "a1", "t1", past, now().Add(time.Hour)))
	require.NoError(t, s.DeleteAccount(t.Context(), "a1", identity.ContentErase, past))
	require.Eventually(t, func() bool {
		n, err := db.Collection("changes").CountDocuments(t.Context(), bson.D{{Key: "kind", Value: identity.ChangeTokenRevoked}})
		return err == nil && n == 0
	}, 90*time.Second, 50*time.Millisecond, "what only caches need is forgotten after a week")
	changes, err := s.Changes(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, changes, 1)
	require.Equal(t, identity.ChangeAccountDeleted, changes[0].Kind)
	require.Equal(t, identity.ContentErase, changes[0].Content)
	require.EqualValues(t, 2, changes[0].Position)
}

func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	revoked, err := s.TokenRevoked(t.Context(), "t1")
	require.NoError(t, err)
	require.False(t, revoked)
	for range 2 {
		require.NoError(t, s.RevokeToken(t.Context(), "a1", "t1", now(), now().Add(time.Hour)))
	}
	revoked, err = s.TokenRevoked(t.Context(), "t1")
	require.NoError(t, err)
	require.True(t, revoked)
	changes, err := s.Changes(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, changes, 1, "told once")
	require.Equal(t, "t1", changes[0].TokenID)
}
