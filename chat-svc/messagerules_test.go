package chatsvc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// A rulebook is a group and another one, with ann as owner and bob as member
// of both.
type rulebook struct {
	place
	clock            *stopped
	group, elsewhere string // a conversation, and a message of another one
}

type attempt func(*testing.T) *svctest.Response

// say sends into the group, unless more names a recipient alone.
func (b rulebook) say(who person, more object) attempt {
	return func(t *testing.T) *svctest.Response {
		body := object{"content": "Hello!"}
		if more["recipient_agent_id"] == nil {
			body["conversation_id"] = b.group
		}
		for field, value := range more {
			body[field] = value
		}
		return who.do(t, "POST", "/api/messages", body, svctest.BadRequest())
	}
}

// change lets who change a message that sender sent some time ago.
func (b rulebook) change(who, sender person, age time.Duration, method string, body any) attempt {
	return func(t *testing.T) *svctest.Response {
		sent := sender.say(t, b.group, "Hello!")
		b.clock.advance(age)
		return who.ask(t, method, messagePath(sent), body, svctest.BadRequest())
	}
}

func (b rulebook) edit(who person, age time.Duration, content string) attempt {
	return b.change(who, b.bob, age, "PUT", object{"content": content})
}

func (b rulebook) withdraw(who person, age time.Duration) attempt {
	return b.change(who, b.bob, age, "DELETE", withdrawal())
}

// behind lets who say something while blocker has blocked target, and takes the
// block back.
func (b rulebook) behind(blocker person, target string, who person) attempt {
	return func(t *testing.T) *svctest.Response {
		block := blocker.block(t, target)
		defer blocker.unblock(t, block)
		return b.say(who, nil)(t)
	}
}

func (b rulebook) read(who person) attempt {
	return func(t *testing.T) *svctest.Response {
		return who.ask(t, "GET", "/api/conversations/"+b.group+"/messages", nil)
	}
}

// A rule is one sentence about messages of docs/api/chat.md: what keeps it is
// answered with ok, what breaks it with the refusal.
type rule struct {
	sentence string
	keeps    attempt
	ok       int
	breaks   attempt
	refusal  string
}

func (b rulebook) rules() []rule {
	ann, bob, eve := b.ann, b.bob, b.eve
	mention := func(n int, who person) object { return object{"mention": slices.Repeat([]string{who.id}, n)} }
	both := object{"conversation_id": b.group, "recipient_agent_id": bob.id}
	longest := strings.Repeat("x", 10_000)
	const milli = time.Millisecond
	return []rule{
		{"exactly one target", b.say(ann, object{"recipient_agent_id": bob.id}), 201, b.say(ann, both), "400 INVALID_REQUEST"},
		{"content is needed", b.say(ann, nil), 201, b.say(ann, object{"content": ""}), "400 INVALID_REQUEST"},
		{"content has at most 10,000 characters", b.say(ann, object{"content": longest}), 201, b.say(ann, object{"content": longest + "x"}), "400 INVALID_REQUEST"},
		{"a type is known", b.say(ann, object{"type": "command"}), 201, b.say(ann, object{"type": "image"}), "400 INVALID_REQUEST"},
		{"a type left out is as null", b.say(ann, object{"type": nil}), 201, b.say(ann, object{"content": nil}), "400 INVALID_REQUEST"},
		{"no target is as null", b.say(ann, object{"recipient_agent_id": nil}), 201, b.say(ann, object{"conversation_id": nil}), "400 INVALID_REQUEST"},
		{"a reply and mentions may be null", b.say(ann, object{"in_reply_to": nil, "mention": nil}), 201, b.say(ann, object{"mention": []any{nil}}), "400 INVALID_AGENT_ID"},
		{"system takes a leading role", b.say(ann, object{"type": "system"}), 201, b.say(bob, object{"type": "system"}), "403 FORBIDDEN"},
		{"a reply is to the same conversation", b.say(ann, nil), 201, b.say(ann, object{"in_reply_to": b.elsewhere}), "400 INVALID_REQUEST"},
		{"at most 50 are mentioned", b.say(ann, mention(50, bob)), 201, b.say(ann, mention(51, bob)), "400 INVALID_REQUEST"},
		{"members are mentioned", b.say(ann, mention(1, bob)), 201, b.say(ann, mention(1, eve)), "400 INVALID_REQUEST"},
		{"the sender is a member", b.say(bob, nil), 201, b.say(eve, nil), "404 NOT_FOUND"},
		{"the sender has not blocked the conversation", b.behind(ann, b.group, bob), 201, b.behind(bob, b.group, bob), "403 BLOCKED"},
		{"no member has blocked the sender", b.behind(eve, bob.id, bob), 201, b.behind(ann, bob.id, bob), "403 BLOCKED"},
		{"the reader is a member", b.read(bob), 200, b.read(eve), "404 NOT_FOUND"},
		{"only the sender edits", b.edit(bob, 0, "x"), 200, b.edit(ann, 0, "x"), "403 FORBIDDEN"},
		{"an edit comes within 15 minutes", b.edit(bob, 15*time.Minute, "x"), 200, b.edit(bob, 15*time.Minute+milli, "x"), "403 EDIT_WINDOW_EXPIRED"},
		{"an edit differs", b.edit(bob, 0, "x"), 200, b.edit(bob, 0, "Hello!"), "400 CONTENT_UNCHANGED"},
		{"an edit has at most 10,000 characters", b.edit(bob, 0, longest), 200, b.edit(bob, 0, longest+"x"), "400 INVALID_REQUEST"},
		{"the sender deletes, others do not", b.change(bob, bob, 0, "DELETE", object{}), 200, b.change(bob, ann, 0, "DELETE", object{}), "403 FORBIDDEN"},
		{"who leads deletes, strangers do not", b.change(ann, bob, 0, "DELETE", object{}), 200, b.change(eve, bob, 0, "DELETE", object{}), "404 NOT_FOUND"},
		{"only the sender withdraws", b.withdraw(bob, 0), 200, b.withdraw(ann, 0), "403 FORBIDDEN"},
		{"a withdrawal comes within 2 minutes", b.withdraw(bob, 2*time.Minute), 200, b.withdraw(bob, 2*time.Minute+milli), "403 WITHDRAW_WINDOW_EXPIRED"},
	}
}

func TestRulesOfMessages(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t)
	b := rulebook{place: p, clock: clock, group: p.ann.group(t, p.bob.id)}
	b.elsewhere = p.ann.say(t, p.ann.group(t, p.bob.id), "elsewhere").Text("message_id")
	for _, rule := range b.rules() {
		t.Run(rule.sentence, func(t *testing.T) {
			kept := rule.keeps(t)
			require.Equal(t, rule.ok, kept.Status, "%s", kept.Body)
			broken := rule.breaks(t)
			require.Equal(t, rule.refusal, fmt.Sprint(broken.Status, " ", broken.Text("error.code")), "%s", broken.Body)
		})
	}
}
