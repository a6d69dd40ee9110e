package chatsvc_test

import (
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func TestSend(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	sent := p.ann.want(t, 201, "POST", "/api/messages", object{"conversation_id": conversation, "content": "Hello!"})
	require.Equal(t, conversation, sent.Text("conversation_id"))
	require.Equal(t, p.ann.id, sent.Text("sender_id"))
	require.Equal(t, "Hello!", sent.Text("content"))
	require.Equal(t, "text", sent.Text("type"))
	require.Equal(t, "sent", sent.Text("status"))
	require.EqualValues(t, 1, sent.Get("seq"))

	reply := p.bob.want(t, 201, "POST", "/api/messages", object{
		"conversation_id": conversation, "content": "/wave", "type": "command", "in_reply_to": sent.Text("message_id"),
		"mention": []string{p.ann.id, p.bob.id, p.ann.id}, "unknown_field": true,
	})
	require.EqualValues(t, 2, reply.Get("seq"))
	page := p.ann.want(t, 200, "GET", "/api/conversations/"+conversation+"/messages", nil)
	require.Equal(t, reply.Text("message_id"), page.Text("messages.0.message_id"))
	require.Equal(t, sent.Text("message_id"), page.Text("messages.0.in_reply_to"))
	require.Equal(t, []any{p.ann.id, p.bob.id}, page.Get("messages.0.mention"), "repetitions count once")
	require.Equal(t, "command", page.Text("messages.0.type"))
	require.Nil(t, page.Get("messages.1.in_reply_to"))
	require.Nil(t, page.Get("messages.1.mention"))
}

func TestSendToOneAccount(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first := p.ann.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.bob.id, "content": "Hello directly"})
	back := p.bob.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.ann.id, "content": "Hello back"})
	require.Equal(t, first.Text("conversation_id"), back.Text("conversation_id"), "both meet in one conversation")
	require.EqualValues(t, 2, back.Get("seq"))
	made := p.ann.want(t, 200, "POST", "/api/conversations", object{"type": "direct", "members": []string{p.bob.id}})
	require.Equal(t, first.Text("conversation_id"), made.Text("conversation_id"))
	p.eve.want(t, 404, "POST", "/api/messages", object{"conversation_id": first.Text("conversation_id"), "content": "me too"})

	answer := p.ann.want(t, 404, "POST", "/api/messages", object{"recipient_agent_id": nobody(), "content": "anybody?"})
	require.Equal(t, "recipient_agent_id", answer.Text("error.details.field"))
}

