package sequence

import (
	"time"

	"chatplatform.io/chat-svc/internal/id"
)

// recall gives the last place of the conversation when the store has
// confirmed it lately, by the wall clock and by the monotonic one: each stands
// still, or jumps, where the other does not.
func (s *shard) recall(c id.Conversation) (Place, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.memories[c]
	if !ok || m.confirmed.IsZero() {
		return Place{}, false
	}
	now := s.Now()
	wall := now.Round(0).Sub(m.confirmed.Round(0))
	if now.Sub(m.confirmed) > maxAge || wall > maxAge || wall < -time.Minute {
		return Place{}, false
	}
	return m.last, true
}

// known gives what is remembered, however old.
func (s *shard) known(c id.Conversation) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memories[c].last.Seq
}

// confirm keeps what the store has just told.
func (s *shard) confirm(c id.Conversation, last Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(c, last)
}

// remember is confirm for a caller that holds the lock.
func (s *shard) remember(c id.Conversation, last Place) {
	s.keep(c, memory{last: last, confirmed: s.Now(), contended: s.memories[c].contended})
}

// forget makes the next batch read the last place again.
func (s *shard) forget(c id.Conversation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(c, memory{contended: s.memories[c].contended})
}

// contend notes that another process writes into the conversation.
func (s *shard) contend(c id.Conversation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.memories[c]
	m.contended = s.Now()
	s.keep(c, m)
}

// keep bounds the memory: whatever else falls out costs one read.
func (s *shard) keep(c id.Conversation, m memory) {
	if _, known := s.memories[c]; !known && len(s.memories) >= s.Remembered {
		for other := range s.memories {
			delete(s.memories, other)
			break
		}
	}
	s.memories[c] = m
}
