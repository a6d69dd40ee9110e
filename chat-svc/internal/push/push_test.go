package push_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/push"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/token"
)

const (
	ann = id.Account("agt_00000000000000000001")
	bob = id.Account("agt_00000000000000000002")
)

// A world is a hub in which everybody is in one conversation, with a feed of
// which the ring holds nothing.
type world struct {
	hub  *push.Hub[string]
	made chan push.Method // a frame
	left chan push.Why
	last uint32
}

func (w *world) Memberships(context.Context, id.Account, events.Position) ([]lists.Entry, error) {
	return []lists.Entry{{}}, nil
}
func (w *world) Applied() events.Position { return events.Position{Seconds: w.last} }
func (w *world) Taken() events.Position   { return w.Applied() }
func (w *world) Wait(context.Context, events.Position) (events.Position, error) {
	return w.Applied(), nil
}
func (w *world) Between(_, _ events.Position) ([]events.Event, bool) { return nil, false }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{made: make(chan push.Method, 10_000), left: make(chan push.Why, 10_000), last: 1}
	w.hub = push.New(push.Options[string]{
		Store: w,
		Frame: func(_ context.Context, t push.Telling, _ id.Account) (string, error) {
			w.made <- t.Method
			if t.Event.Message == nil {
				return string(t.Method), nil
			}
			return t.Event.Message.Body.Content, nil
		},
		Hidden: func(context.Context, id.Account, id.Account, id.Conversation) (bool, error) { return false, nil },
		Ended:  func(*token.Claims) bool { return false },
		Most:   1000, MostOfOne: 1000, Beat: time.Hour, Now: time.Now, Random: func() float64 { return 0 },
		Panicked: func(err error) { t.Error(err) },
		Wrote:    func(string) {}, Left: func(_ string, why push.Why) { w.left <- why },
	})
	w.hub.Hear(w)
	return w
}

func (w *world) connect(t *testing.T, who id.Account, s *sink) {
	t.Helper()
	c, err := w.hub.Connect(t.Context(), push.Request{Claims: &token.Claims{Subject: string(who)}, Door: "test"})
	require.NoError(t, err)
	s.over = make(chan struct{})
	c.Start(s, func() { <-s.over })
}

// say has the feed tell a message.
func (w *world) say(sender id.Account, content string) {
	w.last++
	w.hub.Listen(events.Event{
		Position: events.Position{Seconds: w.last}, Kind: events.MessageSent,
		Message: &sequence.Message{Sender: sender, ID: id.Message{Seq: int64(w.last)}, Body: sequence.Body{Content: content}},
	})
}

// A sink is a client that takes nothing while it is held.
type sink struct {
	held  sync.Mutex
	mu    sync.Mutex
	taken []string
	over  chan struct{}
}

func (s *sink) Write(frame string) error {
	s.held.Lock()
	defer s.held.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, frame)
	return nil
}
func (s *sink) Beat() error    { return nil }
func (s *sink) Close(push.End) { close(s.over) }

func (s *sink) has(n int) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.taken) == n
	}
}

const soon = 30 * time.Second

// However many hear of a message, its frame is made once, and once more for its
// sender.
func TestAFrameIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sinks := make([]*sink, 200)
	for n := range sinks {
		sinks[n] = &sink{}
		w.connect(t, []id.Account{ann, bob}[n%2], sinks[n])
	}
	w.say(ann, "one")
	w.say(ann, "two")
	for _, s := range sinks {
		require.Eventually(t, s.has(3), soon, time.Millisecond)
		require.Equal(t, []string{"hello", "one", "two"}, s.taken)
	}
	w.hub.Close(t.Context())
	close(w.made)
	messages := 0
	for method := range w.made {
		if method == push.MessageNew {
			messages++
		}
	}
	require.Equal(t, 4, messages)
}

// Behind a client that takes nothing no more than 1 MiB waits, and nobody waits
// for it.
func TestAQueueIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow, quick := &sink{}, &sink{}
	slow.held.Lock()
	w.connect(t, bob, slow)
	w.connect(t, bob, quick)
	const each = 40_000
	for n := range 100 {
		w.say(ann, strings.Repeat("x", each))
		require.Eventually(t, quick.has(n+2), soon, time.Millisecond, "the others go on")
	}
	slow.held.Unlock()
	require.Equal(t, push.Slow, <-w.left)
	require.LessOrEqual(t, len(slow.taken), 2, "what waited was let go of")
	require.Equal(t, 1, w.hub.Count("test"))
	w.hub.Close(t.Context())
	require.Equal(t, push.Leaving, <-w.left)
	require.Equal(t, 0, w.hub.Count("test"))
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