func TestSendRefuses(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation, other := p.ann.group(t, p.bob.id), p.ann.group(t)
	elsewhere := p.ann.say(t, other, "elsewhere").Text("message_id")
	here := p.ann.say(t, conversation, "here").Text("message_id")
	into := func(more object) object {
		body := object{"conversation_id": conversation, "content": "x"}
		maps.Copy(body, more)
		return body
	}
	many := make([]string, 51)
	for n := range many {
		many[n] = agent(n)
	}
	tests := map[string]struct {
		body   any
		status int
		code   string
		field  string
	}{
		"no target":                    {object{"content": "x"}, 400, "INVALID_REQUEST", "conversation_id"},
		"both targets":                 {into(object{"recipient_agent_id": p.bob.id}), 400, "INVALID_REQUEST", "conversation_id"},
		"a malformed conversation":     {into(object{"conversation_id": "conv_x"}), 400, "INVALID_REQUEST", "conversation_id"},
		"a conversation of no type":    {into(object{"conversation_id": 7}), 400, "INVALID_REQUEST", "conversation_id"},
		"an unknown conversation":      {into(object{"conversation_id": "conv_00000000-0000-4000-8000-000000000000"}), 404, "NOT_FOUND", ""},
		"a malformed recipient":        {object{"recipient_agent_id": "bob", "content": "x"}, 400, "INVALID_AGENT_ID", "recipient_agent_id"},
		"oneself":                      {object{"recipient_agent_id": p.ann.id, "content": "x"}, 400, "INVALID_REQUEST", "recipient_agent_id"},
		"no content":                   {object{"conversation_id": conversation}, 400, "INVALID_REQUEST", "content"},
		"empty content":                {into(object{"content": ""}), 400, "INVALID_REQUEST", "content"},
		"content of another type":      {into(object{"content": []string{"x"}}), 400, "INVALID_REQUEST", "content"},
		"content in another field":     {object{"conversation_id": conversation, "text": "x"}, 400, "INVALID_REQUEST", "content"},
		"content as a number":          {into(object{"content": 7}), 400, "INVALID_REQUEST", "content"},
		"one emoji too many":           {into(object{"content": strings.Repeat("\U0001F4AC", 10_001)}), 400, "INVALID_REQUEST", "content"},
		"a reply of another type":      {into(object{"in_reply_to": 7}), 400, "INVALID_REQUEST", "in_reply_to"},
		"a mention of nobody":          {into(object{"mention": []string{nobody()}}), 400, "INVALID_REQUEST", "mention"},
		"a type of another type":       {into(object{"type": 7}), 400, "INVALID_REQUEST", "type"},
		"content that is too long":     {into(object{"content": strings.Repeat("é", 10_001)}), 400, "INVALID_REQUEST", "content"},
		"an unknown type":              {into(object{"type": "shout"}), 400, "INVALID_REQUEST", "type"},
		"a malformed reply":            {into(object{"in_reply_to": "msg_x"}), 400, "INVALID_REQUEST", "in_reply_to"},
		"a reply to elsewhere":         {into(object{"in_reply_to": elsewhere}), 400, "INVALID_REQUEST", "in_reply_to"},
		"a reply to nothing":           {into(object{"in_reply_to": here[:len(here)-1] + "g"}), 400, "INVALID_REQUEST", "in_reply_to"},
		"a malformed mention":          {into(object{"mention": []string{"bob"}}), 400, "INVALID_AGENT_ID", "mention"},
		"a mention of a stranger":      {into(object{"mention": []string{p.bob.id, p.eve.id}}), 400, "INVALID_REQUEST", "mention"},
		"too many mentions":            {into(object{"mention": many}), 400, "INVALID_REQUEST", "mention"},
		"a mention of another type":    {into(object{"mention": "bob"}), 400, "INVALID_REQUEST", "mention"},
		"an empty key":                 {into(object{"client_msg_id": ""}), 400, "INVALID_REQUEST", "client_msg_id"},
		"a key that is too long":       {into(object{"client_msg_id": strings.Repeat("k", 256)}), 400, "INVALID_REQUEST", "client_msg_id"},
		"a key of another type":        {into(object{"client_msg_id": 1}), 400, "INVALID_REQUEST", "client_msg_id"},
		"a body that is not an object": {"x", 400, "INVALID_REQUEST", "body"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			answer := p.ann.want(t, tt.status, "POST", "/api/messages", tt.body, svctest.BadRequest())
			require.Equal(t, tt.code, answer.Text("error.code"))
			require.Equal(t, tt.field, answer.Text("error.details.field"))
		})
	}
	page := p.ann.want(t, 200, "GET", "/api/conversations/"+conversation+"/messages", nil)
	require.Len(t, page.Get("messages"), 1, "what was refused was not written")
}

func TestBrokenRequests(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	raw := func(media, body string, opts ...svctest.Option) *svctest.Response {
		return p.ann.do(t, "POST", "/api/messages", nil, append(opts, svctest.WithRaw(media, []byte(body)), svctest.BadRequest())...)
	}
	require.Equal(t, 400, raw("application/json", `{"content":`).Status, "malformed JSON")
	require.Equal(t, 400, raw("application/json", ``).Status, "no body")
	require.Equal(t, 415, raw("text/plain", `{}`).Status)
	require.Equal(t, 415, raw("application/json", `{}`, svctest.WithHeader("Content-Encoding", "gzip")).Status)
	require.Equal(t, 413, raw("application/json", `{"content":"`+strings.Repeat("x", 1<<20)+`"}`).Status)
	require.Equal(t, 405, p.ann.do(t, "PATCH", "/api/messages", nil, svctest.Unrouted()).Status)
	require.Equal(t, 404, p.ann.do(t, "POST", "/api/message", nil, svctest.Unrouted()).Status)
}

