package crash_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

type object = map[string]any

// A message is what somebody has tried to send, and what was heard of it.
type message struct {
	text   string
	group  string // the conversation; "" for the direct one with the peer
	sender string // its id
	keyed  bool
	gaveUp bool // not acknowledged, and not tried again

	began, met int64 // before the first attempt, after the acknowledgement; one counter for all
	place      place // where it was acknowledged; zero when it was not

	// What was changed about it since, acknowledged too.
	edited             string
	deleted, withdrawn bool
}

type place struct {
	ID           string `json:"message_id"`
	Conversation string `json:"conversation_id"`
	Seq          int64  `json:"seq"`
	CreatedAt    string `json:"created_at"` // text sorts as time does
}

// A sender sends messages one after another as one account. What is not
// answered it tries again under the same key, on either replica.
type sender struct {
	*round
	name    string
	account int
	rng     *rand.Rand
}

func (s *sender) run(ctx context.Context) {
	for i := 0; !s.over.Load() && ctx.Err() == nil; i++ {
		m := &message{
			text: fmt.Sprintf("%d from %s", i, s.name), sender: s.accounts[s.account].ID,
			keyed: s.rng.IntN(6) > 0, began: s.clock.Add(1),
		}
		if choice := s.rng.IntN(len(s.groups) + 1); choice < len(s.groups) {
			m.group = s.groups[choice]
		}
		s.mu.Lock()
		s.sent[m.text] = m
		s.mu.Unlock()
		s.deliver(ctx, m)
		if m.met != 0 {
			s.change(ctx, m)
		}
	}
}

// deliver tries until the message is acknowledged, and now and then once more.
// Without a key there is one attempt, and some are given up.
func (s *sender) deliver(ctx context.Context, m *message) {
	r := request{method: "POST", path: "/api/messages", account: s.accounts[s.account].Name, body: s.body(m)}
	if m.keyed && s.rng.IntN(2) == 0 {
		r.key = m.text
	}
	for ctx.Err() == nil {
		a := s.call(ctx, s.rng.IntN(replicas), r)
		switch {
		case a.status == http.StatusCreated:
			s.acknowledged(m, a)
			if !m.keyed || s.rng.IntN(10) > 0 {
				return
			}
		case !a.unknown():
			s.fail(fmt.Errorf("send %q: %d %s", m.text, a.status, a.body))
			return
		default:
			s.tally.unanswered.Add(1)
			if m.met == 0 && (!m.keyed || s.rng.IntN(20) == 0) {
				m.gaveUp = true
				return
			}
			s.pause(ctx)
		}
	}
}

func (s *sender) body(m *message) object {
	body := object{"content": m.text}
	if m.group != "" {
		body["conversation_id"] = m.group
	} else {
		body["recipient_agent_id"] = s.accounts[s.account^1].ID
	}
	if m.keyed {
		body["client_msg_id"] = m.text
	}
	return body
}

func (s *sender) acknowledged(m *message, a answer) {
	var got place
	if err := a.into(&got); err != nil {
		s.fail(err)
		return
	}
	replayed := a.header.Get("Idempotency-Replayed") != ""
	if replayed {
		s.tally.replays.Add(1)
	}
	switch {
	case m.met == 0:
		m.place, m.met = got, s.clock.Add(1)
		s.tally.acknowledged.Add(1)
	case m.place != got:
		s.fail(fmt.Errorf("%q moved from %+v to %+v", m.text, m.place, got))
	case !replayed:
		s.fail(fmt.Errorf("%q was acknowledged twice as if it were new", m.text))
	}
}

// change edits, deletes or withdraws some messages, each until it is done.
func (s *sender) change(ctx context.Context, m *message) {
	path := "/api/messages/" + m.place.ID
	switch s.rng.IntN(16) {
	case 0:
		text := m.text + ", edited"
		if s.settle(ctx, request{method: "PUT", path: path, body: object{"content": text}}) {
			m.edited = text
		}
	case 1:
		m.deleted = s.settle(ctx, request{method: "DELETE", path: path})
	case 2:
		m.withdrawn = s.settle(ctx, request{method: "DELETE", path: path, body: object{"withdraw": true}})
	}
}

// settle repeats a change until it is done; an edit may turn out to have been.
func (s *sender) settle(ctx context.Context, r request) bool {
	r.account = s.accounts[s.account].Name
	for ctx.Err() == nil {
		a := s.call(ctx, s.rng.IntN(replicas), r)
		var refusal struct {
			Error struct {
				Code string `json:"code"`
			} `json:"error"`
		}
		switch {
		case a.unknown():
			s.pause(ctx)
			continue
		case a.status != http.StatusOK && (a.into(&refusal) != nil || refusal.Error.Code != "CONTENT_UNCHANGED"):
			s.fail(fmt.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.body))
			return false
		}
		s.tally.changes.Add(1)
		return true
	}
	return false
}

// pause is what a client leaves between an attempt that failed and the next.
func (s *sender) pause(ctx context.Context) {
	await(ctx, time.Duration(1+s.rng.IntN(20))*time.Millisecond)
}

func await(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// shows is what lists say of a message.
func (m *message) shows() string {
	if m.deleted {
		return ""
	}
	return cmp.Or(m.edited, m.text)
}
