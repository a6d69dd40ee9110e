package chat

import (
	"context"
	"fmt"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/svckit/fault"
)

// MarkRead moves the caller's read mark up to a message, never back, and gives
// how many messages lie behind it. Faults: fault.ErrNotFound where the caller
// is no member, fault.ErrInvalid for a message of another conversation or one
// that is not there.
func (s *Service) MarkRead(ctx context.Context, caller id.Account, c id.Conversation, upTo id.Message) (unread int64, err error) {
	view, err := s.view(ctx, caller, c)
	if err != nil {
		return 0, err
	}
	// Places have no gaps: each up to the last is there, or was.
	if upTo.Conversation != c || upTo.Seq > view.Last.Seq {
		return 0, fault.Field("up_to", "must be a message of this conversation")
	}
	if upTo.Seq <= view.Read {
		return view.Unread(), nil
	}
	mark := map[readmark.Reader]int64{{Account: caller, Conversation: c}: upTo.Seq}
	if err := s.Store.MoveReads(ctx, mark); err != nil {
		return 0, fmt.Errorf("mark %s read: %w", c, err)
	}
	s.Lists.Read(caller, c, upTo.Seq)
	view.Read = upTo.Seq
	return view.Unread(), nil
}
