package chatsvc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/svckit/svctest"
)

// A modelled message is what the rules make of it.
type modelled struct {
	id                 string
	sender             int
	content            string // as it is
	said, key          string // as it was sent, and under which key
	createdAt          time.Time
	editedAt           string
	deleted, withdrawn bool
}

func (r *modelled) path() string { return "/api/messages/" + r.id }

// A model is one conversation. Its people are the owner, a member and a
// stranger, by their number.
type model struct {
	t            *testing.T
	clock        *stopped
	people       [3]person
	conversation string
	rows         []*modelled
	said         int
}

const (
	owner = iota
	member
	stranger
)

// row picks a message; nil before the first one.
func (m *model) row(rt *rapid.T) *modelled {
	if len(m.rows) == 0 {
		rt.Skip("nothing was said yet")
	}
	return m.rows[rapid.IntRange(0, len(m.rows)-1).Draw(rt, "message")]
}

func (m *model) who(rt *rapid.T) int { return rapid.IntRange(owner, stranger).Draw(rt, "who") }

func (m *model) text() string {
	m.said++
	return fmt.Sprint("text ", m.said)
}

func (m *model) age(r *modelled) time.Duration { return m.clock.Now().Sub(r.createdAt) }

// expect holds an answer to a status and, for a refusal, a code.
func expect(rt *rapid.T, answer *svctest.Response, status int, code string) {
	require.Equal(rt, status, answer.Status, "%s", answer.Body)
	require.Equal(rt, code, answer.Text("error.code"))
}

func (m *model) send(rt *rapid.T) {
	r := &modelled{sender: m.who(rt), said: m.text(), createdAt: m.clock.Now()}
	body := object{"conversation_id": m.conversation, "content": r.said}
	if rapid.Bool().Draw(rt, "keyed") {
		r.key = "key of " + r.said
		body["client_msg_id"] = r.key
	}
	answer := m.people[r.sender].do(m.t, "POST", "/api/messages", body)
	if r.sender == stranger {
		expect(rt, answer, 404, "NOT_FOUND")
		return
	}
	expect(rt, answer, 201, "")
	r.id, r.content = answer.Text("message_id"), r.said
	m.rows = append(m.rows, r)
	require.EqualValues(rt, len(m.rows), answer.Get("seq"))
	require.Equal(rt, m.clock.String(), answer.Text("created_at"))
}

func (m *model) replay(rt *rapid.T) {
	r := m.row(rt)
	if r.key == "" {
		rt.Skip("it was sent without a key")
	}
	body := object{"conversation_id": m.conversation, "content": r.said, "client_msg_id": r.key}
	if rapid.IntRange(0, 3).Draw(rt, "another body") == 0 {
		body["content"] = m.text()
		expect(rt, m.people[r.sender].do(m.t, "POST", "/api/messages", body), 422, "IDEMPOTENCY_MISMATCH")
		return
	}
	answer := m.people[r.sender].do(m.t, "POST", "/api/messages", body)
	expect(rt, answer, 201, "")
	require.Equal(rt, "true", answer.Header.Get("Idempotency-Replayed"))
	require.Equal(rt, r.id, answer.Text("message_id"))
	r.check(rt, answer, "")
}

func (m *model) edit(rt *rapid.T) {
	r, who, content := m.row(rt), m.who(rt), m.text()
	if rapid.IntRange(0, 3).Draw(rt, "unchanged") == 0 && r.content != "" {
		content = r.content
	}
	answer := m.people[who].do(m.t, "PUT", r.path(), object{"content": content})
	switch {
	case who == stranger || r.deleted || r.withdrawn:
		expect(rt, answer, 404, "NOT_FOUND")
	case who != r.sender:
		expect(rt, answer, 403, "FORBIDDEN")
	case m.age(r) > 15*time.Minute:
		expect(rt, answer, 403, "EDIT_WINDOW_EXPIRED")
	case content == r.content:
		expect(rt, answer, 400, "CONTENT_UNCHANGED")
	default:
		expect(rt, answer, 200, "")
		require.Greater(rt, answer.Text("edited_at"), r.editedAt)
		require.GreaterOrEqual(rt, answer.Text("edited_at"), m.clock.String())
		r.content, r.editedAt = content, answer.Text("edited_at")
		r.check(rt, answer, "")
	}
}

