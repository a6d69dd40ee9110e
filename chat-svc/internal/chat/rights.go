package chat

import (
	"context"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/readmark"
)

const (
	// rightsAge is how long a membership that was read is believed: a change
	// is in effect on every replica within two seconds (docs/api/chat.md).
	rightsAge  = 2 * time.Second
	rightsSize = 100_000
)

// member finds one member, in memory or by one read; fault.ErrNotFound. Who is
// no member is looked up each time, so that a new one is let in at once.
func (s *Service) member(ctx context.Context, c id.Conversation, a id.Account) (Member, error) {
	key := readmark.Reader{Account: a, Conversation: c}
	if known, ok := s.rights.Get(key); ok {
		return known, nil
	}
	member, err := s.Store.Member(ctx, c, a)
	if err == nil {
		s.rights.Set(key, member)
	}
	return member, err
}
