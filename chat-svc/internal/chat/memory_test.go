package chat

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m := newMemory[int, int](10, time.Now)
	for key := range 1000 {
		found, mine := m.find(key, time.Time{})
		require.True(t, mine)
		m.give(key, found, key, nil, true)
		again, mine := m.find(key, time.Time{})
		require.False(t, mine)
		value, err := again.wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, key, value)
		require.LessOrEqual(t, len(m.answers), 10)
	}
	hits, misses := m.lookups()
	require.Equal(t, []uint64{1000, 1000}, []uint64{hits, misses})
}

func TestAnswersOfAMemory(t *testing.T) {
	t.Parallel()
	clock := svctest.NewClock()
	tests := []struct {
		name  string
		then  func(m *memory[int, int]) (heard time.Time)
		found bool
	}{
		{"just asked", func(*memory[int, int]) time.Time { return time.Time{} }, true},
		{"too old", func(*memory[int, int]) time.Time { clock.Advance(rightsAge); return time.Time{} }, false},
		{"old, and nothing was heard to end it", func(*memory[int, int]) time.Time { clock.Advance(rightsAge); return clock.Now() }, true},
		{"ended", func(m *memory[int, int]) time.Time { m.end(1); return clock.Now() }, false},
		{"ended with others", func(m *memory[int, int]) time.Time { m.endWhere(all); return clock.Now() }, false},
		{"another one ended", func(m *memory[int, int]) time.Time { m.end(2); return clock.Now() }, true},
	}
	for _, tt := range tests {
		m := newMemory[int, int](10, clock.Now)
		first, _ := m.find(1, time.Time{})
		m.give(1, first, 1, nil, true)
		heard := tt.then(m)
		_, mine := m.find(1, heard)
		require.Equal(t, tt.found, !mine, tt.name)
	}
}
