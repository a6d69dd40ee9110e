package chat

import (
	"context"
	"fmt"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/svckit/fault"
)

// MarkRead moves the caller's read mark up to a message, nil for the last one,
// never back, and gives how many messages lie behind it. Faults: fault.ErrNotFound where the caller
// is no member, fault.ErrInvalid for a message of another conversation or one
// that is not there.
func (s *Service) MarkRead(ctx context.Context, caller id.Account, c id.Conversation, upTo *id.Message) (unread int64, err error) {
	view, err := s.view(ctx, caller, c)
	if err != nil {
		return 0, err
	}
	last := view.Last.Seq
	if upTo != nil {
		// Places have no gaps: each up to the last is there, or was.
		if upTo.Conversation != c || upTo.Seq > last {
			return 0, fault.Field("up_to", "must be a message of this conversation")
		}
		last = upTo.Seq
	}
	if last <= view.Read {
		return view.Unread(), nil
	}
	mark := map[readmark.Reader]int64{{Account: caller, Conversation: c}: last}
	if err := s.Store.MoveReads(ctx, mark); err != nil {
		return 0, fmt.Errorf("mark %s read: %w", c, err)
	}
	s.Lists.Read(caller, c, last)
	view.Read = last
	return view.Unread(), nil
}
