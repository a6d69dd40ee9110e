package lists

import (
	"time"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
)

// Listen applies one event; it runs on the feed's goroutine. An event without
// a position ends all tracking.
func (l *Lists) Listen(e events.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Position.IsZero() {
		for a, tracked := range l.accounts {
			l.drop(a, tracked)
		}
		return
	}
	switch e.Kind {
	case events.ConversationClosed:
		l.close(e.Conversation)
	case events.BlocksChanged:
		if tracked := l.accounts[e.Account]; tracked != nil {
			l.drop(e.Account, tracked)
		}
	case events.MemberSet, events.MemberGone, events.ReadMoved:
		l.account(e)
	case events.MessageSent, events.MessageChanged, events.ConversationSet:
		l.conversation(e)
	}
}

func (l *Lists) account(e events.Event) {
	tracked := l.accounts[e.Account]
	switch {
	case tracked == nil:
	case !tracked.ready:
		tracked.heard = append(tracked.heard, e)
	default:
		l.apply(e.Account, tracked, e)
	}
}

func (l *Lists) apply(a id.Account, tracked *account, e events.Event) {
	m := tracked.member[e.Conversation]
	switch e.Kind {
	case events.MemberSet:
		if m == nil { // what is in the conversation already has to be read
			l.drop(a, tracked)
		}
		return // a role is not shown in lists
	case events.MemberGone:
		l.leave(a, tracked, e.Conversation)
	case events.ReadMoved:
		if m == nil || e.Seq <= m.read {
			return
		}
		m.read = e.Seq
	}
	tracked.raise()
}

// conversation raises the versions of everybody who sees the conversation.
func (l *Lists) conversation(e events.Event) {
	c := l.conversations[e.Conversation]
	if c == nil {
		return
	}
	switch e.Kind {
	case events.MessageSent:
		c.advance(sequence.Place{Seq: e.Message.ID.Seq, At: e.Message.CreatedAt})
	case events.ConversationSet:
		c.pending = false // what is being made changes only once
	}
	for _, tracked := range c.tracked {
		tracked.raise()
	}
}

// Sent applies a message of this process before the feed tells of it.
func (l *Lists) Sent(m id.Message, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := sequence.Place{Seq: m.Seq, At: at}
	l.own.note(m.Conversation, last, l.now())
	c := l.conversations[m.Conversation]
	if c == nil || !c.advance(last) {
		return
	}
	for _, tracked := range c.tracked {
		tracked.raise()
	}
}

// Changed applies a change of this process to what a conversation shows.
func (l *Lists) Changed(c id.Conversation) {
	l.Listen(events.Event{Position: events.Position{Seconds: 1}, Kind: events.MessageChanged, Conversation: c})
}

// Closed applies the closing of a conversation by this process.
func (l *Lists) Closed(c id.Conversation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close(c)
}

func (l *Lists) close(of id.Conversation) {
	c := l.conversations[of]
	if c == nil {
		return
	}
	for a, tracked := range c.tracked {
		l.leave(a, tracked, of)
		tracked.raise()
	}
}

// Read applies the move of a read mark of this process.
func (l *Lists) Read(a id.Account, c id.Conversation, seq int64) {
	l.Listen(events.Event{Position: events.Position{Seconds: 1}, Kind: events.ReadMoved, Conversation: c, Account: a, Seq: seq})
}

// Forget has the accounts' lists read anew: this process changed what they are
// members of.
func (l *Lists) Forget(accounts ...id.Account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range accounts {
		if tracked := l.accounts[a]; tracked != nil {
			l.drop(a, tracked)
		}
	}
}

func (c *conversation) advance(last sequence.Place) bool {
	if last.Seq <= c.last.Seq {
		return false
	}
	c.last = last
	return true
}

// ownKept is how long this process's own messages are known beside the feed,
// which tells them milliseconds later.
const (
	ownKept = 5 * time.Second
	ownMost = 16 << 10
)

// own is where conversations ended when this process last wrote into them.
type own map[id.Conversation]ownPlace

type ownPlace struct {
	last sequence.Place
	at   time.Time
}

func (o own) note(c id.Conversation, last sequence.Place, now time.Time) {
	if len(o) >= ownMost {
		for other, place := range o {
			if now.Sub(place.at) > ownKept {
				delete(o, other)
			}
		}
	}
	if last.Seq > o[c].last.Seq {
		o[c] = ownPlace{last, now}
	}
}
