package push

import (
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
)

// readersMost is to how many members of a conversation at most the read marks
// of others are told: each of them reads, and each would hear of each.
const readersMost = 100

// Listen tells one event; it runs on the feed's goroutine and waits for nobody.
// An event without a position has every client told of a gap and sent away: what
// accounts are in is not known any more.
func (h *Hub[F]) Listen(e events.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Position.IsZero() {
		h.lose()
		return
	}
	h.at = e.Position
	if e.Kind == events.MemberSet {
		h.member(e)
	}
	if in := h.conversations[e.Conversation]; in != nil && in.spokenFor(e) {
		return
	}
	h.makings.tell(e, h.deliver)
	switch e.Kind {
	case events.MemberGone:
		h.member(e)
	case events.ConversationClosed:
		h.close(e)
	}
}

// member applies that an account has come or gone.
func (h *Hub[F]) member(e events.Event) {
	switch a := h.accounts[e.Account]; {
	case a == nil:
	case a.ready:
		h.apply(a, e)
	default:
		a.heard = append(a.heard, e)
	}
}

// close applies that nobody is a member any more. Each is told when its
// membership is removed.
func (h *Hub[F]) close(e events.Event) {
	if in := h.conversations[e.Conversation]; in != nil {
		for a := range in.members {
			h.part(a, e.Conversation)
		}
	}
	for _, a := range h.accounts {
		if !a.ready {
			a.heard = append(a.heard, e)
		}
	}
}

func (h *Hub[F]) deliver(i *item[F], to audience) {
	if to.only != "" {
		if a := h.accounts[to.only]; a != nil {
			a.put(i, to)
		}
		return
	}
	in := h.conversations[to.conversation]
	if in == nil {
		return
	}
	if i.Method == Read && len(in.members) > readersMost {
		if a := h.accounts[i.Event.Account]; a != nil {
			a.put(i, to)
		}
		return
	}
	for a := range in.members {
		a.put(i, to)
	}
}

// speakersMost bounds of whom it is known that they spoke.
const speakersMost = 100

// spokenFor notes who speaks, and reports whether an event only tells that the
// read mark of who spoke followed: its message has told that.
func (c *conversation[F]) spokenFor(e events.Event) bool {
	switch e.Kind {
	case events.MessageSent:
		if c.spoke == nil || len(c.spoke) >= speakersMost {
			c.spoke = map[id.Account]int64{}
		}
		c.spoke[e.Message.Sender] = e.Message.ID.Seq
	case events.ReadMoved:
		return e.Seq <= c.spoke[e.Account]
	}
	return false
}

func (a *account[F]) put(i *item[F], to audience) {
	for _, c := range a.connections {
		if !to.spares(a.id, c.Client) {
			c.put(entry[F]{item: i})
		}
	}
}

// lose has every client told that it misses what came behind the last event,
// and sends it away: it comes back to what is known by then.
func (h *Hub[F]) lose() {
	from := h.at
	h.at = events.Position{}
	gap := Telling{Method: Lost, Event: events.Event{Position: h.feed.Applied()}, From: from}
	for c := range h.connections {
		c.lose(newItem[F](gap)) // its token is for one account
	}
	for _, a := range h.accounts {
		h.forget(a)
	}
}

// knowledge is what a connection begins with that goes on from a position.
type knowledge[F any] struct {
	member  map[id.Conversation]struct{}
	makings makings[F]
}

// missedMost bounds the events that a connection begins with; who has missed
// more reads them in pages.
const missedMost = 10_000

// missed is what a client has missed: what happened behind its position, as it
// is by now, of what its account may hear now; or word of a gap.
func (h *Hub[F]) missed(c *Connection[F], upTo events.Position, known *knowledge[F]) []*item[F] {
	gap := []*item[F]{newItem[F](Telling{Method: Lost, Event: events.Event{Position: upTo}, From: *c.Since})}
	found, ok := h.feed.Between(*c.Since, upTo)
	if !ok {
		return gap
	}
	now := events.Changed(found)
	var missed []*item[F]
	for _, e := range found {
		known.makings.tell(e, func(i *item[F], to audience) {
			if known.hears(c, to) && current(i, now) {
				missed = append(missed, i)
			}
		})
		if len(missed) > missedMost {
			return gap
		}
	}
	return missed
}

// hears reports whether a client is among an audience.
func (k *knowledge[F]) hears(c *Connection[F], to audience) bool {
	if to.spares(c.account.id, c.Client) {
		return false
	}
	if to.only != "" {
		return to.only == c.account.id
	}
	_, member := k.member[to.conversation]
	return member
}

// current has an item tell of a message as it is now; false where it was
// withdrawn meanwhile, and there is only that to tell.
func current[F any](i *item[F], now map[id.Message]events.Event) bool {
	if i.Event.Message == nil {
		return true
	}
	changed, ok := now[i.Event.Message.ID]
	if !ok {
		return true
	}
	i.Event.Message = changed.Message
	return i.Event.Position == changed.Position || !changed.Message.Withdrawn
}
