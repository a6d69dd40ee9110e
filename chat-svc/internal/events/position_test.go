package events_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/chat-svc/internal/events"
)

func positions() *rapid.Generator[events.Position] {
	part := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 2)) // equal parts are of interest
	return rapid.Custom(func(r *rapid.T) events.Position {
		return events.Position{Seconds: part.Draw(r, "seconds"), Ordinal: part.Draw(r, "ordinal"), Index: part.Draw(r, "index")}
	})
}

func TestPositionsAndTheirBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		p, q := positions().Draw(r, "p"), positions().Draw(r, "q")
		back, err := events.FromBytes(p.Bytes())
		require.NoError(r, err)
		require.Equal(r, p, back)
		require.Equal(r, p.Compare(q), bytes.Compare(p.Bytes(), q.Bytes()), "bytes stand in the order of positions")
		require.Equal(r, p.Compare(q), -q.Compare(p))
		require.Equal(r, p.Compare(q) < 0, p.Before(q))
		require.Equal(r, p == q, p.Compare(q) == 0)
		require.Equal(r, int64(p.Seconds), p.Time().Unix())
	})
}

func TestBytesThatAreNoPosition(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 11, 13} {
		_, err := events.FromBytes(make([]byte, size))
		require.Error(t, err, size)
	}
}
