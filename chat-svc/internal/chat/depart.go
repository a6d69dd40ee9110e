package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

const (
	// blockChunk is how many blocks are taken away in one step.
	blockChunk = 100
	// eraseSpan is how many messages of a conversation one step looks through.
	eraseSpan = 1000
)

// DepartureStore finds what a deleted account has left.
type DepartureStore interface {
	// Attended are conversations that an account is or once was a member of,
	// those whose ids stand behind one, in the order of their ids, at most limit.
	Attended(ctx context.Context, a id.Account, behind id.Conversation, limit int) ([]id.Conversation, error)
	// Heir is who follows an account as the owner: of the admins, or else of the
	// members, the one who joined first, and of several at once the one whose
	// id is first; fault.ErrNotFound where nobody else is a member.
	Heir(ctx context.Context, c id.Conversation, a id.Account) (Member, error)
	// EraseSent withdraws what an account has sent among the first limit
	// messages above a number. It gives the number of the last of these, 0 when
	// there are none, and how many it has withdrawn.
	EraseSent(ctx context.Context, c id.Conversation, a id.Account, above int64, limit int) (upTo int64, erased int, err error)
}

// DropBlocks takes some of a deleted account's blocks away, and tells whether
// there may be more.
func (s *Service) DropBlocks(ctx context.Context, a id.Account) (more bool, err error) {
	page, err := s.Store.Blocks(ctx, a, nil, blockChunk)
	if err != nil {
		return false, err
	}
	for _, b := range page {
		if err := s.Unblock(ctx, a, b.ID); err != nil && !errors.Is(err, fault.ErrNotFound) {
			return false, err
		}
	}
	return len(page) == blockChunk, nil
}

// errHeir says that the heir is no longer who it was.
var errHeir = errors.New("who follows as the owner has changed")

// Depart takes a deleted account out of a group. What it owns goes to its heir,
// and without one the group is closed. A direct conversation stays as it is,
// and so does a group that is still being made.
func (s *Service) Depart(ctx context.Context, a id.Account, c id.Conversation) error {
	found, err := s.Store.Conversations(ctx, []id.Conversation{c})
	if err != nil || found[c].Type != Group {
		return err
	}
	for range maxRaces {
		err := s.leaveToHeir(ctx, a, c)
		if errors.Is(err, fault.ErrNotFound) {
			return nil // no member, or no longer
		}
		if !errors.Is(err, errHeir) {
			return err
		}
	}
	return fmt.Errorf("the owner %s leaves %s: %w", a, c, errHeir)
}

func (s *Service) leaveToHeir(ctx context.Context, a id.Account, c id.Conversation) error {
	member, err := s.Store.Member(ctx, c, a)
	if err != nil {
		return err
	}
	var heir Member // nobody's where the account owns nothing or is alone
	if member.Role == RoleOwner {
		if heir, err = s.Store.Heir(ctx, c, a); err != nil && !errors.Is(err, fault.ErrNotFound) {
			return err
		}
	}
	is, err := s.change(ctx, a, c, heir.Account, forAll, func(h held) (Change, error) { return s.departure(h, heir) })
	if err == nil && is.MemberCount == 0 {
		s.Lists.Closed(c)
	}
	return err
}

// departure decides on what is so now: that there is an heir, and who it is,
// was read before.
func (s *Service) departure(h held, heir Member) (Change, error) {
	change := Change{At: s.now(), Leaves: h.caller.Account}
	switch {
	case h.caller.Role != RoleOwner:
	case heir.Account == "" && h.MemberCount == 1:
		change.Closes = true
	case h.target == nil || h.target.Role != heir.Role:
		return Change{}, errHeir
	default:
		change.Roles = map[id.Account]Role{heir.Account: RoleOwner}
	}
	return change, nil
}

// Erase withdraws, at whatever age, some of what a deleted account has sent into
// a conversation, closed or not: what stands above a number. It gives where to
// go on, 0 when there is no more, and how many messages were withdrawn. It looks
// through all messages, a bounded number of them.
func (s *Service) Erase(ctx context.Context, a id.Account, c id.Conversation, above int64) (upTo int64, erased int, err error) {
	upTo, erased, err = s.Store.EraseSent(ctx, c, a, above, eraseSpan)
	if erased > 0 {
		s.Lists.Changed(c)
	}
	return upTo, erased, err
}

// SentBefore is a number at or below which everything stood already that was
// sent before an instant.
func (s *Service) SentBefore(ctx context.Context, c id.Conversation, at time.Time) (int64, error) {
	return s.Store.SeqAt(ctx, c, at.Add(-lookBack))
}