func TestContentComesBackAsItWas(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t)
	for name, text := range map[string]string{
		"the longest in the widest characters": strings.Repeat("\U0001F4AC", 10_000),
		"NUL":                                  "a\x00b",
		"markup and separators":                "<b>&amp;</b> \u2028 \" \\ \r\n\t",
		"one space":                            " ",
		"not normalised":                       "e\u0301 é",
	} {
		sent := p.ann.say(t, conversation, text)
		require.Equal(t, text, sent.Text("content"), name)
		page := p.ann.want(t, 200, "GET", "/api/conversations/"+conversation+"/messages?limit=1", nil)
		require.Equal(t, text, page.Text("messages.0.content"), name)
	}
}

func TestSystemMessages(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id, p.eve.id)
	system := object{"conversation_id": conversation, "content": "Notice", "type": "system"}
	p.ann.want(t, 201, "POST", "/api/messages", system)
	p.ann.want(t, 200, "PUT", "/api/conversations/"+conversation+"/role", object{"agent_id": p.eve.id, "role": "admin"})
	p.eve.want(t, 201, "POST", "/api/messages", system)
	require.Equal(t, "FORBIDDEN", p.bob.want(t, 403, "POST", "/api/messages", system).Text("error.code"))
	direct := object{"recipient_agent_id": p.bob.id, "content": "Notice", "type": "system"}
	p.ann.want(t, 403, "POST", "/api/messages", direct)
}

func TestSendWithAKey(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation, other := p.ann.group(t, p.bob.id), p.ann.group(t)
	key := func(k string) svctest.Option { return svctest.WithHeader("Idempotency-Key", k) }
	first := p.ann.say(t, conversation, "once", key("k"))
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	p.ann.say(t, conversation, "in between")

	again := p.ann.say(t, conversation, "once", key("k"))
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.JSONEq(t, string(first.Body), string(again.Body))
	inBody := p.ann.want(t, 201, "POST", "/api/messages",
		object{"conversation_id": conversation, "content": "once", "client_msg_id": "k"})
	require.JSONEq(t, string(first.Body), string(inBody.Body), "client_msg_id is the same key")
	p.ann.want(t, 201, "POST", "/api/messages",
		object{"conversation_id": conversation, "content": "once", "client_msg_id": "k"}, key("k"))
	answer := p.ann.want(t, 400, "POST", "/api/messages",
		object{"conversation_id": conversation, "content": "once", "client_msg_id": "l"}, key("k"))
	require.Equal(t, "client_msg_id", answer.Text("error.details.field"), "both must be equal")

	for name, body := range map[string]object{
		"content": {"content": "twice"}, "type": {"content": "once", "type": "command"},
		"reply": {"content": "once", "in_reply_to": first.Text("message_id")}, "mention": {"content": "once", "mention": []string{p.bob.id}},
	} {
		body["conversation_id"] = conversation
		answer := p.ann.want(t, 422, "POST", "/api/messages", body, key("k"))
		require.Equal(t, "IDEMPOTENCY_MISMATCH", answer.Text("error.code"), "another %s", name)
	}
	require.EqualValues(t, 1, p.ann.say(t, other, "twice", key("k")).Get("seq"), "another conversation, another key")
	require.EqualValues(t, 3, p.bob.say(t, conversation, "twice", key("k")).Get("seq"), "another sender, another key")

	direct := func(who, to person) *svctest.Response {
		return who.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": to.id, "content": "hi"}, key("k"))
	}
	said, repeated := direct(p.ann, p.bob), direct(p.ann, p.bob)
	require.JSONEq(t, string(said.Body), string(repeated.Body))
}