func (m *model) remove(rt *rapid.T) {
	r, who := m.row(rt), m.who(rt)
	answer := m.people[who].do(m.t, "DELETE", r.path(), object{})
	switch {
	case who == stranger || r.withdrawn:
		expect(rt, answer, 404, "NOT_FOUND")
	case who != r.sender && who != owner:
		expect(rt, answer, 403, "FORBIDDEN")
	default:
		expect(rt, answer, 200, "")
		require.Equal(rt, "deleted", answer.Text("status"))
		r.deleted, r.content = true, ""
	}
}

func (m *model) withdraw(rt *rapid.T) {
	r, who := m.row(rt), m.who(rt)
	answer := m.people[who].do(m.t, "DELETE", r.path(), withdrawal())
	switch {
	case who == stranger || r.withdrawn && who != r.sender:
		expect(rt, answer, 404, "NOT_FOUND")
	case who != r.sender:
		expect(rt, answer, 403, "FORBIDDEN")
	case !r.withdrawn && m.age(r) > 2*time.Minute:
		expect(rt, answer, 403, "WITHDRAW_WINDOW_EXPIRED")
	default:
		expect(rt, answer, 200, "")
		require.Equal(rt, "withdrawn", answer.Text("status"))
		r.withdrawn, r.content, r.editedAt = true, "", ""
	}
}

// check holds a message in an answer to what it should be.
func (r *modelled) check(rt *rapid.T, answer *svctest.Response, at string) {
	require.Equal(rt, r.content, answer.Text(at+"content"))
	require.Equal(rt, r.editedAt, answer.Text(at+"edited_at"))
	require.Equal(rt, r.deleted || r.withdrawn, answer.Get(at+"deleted") == true)
}

// list walks all pages, of any size: newest first, without what was withdrawn.
func (m *model) list(rt *rapid.T) {
	limit := rapid.IntRange(1, 7).Draw(rt, "limit")
	var want []*modelled
	for n := len(m.rows) - 1; n >= 0; n-- {
		if !m.rows[n].withdrawn {
			want = append(want, m.rows[n])
		}
	}
	cursor := ""
	for {
		page := m.people[member].ask(m.t, "GET", fmt.Sprintf("/api/conversations/%s/messages?limit=%d&cursor=%s", m.conversation, limit, cursor), nil)
		expect(rt, page, 200, "")
		shown := min(limit, len(want))
		require.Len(rt, page.Get("messages"), shown)
		for n, r := range want[:shown] {
			at := fmt.Sprintf("messages.%d.", n)
			require.Equal(rt, r.id, page.Text(at+"message_id"))
			r.check(rt, page, at)
		}
		want = want[shown:]
		cursor = page.Text("cursor")
		require.Equal(rt, len(want) > 0, page.Get("has_more"), "there is more exactly when something follows")
		require.Equal(rt, len(want) > 0, cursor != "")
		if len(want) == 0 {
			return
		}
	}
}

// counts holds what the conversation says of itself: every place counts.
func (m *model) counts(rt *rapid.T) {
	detail := m.people[member].ask(m.t, "GET", "/api/conversations/"+m.conversation, nil)
	expect(rt, detail, 200, "")
	read := 0
	for n, r := range m.rows {
		if r.sender == member {
			read = n + 1
		}
	}
	require.EqualValues(rt, len(m.rows), detail.Get("last_seq"))
	require.EqualValues(rt, len(m.rows)-read, detail.Get("unread_count"))
	if len(m.rows) > 0 {
		last := m.rows[len(m.rows)-1].createdAt
		require.Equal(rt, last.Format("2006-01-02T15:04:05.000Z"), detail.Text("last_message_at"))
	}
}

func (m *model) wait(rt *rapid.T) {
	m.clock.advance(rapid.SampledFrom([]time.Duration{
		time.Millisecond, time.Second, time.Minute, 2*time.Minute - time.Millisecond, 13 * time.Minute,
	}).Draw(rt, "time passes"))
}

// One conversation, as its people see it through the door, does what a model
// of the rules does, whatever they do and in whatever order.
func TestModelOfAConversation(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t, unlimited, "SEND_BURST=100000", "CONVERSATIONS_PER_ACCOUNT=100000")
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: t, clock: clock, people: [3]person{p.ann, p.bob, p.eve}, conversation: p.ann.group(t, p.bob.id)}
		rt.Repeat(map[string]func(*rapid.T){
			"send": m.send, "replay": m.replay, "edit": m.edit, "delete": m.remove, "withdraw": m.withdraw,
			"list": m.list, "counts": m.counts, "wait": m.wait,
		})
		m.list(rt)
		m.counts(rt)
	})
}
