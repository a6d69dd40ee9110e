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

// wideSpan is how many times wider each next range of places is, where too many
// messages were withdrawn or are hidden.
const wideSpan = 16

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
	// Client is that of NewConversation, where the message makes one.
	Client string
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
	if err := s.maySend(); err != nil {
		return sequence.Receipt{}, err
	}
	if err := s.mayWriteNow(caller, 1); err != nil {
		return sequence.Receipt{}, err
	}
	c, role, err := s.target(ctx, caller, n)
	if err != nil {
		return sequence.Receipt{}, err
	}
	body := n.body()
	draft := sequence.Draft{
		Conversation: c, Sender: caller, Key: n.Key, Fingerprint: fingerprint(n.Key, body), Body: body,
	}
	receipt, err := s.commit(ctx, draft, s.allows(ctx, caller, c, role, n, body))
	if err != nil {
		return sequence.Receipt{}, fmt.Errorf("send into %s: %w", c, err)
	}
	if !receipt.Replayed {
		s.Count(Sent, 1)
	}
	if receipt.Message.Withdrawn {
		receipt.Message.Body.Type = body.Type // all that its row does not have and a repeat is told
	}
	s.Lists.Sent(receipt.Message.ID, receipt.Message.CreatedAt)
	s.Reads.Move(readmark.Reader{Account: caller, Conversation: c}, receipt.Message.ID.Seq)
	return receipt, nil
}

// maySend refuses at once while nothing can be stored, or would get a time that
// catch-up does not look for.
func (s *Service) maySend() error {
	if offset := s.Feed.Offset(); offset.Abs() > s.limits.ClockOffset {
		return fault.ErrUnavailable.Say("This replica's clock is wrong, so that nothing can be sent through it; try again.").
			Because(fmt.Errorf("the clock is %s ahead of the database's", offset))
	}
	return s.Store.Reachable()
}

// commit stores a draft that nothing speaks against. A refusal stands, unless
// the draft repeats one that was stored before there was a reason for it.
func (s *Service) commit(ctx context.Context, d sequence.Draft, refusal error) (sequence.Receipt, error) {
	if refusal == nil {
		return s.Committer.Commit(ctx, d)
	}
	if d.Key == "" {
		return sequence.Receipt{}, refusal
	}
	first, err := s.Store.SentUnder(ctx, d.Conversation, d.Sender, d.Key)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return sequence.Receipt{}, refusal
	case err == nil && first.Fingerprint != d.Fingerprint:
		return sequence.Receipt{}, fault.ErrIdempotency
	}
	return sequence.Receipt{Message: first, Replayed: true}, err
}

// check holds a message to what needs no asking.
func (n NewMessage) check() error {
	switch {
	case (n.Conversation == nil) == (n.Recipient == nil):
		return fault.Field("conversation_id", "send either conversation_id or recipient_agent_id")
	case n.Type != "" && n.Type != Text && n.Type != Command && n.Type != System:
		return fault.Field("type", "must be text, command or system")
	case len(n.Mention) > MaxMention:
		return fault.Field("mention", "must name at most %d accounts", MaxMention)
	}
	return checkContent(n.Content)
}

func checkContent(content string) error {
	if length := utf8.RuneCountInString(content); length == 0 || length > MaxContent {
		return fault.Field("content", "must have 1 to %d characters", MaxContent)
	}
	return nil
}

// target finds the conversation and the caller's role in it.
func (s *Service) target(ctx context.Context, caller id.Account, n NewMessage) (id.Conversation, Role, error) {
	if n.Conversation != nil {
		member, err := s.Rights.member(ctx, *n.Conversation, caller)
		return *n.Conversation, member.Role, err
	}
	if *n.Recipient == caller {
		return id.Conversation{}, "", fault.Field("recipient_agent_id", "must be another account")
	}
	c := id.Direct(s.DirectKey, caller, *n.Recipient)
	member, err := s.Rights.member(ctx, c, caller)
	if errors.Is(err, fault.ErrNotFound) {
		if err := s.mayWrite(ctx, caller, c, *n.Recipient); err != nil {
			return c, "", err
		}
		_, err = s.create(ctx, caller, c, NewConversation{Type: Direct, Members: []id.Account{*n.Recipient}, Client: n.Client})
		member.Role = RoleMember
	}
	if errors.Is(err, ErrAgentID) {
		return c, "", fault.ErrNotFound.Say("There is no account %s.", *n.Recipient).With("field", "recipient_agent_id")
	}
	return c, member.Role, err
}

