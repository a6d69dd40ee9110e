package mongostore

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"pgregory.net/rapid"

	"chatplatform.io/chat-svc/internal/events"
)

// Wherever a stream breaks, also between the changes of a transaction, one that
// begins at the cluster time of the last applied change gives every change the
// position that it had, and what comes behind that position is what was not
// applied. (The embedded engine gives each change a time of its own, so streams
// of the store cannot show it.)
func TestChangesAreCountedAlikeFromEveryClusterTimeOn(t *testing.T) {
	t.Parallel()
	times := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) bson.Timestamp {
		return bson.Timestamp{T: rapid.Uint32Range(1, 3).Draw(r, "seconds"), I: rapid.Uint32Range(1, 3).Draw(r, "ordinal")}
	}), 1, 30)
	rapid.Check(t, func(r *rapid.T) {
		changes := times.Draw(r, "changes")
		slices.SortFunc(changes, bson.Timestamp.Compare)
		all := positions(changes)
		for n := 1; n < len(all); n++ {
			require.True(r, all[n-1].Before(all[n]), "positions grow")
		}
		applied := rapid.IntRange(0, len(changes)-1).Draw(r, "applied")
		begin := 0
		for changes[begin] != changes[applied] {
			begin++
		}
		again := positions(changes[begin:])
		require.Equal(r, all[begin:], again)
		var left []events.Position
		for _, p := range again {
			if all[applied].Before(p) {
				left = append(left, p)
			}
		}
		require.Len(r, left, len(all)-applied-1)
	})
}

func TestWhatNoStreamGetsOver(t *testing.T) {
	t.Parallel()
	for code, hopeless := range map[int32]bool{286: true, 280: true, 136: true, 91: false} {
		err := tooOld(mongo.CommandError{Code: code})
		require.Error(t, err)
		require.Equal(t, hopeless, errors.Is(err, events.ErrTooOld), code)
	}
}

func positions(changes []bson.Timestamp) []events.Position {
	var c count
	all := make([]events.Position, len(changes))
	for n, at := range changes {
		all[n] = c.position(at)
	}
	return all
}
