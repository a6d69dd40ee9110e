package events_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
)

func TestEndsAt(t *testing.T) {
	t.Parallel()
	at := func(n uint32) events.Position { return events.Position{Seconds: n} }
	one, two, three, unheard := id.Conversation{1}, id.Conversation{2}, id.Conversation{3}, id.Conversation{4}
	all := []events.Event{sent(1, 6, at(6)), sent(1, 7, at(7)), sent(2, 1, at(8)), sent(1, 8, at(9)), sent(3, 5, at(10))}
	for name, tt := range map[string]struct {
		memory int
		at     events.Position
		want   map[id.Conversation]int64
	}{
		"before everything": {1 << 20, at(5), map[id.Conversation]int64{one: 5, two: 0, unheard: 9}},
		"between":           {1 << 20, at(7), map[id.Conversation]int64{one: 7, two: 0, unheard: 9}},
		"at the newest":     {1 << 20, at(10), map[id.Conversation]int64{one: 8, two: 1, unheard: 9}},
		"no longer known":   {0, at(7), map[id.Conversation]int64{one: 8, two: 1, unheard: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFeed(&script{checkpoint: at(5), all: all}, tt.memory)
				following(t, f, func() { pass(10 * time.Second) })
				last := map[id.Conversation]int64{one: 99, two: 99, unheard: 9}
				f.EndsAt(tt.at, last)
				require.Equal(t, tt.want, last)
				require.NotContains(t, last, three, "nobody asked for it")
			})
		})
	}
}