func (n NewMessage) body() sequence.Body {
	body := sequence.Body{Type: cmp.Or(n.Type, Text), Content: n.Content}
	if n.InReplyTo != nil {
		body.InReplyTo = n.InReplyTo.Seq
	}
	for _, a := range n.Mention {
		if !slices.Contains(body.Mention, a) {
			body.Mention = append(body.Mention, a)
		}
	}
	return body
}

// allows holds what is said to the rules of the conversation.
func (s *Service) allows(ctx context.Context, caller id.Account, c id.Conversation, role Role, n NewMessage, body sequence.Body) error {
	if err := s.mayWrite(ctx, caller, c); err != nil {
		return err
	}
	if n.Type == System && !role.Leads() {
		return fault.ErrForbidden.Say("Only owners and admins send system messages.")
	}
	if n.InReplyTo != nil {
		if err := s.checkReply(ctx, c, *n.InReplyTo); err != nil {
			return err
		}
	}
	if len(body.Mention) == 0 {
		return nil
	}
	return s.checkMention(ctx, c, body.Mention)
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
// below a number, or with 0 the newest; withdrawn and hidden ones are left out.
// Where those are many a page is shorter, and empty only at the end. below is
// where the following page goes on; 0 when there is none. fault.ErrNotFound
// for who is no member.
func (s *Service) History(ctx context.Context, caller id.Account, c id.Conversation, from int64, limit int) (found Timeline, below int64, err error) {
	if err := s.Store.Reachable(); err != nil {
		return Timeline{}, 0, err
	}
	if _, err := s.Rights.member(ctx, c, caller); err != nil {
		return Timeline{}, 0, err
	}
	at := s.Feed.Applied()
	blocked, err := s.blockedBy(ctx, caller)
	if err != nil {
		return Timeline{}, 0, err
	}
	hidden, err := s.hiddenIn(ctx, c, blocked)
	if err != nil {
		return Timeline{}, 0, err
	}
	page, left, err := s.page(ctx, c, from, limit+1, hidden)
	if err != nil {
		return Timeline{}, 0, err
	}
	found = Timeline{Messages: page, Next: Next{Position: at}}
	if len(page) > 0 {
		found.Next.Above = map[id.Conversation]int64{c: page[0].ID.Seq}
	}
	switch {
	case len(page) > limit:
		found.Messages, found.More, below = page[:limit], true, page[limit-1].ID.Seq
	case left > 0:
		found.More, below = true, left+1
	}
	return found, below, nil
}

// page reads a range with both bounds: numbers have no gaps. Where messages
// were withdrawn or are hidden it reads further down, in ranges that grow, two
// in all and more only while nothing is found. left is the highest place that
// was not looked at; it means nothing where the page is full.
func (s *Service) page(
	ctx context.Context, c id.Conversation, below int64, limit int, hidden []id.Account,
) (page []sequence.Message, left int64, err error) {
	upTo, left := below-1, below-1
	if below == 0 { // the newest ones stand at or behind the last place known here
		upTo, left = math.MaxInt64, s.Committer.Known(c)
	}
	span := int64(limit)
	for ranges := 0; ranges < 2 || len(page) == 0; ranges++ {
		left = max(0, left-span)
		found, err := s.Store.History(ctx, c, left, upTo, limit-len(page), hidden...)
		page = append(page, found...)
		if err != nil || len(page) == limit || left == 0 {
			return page, left, err
		}
		upTo, span = left, span*wideSpan
	}
	return page, left, nil
}
