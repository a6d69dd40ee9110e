package events_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
)

var errBroken = errors.New("broken")

// A script is a database's change stream as a test wants it: a source of all
// that was said, which breaks, repeats and forgets where it is told to. It is
// used by the feed's goroutine, and by the test while that waits.
type script struct {
	mu         sync.Mutex
	all        []events.Event // everything that ever happened, in order
	forgotten  int            // of these, the database has them no longer
	checkpoint events.Position
	repaired   int
	opened     int
	// What the next calls do, in turn: each gives so many changes, 0 says that
	// nothing came, and below 0 breaks. When they are used up, everything is
	// given at once.
	turns []int
	again int           // changes that a stream repeats from before where it is opened
	quiet bool          // the database answers nothing at all
	slow  time.Duration // how long each answer takes
}

func (s *script) Checkpoint(context.Context) (events.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkpoint, nil
}

func (s *script) Repair(context.Context) (events.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repaired++
	s.checkpoint = s.all[len(s.all)-1].Position
	return s.checkpoint, nil
}

func (s *script) Changes(_ context.Context, after events.Position) (events.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	at := 0
	for at < len(s.all) && !after.Before(s.all[at].Position) {
		at++
	}
	if at < s.forgotten {
		return nil, events.ErrTooOld
	}
	return &scripted{script: s, at: max(s.forgotten, at-s.again)}, nil
}

type scripted struct {
	*script
	at int
}

// pollEvery is how long the database waits for a change.
const pollEvery = 250 * time.Millisecond

func (s *scripted) Next(ctx context.Context) ([]events.Event, events.Position, error) {
	s.mu.Lock()
	slow := s.slow
	s.mu.Unlock()
	<-time.After(slow)
	if batch, newest, err := s.turn(); err != nil || len(batch) > 0 {
		return batch, newest, err
	}
	s.mu.Lock()
	wait := pollEvery
	if s.quiet {
		wait = time.Hour
	}
	s.mu.Unlock()
	select {
	case <-time.After(wait):
		batch, newest, err := s.turn()
		return batch, newest, err
	case <-ctx.Done():
		return nil, events.Position{}, ctx.Err()
	}
}

func (s *scripted) turn() ([]events.Event, events.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.all) - s.at
	if len(s.turns) > 0 {
		if s.turns[0] < 0 {
			s.turns = s.turns[1:]
			return nil, events.Position{}, errBroken
		}
		n = min(n, s.turns[0])
		s.turns = s.turns[1:]
	}
	batch := s.all[s.at : s.at+n]
	s.at += n
	newest := s.checkpoint
	if len(s.all) > 0 {
		newest = s.all[len(s.all)-1].Position
	}
	return batch, newest, nil
}

func (s *scripted) Close() {}

// sent is the nth message of a conversation, told at a position.
func sent(c byte, n int64, p events.Position) events.Event {
	conversation := id.Conversation{c}
	return events.Event{
		Position: p, Kind: events.MessageSent, Conversation: conversation,
		Message: &sequence.Message{ID: id.Message{Conversation: conversation, Seq: n}},
	}
}
