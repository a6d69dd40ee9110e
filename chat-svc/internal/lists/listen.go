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
		l.close(e)
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
		} // a role is not shown in lists
	case events.MemberGone, events.ConversationClosed:
		l.leave(a, tracked, e.Conversation)
		tracked.raise()
		tracked.wake()
	case events.ConversationSet:
		if m != nil {
			m.conversation.pending = false
		}
	case events.ReadMoved:
		if m != nil && e.Seq > m.read {
			m.read = e.Seq
		}
	}
}

// conversation raises the versions of everybody who sees the conversation.
func (l *Lists) conversation(e events.Event) {
	if e.Kind == events.ConversationSet {
		l.meanwhile(e)
	}
	c := l.conversations[e.Conversation]
	if c == nil {
		return
	}
	news := true
	switch e.Kind {
	case events.MessageSent:
		// A message of this process raised the versions already (Sent).
		news = c.advance(sequence.Place{Seq: e.Message.ID.Seq, At: e.Message.CreatedAt})
	case events.ConversationSet:
		c.pending = false // what is being made changes only once
	}
	for _, tracked := range c.tracked {
		if news {
			tracked.raise()
		}
		tracked.wake()
	}
}

// meanwhile keeps what is told of a conversation for those accounts that are
// being loaded: what they read may be from before.
func (l *Lists) meanwhile(e events.Event) {
	for _, tracked := range l.loading {
		tracked.heard = append(tracked.heard, e)
	}
}

// Sent applies a message of this process before the feed tells of it. Who
// waits for the feed goes on waiting.
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
	l.Listen(events.Event{Position: events.Position{Seconds: 1}, Kind: events.ConversationClosed, Conversation: c})
}

func (l *Lists) close(e events.Event) {
	l.meanwhile(e)
	c := l.conversations[e.Conversation]
	if c == nil {
		return
	}
	for a, tracked := range c.tracked {
		l.apply(a, tracked, e)
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
const ownKept = 5 * time.Second

// own is where conversations ended when this process wrote into them lately:
// two halves, of which the older one goes when the newer one is full or old.
type own struct {
	most         int // of each half
	newer, older map[id.Conversation]sequence.Place
	since        time.Time // when newer was begun
}

func (o *own) note(c id.Conversation, last sequence.Place, now time.Time) {
	if o.newer == nil || len(o.newer) >= o.most || now.Sub(o.since) > ownKept {
		o.newer, o.older, o.since = map[id.Conversation]sequence.Place{}, o.newer, now
	}
	if last.Seq > o.newer[c].Seq {
		o.newer[c] = last
	}
}

// last is the later of what the halves know.
func (o *own) last(c id.Conversation) sequence.Place {
	if newer := o.newer[c]; newer.Seq > o.older[c].Seq {
		return newer
	}
	return o.older[c]
}
