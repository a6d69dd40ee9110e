package chat

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

// The types of message.
const (
	Text    = "text"
	Command = "command"
	System  = "system" // for owners and admins
)

// A NewMessage is what an account wants to say.
type NewMessage struct {
	// One of Conversation and Recipient is set. With Recipient the message goes
	// into the direct conversation with that account, which is made if need be.
	Conversation *id.Conversation
	Recipient    *id.Account

	Content   string
	Type      string       // "" is Text
	InReplyTo *id.Message  // nil, or a message of the same conversation
	Mention   []id.Account // members of the conversation; repetitions count once
	// Key makes the request repeatable for as long as the message lives; it
	// belongs to the sender and the conversation. "" for none.
	Key string
}

// Send stores a message durably and gives its place. Its cost does not depend
// on how many members the conversation has. Faults: fault.ErrNotFound where
// the caller is no member or the recipient does not exist, fault.ErrInvalid,
// fault.ErrForbidden, ErrBlocked, fault.ErrRateLimited, fault.ErrIdempotency.
func (s *Service) Send(ctx context.Context, caller id.Account, n NewMessage) (sequence.Receipt, error) {
	if err := n.check(); err != nil {
		return sequence.Receipt{}, err
	}
	if wait, ok := s.Sends.Take(string(caller)); !ok {
		return sequence.Receipt{}, fault.ErrRateLimited.After(wait)
	}
	c, role, err := s.target(ctx, caller, n)
	if err != nil {
		return sequence.Receipt{}, err
	}
	if err := s.mayWrite(ctx, caller, c); err != nil {
		return sequence.Receipt{}, err
	}
	body, err := s.body(ctx, c, role, n)
	if err != nil {
		return sequence.Receipt{}, err
	}
	receipt, err := s.Committer.Commit(ctx, sequence.Draft{
		Conversation: c, Sender: caller, Key: n.Key, Fingerprint: fingerprint(n.Key, body), Body: body,
	})
	if err != nil {
		return sequence.Receipt{}, fmt.Errorf("send into %s: %w", c, err)
	}
	s.Reads.Move(readmark.Reader{Account: caller, Conversation: c}, receipt.Message.ID.Seq)
	return receipt, nil
}

// check holds a message to what needs no asking.
func (n NewMessage) check() error {
	length := utf8.RuneCountInString(n.Content)
	switch {
	case (n.Conversation == nil) == (n.Recipient == nil):
		return fault.Field("conversation_id", "send either conversation_id or recipient_agent_id")
	case length == 0 || length > MaxContent:
		return fault.Field("content", "must have 1 to %d characters", MaxContent)
	case n.Type != "" && n.Type != Text && n.Type != Command && n.Type != System:
		return fault.Field("type", "must be text, command or system")
	case len(n.Mention) > MaxMention:
		return fault.Field("mention", "must name at most %d accounts", MaxMention)
	}
	return nil
}

// target finds the conversation and the caller's role in it.
func (s *Service) target(ctx context.Context, caller id.Account, n NewMessage) (id.Conversation, Role, error) {
	if n.Conversation != nil {
		member, err := s.member(ctx, *n.Conversation, caller)
		return *n.Conversation, member.Role, err
	}
	if *n.Recipient == caller {
		return id.Conversation{}, "", fault.Field("recipient_agent_id", "must be another account")
	}
	c := id.Direct(s.DirectKey, caller, *n.Recipient)
	member, err := s.member(ctx, c, caller)
	if errors.Is(err, fault.ErrNotFound) {
		if err := s.mayWrite(ctx, caller, c, *n.Recipient); err != nil {
			return c, "", err
		}
		_, err = s.create(ctx, caller, c, NewConversation{Type: Direct, Members: []id.Account{*n.Recipient}})
		member.Role = RoleMember
	}
	if errors.Is(err, ErrAgentID) {
		return c, "", fault.ErrNotFound.Say("There is no account %s.", *n.Recipient).With("field", "recipient_agent_id")
	}
	return c, member.Role, err
}

// body holds what is said to the rules of the conversation.
func (s *Service) body(ctx context.Context, c id.Conversation, role Role, n NewMessage) (sequence.Body, error) {
	body := sequence.Body{Type: cmp.Or(n.Type, Text), Content: n.Content}
	if n.Type == System && !role.Leads() {
		return body, fault.ErrForbidden.Say("Only owners and admins send system messages.")
	}
	if n.InReplyTo != nil {
		if err := s.checkReply(ctx, c, *n.InReplyTo); err != nil {
			return body, err
		}
		body.InReplyTo = n.InReplyTo.Seq
	}
	if len(n.Mention) == 0 {
		return body, nil
	}
	for _, a := range n.Mention {
		if !slices.Contains(body.Mention, a) {
			body.Mention = append(body.Mention, a)
		}
	}
	return body, s.checkMention(ctx, c, body.Mention)
}

func (s *Service) checkReply(ctx context.Context, c id.Conversation, m id.Message) error {
	refusal := fault.Field("in_reply_to", "must be a message of the same conversation")
	if m.Conversation != c {
		return refusal
	}
	there, err := s.Store.HasMessage(ctx, m)
	if err == nil && !there {
		return refusal
	}
	return err
}

func (s *Service) checkMention(ctx context.Context, c id.Conversation, mention []id.Account) error {
	found, err := s.Store.MembersAmong(ctx, c, mention)
	if err != nil {
		return err
	}
	for _, a := range mention {
		if !slices.ContainsFunc(found, func(m Member) bool { return m.Account == a }) {
			return fault.Field("mention", "%s is not a member of the conversation", a)
		}
	}
	return nil
}

// fingerprint tells one message from another under the same key.
func fingerprint(key string, body sequence.Body) [16]byte {
	if key == "" {
		return [16]byte{}
	}
	text, _ := json.Marshal(body) // strings and numbers always have a JSON form
	sum := sha256.Sum256(text)
	return [16]byte(sum[:16])
}

// History gives at most limit messages of a conversation, newest first: those
// below a number, or with 0 the newest. next is where the following page goes
// on; 0 when there is none. fault.ErrNotFound for who is no member.
func (s *Service) History(ctx context.Context, caller id.Account, c id.Conversation, below int64, limit int) (page []sequence.Message, next int64, err error) {
	if _, err := s.member(ctx, c, caller); err != nil {
		return nil, 0, err
	}
	page, err = s.readable(ctx, caller, c, below, limit)
	if err != nil || len(page) == 0 {
		return page, 0, err
	}
	if oldest := page[len(page)-1].ID.Seq; oldest > 1 {
		next = oldest
	}
	return page, next, nil
}

// page reads by one range with both bounds: numbers have no gaps.
func (s *Service) page(ctx context.Context, c id.Conversation, below int64, limit int) ([]sequence.Message, error) {
	if below > 0 {
		return s.Store.History(ctx, c, max(0, below-1-int64(limit)), below-1, limit)
	}
	// The newest ones stand at or behind the last place known here.
	above := max(0, s.Committer.Known(c)-int64(limit))
	page, err := s.Store.History(ctx, c, above, math.MaxInt64, limit)
	if err == nil && len(page) < limit && above > 0 { // what was known is no longer true: a backup was restored
		return s.Store.History(ctx, c, 0, math.MaxInt64, limit)
	}
	return page, err
}
