package chat

import (
	"context"
	"errors"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

// strangerError is why somebody is told fault.ErrNotFound who is no member of
// a conversation, whether it is there or not.
type strangerError struct {
	conversation id.Conversation
	cause        error
}

func (e *strangerError) Error() string { return e.cause.Error() }

// strangers notes what a look for a caller's membership did not find.
func strangers(c id.Conversation, err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return fault.ErrNotFound.Because(&strangerError{c, err})
	}
	return err
}

// Disclose tells apart what fault.ErrNotFound leaves open: where err refuses
// who is no member of a conversation that is there, the answer is
// fault.ErrForbidden. Any other err comes back as it is.
func (s *Service) Disclose(ctx context.Context, err error) error {
	var stranger *strangerError
	if !errors.As(err, &stranger) {
		return err
	}
	_, absent := s.Store.MemberCount(ctx, stranger.conversation)
	switch {
	case errors.Is(absent, fault.ErrNotFound):
		return err
	case absent != nil:
		return absent
	}
	return fault.ErrForbidden.Say("You are not a member of this conversation.").Because(err)
}
