package push

import (
	"context"
	"sync"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

// A Method says what a client is told.
type Method string

// The methods (docs/api/events.md).
const (
	Hello           Method = "hello"
	ConversationNew Method = "conversationNew"
	MessageNew      Method = "messageNew"
	MessageEdited   Method = "messageEdited"
	MessageDeleted  Method = "messageDeleted"
	MemberChanged   Method = "memberChanged"
	Read            Method = "read"
	Typing          Method = "typing"
	Lost            Method = "gap"
)

// A Telling is what some clients are told: a method, about an event whose
// position is its id.
type Telling struct {
	Method Method
	Event  events.Event
	// From is the position behind which events were lost, of Lost.
	From events.Position
}

// An item is told to many, and its frames are made once: one for the account
// whose deed it is, one for all others.
type item[F any] struct {
	Telling
	mu     sync.Mutex
	frames [2]*F
}

func newItem[F any](t Telling) *item[F] { return &item[F]{Telling: t} }

// frame makes the frame for an account, or takes the one that was made for
// another.
func (h *Hub[F]) frame(ctx context.Context, i *item[F], to id.Account) (f F, err error) {
	which := 0
	switch author := i.author(); author {
	case "":
	case to:
		which = 1
	default:
		if hidden, err := h.Hidden(ctx, to, author, i.Event.Conversation); err != nil || hidden {
			return f, orNothing(err)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.frames[which] == nil {
		if f, err = h.Frame(ctx, i.Telling, to); err != nil {
			return f, err
		}
		i.frames[which] = &f
	}
	return *i.frames[which], nil
}

// author is who says or types what is told; "" where that is nothing said.
func (t Telling) author() id.Account {
	switch {
	case t.Event.Message != nil:
		return t.Event.Message.Sender
	case t.Method == Typing:
		return t.Event.Account
	}
	return ""
}

func orNothing(err error) error {
	if err == nil {
		return fault.ErrNotFound
	}
	return err
}

// An audience is who is told something of a conversation: its members, only one
// account, or all but one, or all but one client of an account.
type audience struct {
	conversation id.Conversation
	only         id.Account
	but          id.Account
	client       string // with but: this client of it alone
}

// spares reports whether the audience leaves out a client.
func (a audience) spares(account id.Account, client string) bool {
	return a.but == account && (a.client == "" || a.client == client)
}

// makings are how the conversations came to be that were made last.
type makings[F any] struct {
	of    map[id.Conversation]*making[F]
	order []id.Conversation // oldest first
}

type making[F any] struct {
	events.Making
	told *item[F] // to all with whom it was made
}

// makingsKept bounds them. Where a conversation is made that is not among them
// any more, its members are told of each other as if they had come later.
const makingsKept = 1000

func (m *makings[F]) note(e events.Event) *making[F] {
	found := &making[F]{*e.Making, newItem[F](Telling{Method: ConversationNew, Event: e})}
	if m.of[e.Conversation] == nil {
		m.order = append(m.order, e.Conversation)
		if len(m.order) > makingsKept {
			delete(m.of, m.order[0])
			m.order = append(m.order[:0:0], m.order[1:]...)
		}
	}
	m.of[e.Conversation] = found
	return found
}

// announcement is who is told of a conversation that was made.
func (m *making[F]) announcement(a audience) audience {
	if m.Client != "" {
		a.but, a.client = m.Creator, m.Client
	}
	return a
}

// tell says who is told what of an event.
func (m *makings[F]) tell(e events.Event, tell func(*item[F], audience)) {
	members := audience{conversation: e.Conversation}
	say := func(method Method, to audience) { tell(newItem[F](Telling{Method: method, Event: e}), to) }
	switch e.Kind {
	case events.MessageSent:
		say(MessageNew, members)
	case events.MessageChanged:
		say(changeOf(e), members)
	case events.MemberSet:
		m.tellJoin(e, tell)
	case events.MemberGone:
		gone := newItem[F](Telling{Method: MemberChanged, Event: e})
		tell(gone, audience{only: e.Account})
		tell(gone, audience{conversation: e.Conversation, but: e.Account})
	case events.ReadMoved:
		say(Read, members)
	case events.Typing:
		say(Typing, audience{conversation: e.Conversation, but: e.Account})
	case events.ConversationSet:
		if e.Making == nil {
			return
		}
		if made := m.note(e); !e.Making.Pending {
			tell(made.told, made.announcement(members))
		}
	}
}

func changeOf(e events.Event) Method {
	if e.Message.Deleted || e.Message.Withdrawn {
		return MessageDeleted
	}
	return MessageEdited
}

// tellJoin says who is told of a member that has come, or that has another role
// now. Those with whom a conversation is made are told of it, and not of each
// other.
func (m *makings[F]) tellJoin(e events.Event, tell func(*item[F], audience)) {
	made := m.of[e.Conversation]
	switch first := made != nil && made.At.Equal(e.JoinedAt); {
	case !e.Joined:
		tell(newItem[F](Telling{Method: MemberChanged, Event: e}), audience{conversation: e.Conversation})
	case first && made.Pending:
	case first:
		tell(made.told, made.announcement(audience{only: e.Account}))
	default:
		tell(newItem[F](Telling{Method: ConversationNew, Event: e}), audience{only: e.Account})
		tell(newItem[F](Telling{Method: MemberChanged, Event: e}), audience{conversation: e.Conversation, but: e.Account})
	}
}
