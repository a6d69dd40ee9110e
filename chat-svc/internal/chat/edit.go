package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

// How long after it was sent the sender may change a message, to the
// millisecond and inclusive (docs/api/chat.md).
const (
	EditWindow     = 15 * time.Minute
	WithdrawWindow = 2 * time.Minute
)

// MaxDelete is how many messages are deleted at once.
const MaxDelete = 100

// maxRaces is how often a change is decided again because another one of the
// same message came first.
const maxRaces = 8

// The refusals of changes to messages.
var (
	ErrUnchanged      = fault.New(fault.Invalid, "CONTENT_UNCHANGED", "content: must differ from what the message says.").With("field", "content")
	ErrEditWindow     = fault.New(fault.Forbidden, "EDIT_WINDOW_EXPIRED", "A message can be edited for 15 minutes after it was sent.")
	ErrWithdrawWindow = fault.New(fault.Forbidden, "WITHDRAW_WINDOW_EXPIRED", "A message can be withdrawn for 2 minutes after it was sent.")
)

// Edit changes what a message says, for its sender and within EditWindow, and
// gives the message as it is then. Faults: fault.ErrNotFound where the caller
// is no member or the message is deleted or withdrawn, fault.ErrForbidden,
// ErrEditWindow, ErrUnchanged, fault.ErrInvalid.
func (s *Service) Edit(ctx context.Context, caller id.Account, m id.Message, content string) (edited sequence.Message, err error) {
	if err := checkContent(content); err != nil {
		return edited, err
	}
	err = s.changeMessage(ctx, caller, m, func(is sequence.Message, _ Role) error {
		switch {
		case is.Deleted || is.Withdrawn:
			return fault.ErrNotFound
		case is.Sender != caller:
			return fault.ErrForbidden.Say("Only the sender edits a message.")
		case s.age(is) > EditWindow:
			return ErrEditWindow
		case is.Body.Content == content:
			return ErrUnchanged
		}
		edited = is
		edited.Body.Content, edited.EditedAt = content, s.editTime(is)
		return s.Store.EditMessage(ctx, is, content, edited.EditedAt)
	})
	return edited, err
}

// Delete hides what a message says, for its sender and for who leads the
// conversation, at any time. The message stays in lists. Deleting it again
// changes nothing. Faults: fault.ErrNotFound where the caller is no member or
// the message is withdrawn, fault.ErrForbidden.
func (s *Service) Delete(ctx context.Context, caller id.Account, m id.Message) error {
	deleted, err := s.DeleteAll(ctx, caller, []id.Message{m})
	if err == nil && deleted == 0 {
		return fault.ErrNotFound
	}
	return err
}

// DeleteAll is Delete for 1 to MaxDelete messages, whichever conversations they
// are in: none is deleted unless all may be. Those that are not there, or
// withdrawn, are passed over; deleted counts the others, each once. Faults:
// fault.ErrNotFound where the caller is no member of one of the conversations,
// fault.ErrForbidden, fault.ErrInvalid.
func (s *Service) DeleteAll(ctx context.Context, caller id.Account, all []id.Message) (deleted int, err error) {
	if len(all) == 0 || len(all) > MaxDelete {
		return 0, fault.Field("message_ids", "must name 1 to %d messages", MaxDelete)
	}
	due := map[id.Conversation][]int64{}
	for c, seqs := range byConversation(all) {
		found, err := s.deletable(ctx, caller, c, seqs)
		if err != nil {
			return 0, err
		}
		deleted += len(found)
		for _, m := range found {
			if !m.Deleted {
				due[c] = append(due[c], m.ID.Seq)
			}
		}
	}
	for c, seqs := range due {
		if err := s.Store.DeleteMessages(ctx, c, seqs, caller, s.now()); err != nil {
			return 0, err
		}
		s.Lists.Changed(c)
	}
	return deleted, nil
}

func byConversation(all []id.Message) map[id.Conversation][]int64 {
	seqs := map[id.Conversation][]int64{}
	for _, m := range all {
		if !slices.Contains(seqs[m.Conversation], m.Seq) {
			seqs[m.Conversation] = append(seqs[m.Conversation], m.Seq)
		}
	}
	return seqs
}

// deletable gives those of the messages that are there, if the caller may
// delete them.
func (s *Service) deletable(ctx context.Context, caller id.Account, c id.Conversation, seqs []int64) ([]sequence.Message, error) {
	member, err := s.Rights.member(ctx, c, caller)
	if err != nil {
		return nil, err
	}
	found, err := s.Store.Messages(ctx, c, seqs)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(m sequence.Message) bool { return m.Withdrawn })
	if !member.Role.Leads() && slices.ContainsFunc(found, func(m sequence.Message) bool { return m.Sender != caller }) {
		return nil, fault.ErrForbidden.Say("Only the sender, an admin or the owner deletes a message.")
	}
	return found, nil
}

// Withdraw erases a message, deleted or not, for its sender and within
// WithdrawWindow. It vanishes from lists; its place stays taken. Withdrawing
// it again changes nothing, at any time. Faults: fault.ErrNotFound where the
// caller is no member, fault.ErrForbidden, ErrWithdrawWindow.
func (s *Service) Withdraw(ctx context.Context, caller id.Account, m id.Message) error {
	return s.changeMessage(ctx, caller, m, func(is sequence.Message, _ Role) error {
		switch {
		case is.Withdrawn && is.Sender == caller:
			return nil
		case is.Withdrawn:
			return fault.ErrNotFound
		case is.Sender != caller:
			return fault.ErrForbidden.Say("Only the sender withdraws a message.")
		case s.age(is) > WithdrawWindow:
			return ErrWithdrawWindow
		}
		return s.Store.WithdrawMessage(ctx, m)
	})
}

// changeMessage lets a member decide about a message as it stands, and again where
// decide answers fault.ErrConflict because another change came in between.
func (s *Service) changeMessage(ctx context.Context, caller id.Account, m id.Message, decide func(sequence.Message, Role) error) error {
	member, err := s.Rights.member(ctx, m.Conversation, caller)
	if err != nil {
		return err
	}
	for range maxRaces {
		is, err := s.Store.Message(ctx, m)
		if err != nil {
			return err
		}
		err = decide(is, member.Role)
		if err == nil {
			s.Lists.Changed(m.Conversation)
		}
		if !errors.Is(err, fault.ErrConflict) {
			return err
		}
	}
	return fault.ErrUnavailable.Because(fmt.Errorf("message %s was changed %d times meanwhile", m, maxRaces))
}

func (s *Service) age(m sequence.Message) time.Duration { return s.now().Sub(m.CreatedAt) }

// editTime is now, or just behind the edit before, so that no two edits of a
// message have the same time.
func (s *Service) editTime(m sequence.Message) time.Time {
	if now := s.now(); now.After(m.EditedAt) {
		return now
	}
	return m.EditedAt.Add(time.Millisecond)
}
