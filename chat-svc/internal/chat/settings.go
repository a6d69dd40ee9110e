package chat

import (
	"context"
	"unicode/utf8"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

// Settings are what the owner and admins change of a group. What is nil stays
// as it is, what is empty is cleared.
type Settings struct {
	Name        *string
	Description *string
	Avatar      *string
}

// Update changes a group's settings. Faults: fault.ErrNotFound where the
// caller is no member, fault.ErrForbidden, fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, caller id.Account, c id.Conversation, to Settings) (Conversation, error) {
	if err := to.check(); err != nil {
		return Conversation{}, err
	}
	return s.manage(ctx, caller, c, caller, forLeaders("change the settings"), func(held) (Change, error) {
		return Change{At: s.now(), Name: to.Name, Description: to.Description, Avatar: to.Avatar}, nil
	})
}

func (to Settings) check() error {
	for _, limited := range []struct {
		field string
		value *string
		most  int
	}{
		{"name", to.Name, MaxName},
		{"metadata.description", to.Description, MaxDescription},
		{"metadata.avatar", to.Avatar, MaxAvatar},
	} {
		if limited.value != nil && utf8.RuneCountInString(*limited.value) > limited.most {
			return fault.Field(limited.field, "must have at most %d characters", limited.most)
		}
	}
	return nil
}

// Close ends a group for all its members; for the owner. Nobody sees it again.
// Faults: fault.ErrNotFound where the caller is no member, fault.ErrForbidden,
// fault.ErrInvalid.
func (s *Service) Close(ctx context.Context, caller id.Account, c id.Conversation) error {
	closed, err := s.manage(ctx, caller, c, caller, forOwner("closes the conversation"), func(held) (Change, error) {
		return Change{At: s.now(), Closes: true}, nil
	})
	if err == nil {
		s.Rights.closed(c)
		s.Lists.Closed(c)
	}
	if err == nil && closed.MemberCount > MaxChunk {
		s.Sweeper.Wake()
	}
	return err
}
