package chat

import (
	"context"
	"time"
	"unicode/utf8"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

// MaxAction is how long the word for an action is, in characters.
const MaxAction = 32

// ActionStore passes on what is not kept.
type ActionStore interface {
	// TellAction has the feed tell once what an account is doing in a
	// conversation. It may be lost.
	TellAction(ctx context.Context, c id.Conversation, a id.Account, action string, at time.Time) error
}

// Act tells the members of a conversation what the caller is doing there:
// "typing", or anything else for nothing any more. It is told to whom may be
// sent, at best effort and once; the same again within a second of when it was
// told goes nowhere and counts as nothing. Faults: fault.ErrNotFound where the caller is no member,
// fault.ErrInvalid, ErrBlocked, fault.ErrRateLimited.
func (s *Service) Act(ctx context.Context, caller id.Account, c id.Conversation, action string) error {
	if utf8.RuneCountInString(action) > MaxAction {
		return fault.Field("action", "must have at most %d characters", MaxAction)
	}
	if err := s.Store.Reachable(); err != nil {
		return err
	}
	if _, err := s.Rights.member(ctx, c, caller); err != nil {
		return err
	}
	if err := s.mayWrite(ctx, caller, c); err != nil {
		return err
	}
	same := c.String() + string(caller) + action
	if s.Actions.Wait(same) > 0 {
		return nil
	}
	if err := s.mayWriteNow(caller, 1); err != nil {
		return err
	}
	if err := s.Store.TellAction(ctx, c, caller, action, s.now()); err != nil {
		return err
	}
	s.Actions.Take(same) // what nobody was told may be said again at once
	return nil
}