func TestSendLimit(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.anyClock = true
	deps, _ := i.logged(t)
	deps.Now = newStopped().Now // no place is free again
	client := document.Client(t, i.serverWith(t, deps, "SENDS_PER_MINUTE=1", "SEND_BURST=3").Handler())
	p := place{i, i.as(t, client, 1), i.as(t, client, 2), i.as(t, client, 3)}
	conversation := p.ann.group(t, p.bob.id)
	for range 3 {
		p.ann.say(t, conversation, "x")
	}
	answer := p.ann.want(t, 429, "POST", "/api/messages", object{"conversation_id": conversation, "content": "x"})
	require.Equal(t, "RATE_LIMIT_EXCEEDED", answer.Text("error.code"))
	require.Equal(t, "60", answer.Header.Get("Retry-After"))
	p.bob.say(t, conversation, "each account has its own")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	path := "/api/conversations/" + conversation + "/messages"
	empty := p.bob.want(t, 200, "GET", path, nil)
	require.Empty(t, empty.Get("messages"))
	require.Empty(t, empty.Get("cursor"))
	require.Equal(t, false, empty.Get("has_more"))

	for n := range 7 {
		p.ann.say(t, conversation, fmt.Sprint(n+1))
	}
	for _, limit := range []int{1, 2, 3, 7, 100} {
		var texts []string
		cursor, more := "", true
		for more {
			page := p.bob.want(t, 200, "GET", fmt.Sprintf("%s?limit=%d&cursor=%s", path, limit, cursor), nil)
			messages := page.Get("messages").([]any)
			require.NotEmpty(t, messages)
			require.LessOrEqual(t, len(messages), limit)
			for n := range messages {
				texts = append(texts, page.Text(fmt.Sprintf("messages.%d.content", n)))
			}
			cursor, more = page.Text("cursor"), page.Get("has_more").(bool)
			require.Equal(t, more, cursor != "")
			if len(texts) == limit {
				p.ann.say(t, conversation, "new during the walk")
			}
		}
		require.Equal(t, []string{"7", "6", "5", "4", "3", "2", "1"}, newestFirst(texts)[:7], "pages of %d", limit)
	}
}

// newestFirst leaves out what was said during walks.
func newestFirst(texts []string) []string {
	var kept []string
	for _, text := range texts {
		if len(text) == 1 {
			kept = append(kept, text)
		}
	}
	return kept
}

func TestOrderOfTimes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t)
	var before time.Time
	for range 20 {
		at, err := time.Parse(time.RFC3339, p.ann.say(t, conversation, "x").Text("created_at"))
		require.NoError(t, err)
		require.False(t, at.Before(before))
		before = at
	}
}

func TestUnread(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	unread := func(who person) any {
		return who.want(t, 200, "GET", "/api/conversations/"+conversation, nil).Get("unread_count")
	}
	p.ann.say(t, conversation, "one")
	p.ann.say(t, conversation, "two")
	require.EqualValues(t, 0, unread(p.ann), "at once, on the replica that took the message")
	require.EqualValues(t, 2, unread(p.bob))
	p.bob.say(t, conversation, "three")
	require.EqualValues(t, 0, unread(p.bob), "sending moves one's own mark")
	require.EqualValues(t, 1, unread(p.ann))

	second := document.Client(t, p.server(t).Handler())
	require.Eventually(t, func() bool {
		seen := p.as(t, second, 2).want(t, 200, "GET", "/api/conversations/"+conversation, nil)
		return seen.Get("unread_count") == 0.0
	}, patience, 20*time.Millisecond, "the mark is written behind the answer")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	answer := p.eve.Call(t, "GET", "/health", nil)
	require.Equal(t, 200, answer.Status)
	require.Equal(t, "healthy", answer.Text("status"))
}

func TestDevelopmentTokens(t *testing.T) {
	t.Parallel()
	i := install(t)
	on := document.Client(t, i.server(t, "DEV_TOKENS=true").Handler())
	off := document.Client(t, i.server(t).Handler())
	named := svctest.WithBearer("dev:name-" + url.PathEscape(agent(1)[4:]))
	require.Equal(t, 200, on.Call(t, "GET", "/api/conversations", nil, named).Status)
	require.Equal(t, 401, on.Call(t, "GET", "/api/conversations", nil, svctest.WithBearer("dev:stranger")).Status)
	require.Equal(t, 401, off.Call(t, "GET", "/api/conversations", nil, named).Status)
}
