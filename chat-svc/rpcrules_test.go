package chatsvc_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

const absentChat = "00000000-0000-4000-8000-000000000000"

// methods are those of the RPC family with a request about a chat, one of whose
// messages it may name, and the scopes each of which a caller needs.
func methods(chat, message string) map[string]struct {
	body   object
	scopes []string
} {
	see := []string{token.ConversationsRead, token.ConversationsWrite, token.MessagesWrite}
	return map[string]struct {
		body   object
		scopes []string
	}{
		"getChats":       {object{}, see},
		"getChat":        {object{"chat_id": chat}, see},
		"startChat":      {object{"user_ids": namesFrom(2, 1)}, see[1:]},
		"sendMessage":    {object{"chat_id": chat, "text": "x"}, see[2:]},
		"getChatHistory": {object{"chat_id": chat}, []string{token.MessagesRead}},
		"markRead":       {object{"chat_id": chat}, []string{token.MessagesRead}},
		"deleteMessages": {object{"message_ids": []string{message}}, see[2:]},
		"sendChatAction": {object{"chat_id": chat, "action": "typing"}, see[2:]},
	}
}

// first says something in a chat and gives the message's id.
func (p person) first(t *testing.T, chat string) string {
	t.Helper()
	return p.result(t, "sendMessage", object{"chat_id": chat, "text": "first"}).Text("result.id")
}

func TestRPCCredentials(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	message := p.ann.first(t, chat)
	for name, m := range methods(chat, message) {
		for outcome, raw := range map[string]string{"none": "", "garbage": "x", "cut short": p.ann.token[:len(p.ann.token)-3], "a secret": "sk_x"} {
			p.ann.denied(t, 401, "unauthenticated: ", name, m.body, svctest.WithBearer(raw))
			answer := p.ann.rpc(t, name, m.body, svctest.WithBearer(raw))
			require.NotEmpty(t, answer.Header.Get("WWW-Authenticate"), "%s: %s", name, outcome)
		}
		for _, scope := range token.AllScopes() {
			as := svctest.WithBearer(p.auth.token(t, p.ann.id, scope))
			if slices.Contains(m.scopes, scope) {
				p.ann.result(t, name, m.body, as)
			} else {
				p.ann.denied(t, 403, "permission_denied: The token needs the scope ", name, m.body, as)
			}
		}
	}
}

// Who is not a member of a chat is told so, and of one that is not there that
// it is not. The REST family tells neither.
func TestRPCStrangers(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	group, direct, closed := p.ann.chat(t, p.bob, p.as(t, p.ann.Client, 4)), p.ann.chat(t, p.bob), p.ann.chat(t, p.bob, p.as(t, p.ann.Client, 4))
	messages := map[string]string{group: p.ann.first(t, group), direct: p.ann.first(t, direct), closed: p.ann.first(t, closed)}
	p.ann.want(t, 204, "DELETE", "/api/conversations/conv_"+closed, nil)
	p.as(t, p.ann.Client, 4).want(t, 200, "POST", "/api/conversations/conv_"+group+"/leave", nil)
	for _, chat := range []string{group, direct} {
		for name, m := range methods(chat, messages[chat]) {
			if name == "getChats" || name == "startChat" {
				continue
			}
			p.eve.denied(t, 403, "permission_denied: You are not a member", name, m.body)
			p.as(t, p.ann.Client, 4).denied(t, 403, "permission_denied: You are not a member", name, m.body)
		}
		p.eve.want(t, 404, "GET", "/api/conversations/conv_"+chat, nil)
	}
	for name, m := range methods(closed, messages[closed]) {
		if name != "getChats" && name != "startChat" {
			p.ann.denied(t, 404, "not_found: ", name, m.body)
			p.eve.denied(t, 404, "not_found: ", name, m.body)
		}
	}
	p.eve.denied(t, 404, "not_found: ", "getChat", object{"chat_id": absentChat})
	history := p.ann.result(t, "getChatHistory", object{"chat_id": direct}).Get("result.items")
	require.Len(t, history, 1, "nothing was changed")
	require.Equal(t, "first", history.([]any)[0].(map[string]any)["content"])
	require.Equal(t, 1, p.bob.unread(t, direct))
	require.Empty(t, p.eve.result(t, "getChats", nil).Get("result.items"))
}

func TestRPCBrokenRequests(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	for name := range methods(chat, p.ann.first(t, chat)) {
		raw := func(media, body string) svctest.Option { return svctest.WithRaw(media, []byte(body)) }
		p.ann.denied(t, 400, "invalid_argument: body: ", name, nil, raw("application/json", `{"chat_id":`))
		p.ann.denied(t, 400, "invalid_argument: body: ", name, nil, raw("application/json", `[]`))
		p.ann.denied(t, 400, "invalid_argument: body: ", name, nil, raw("application/json", `"x"`))
		p.ann.denied(t, 415, "invalid_argument: ", name, nil, raw("text/plain", `{}`))
		p.ann.denied(t, 415, "invalid_argument: ", name, nil, raw("application/json", `{}`), svctest.WithHeader("Content-Encoding", "br"))
		p.ann.denied(t, 413, "invalid_argument: ", name, nil, raw("application/json", strings.Repeat(" ", 3<<19)))
		if name != "getChats" {
			p.ann.denied(t, 415, "invalid_argument: ", name, nil)
		}
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "FETCH"} {
			answer := p.ann.do(t, method, "/api/"+name, nil, svctest.Unrouted())
			require.Equal(t, 405, answer.Status, "%s %s", method, name)
			require.Equal(t, "POST", answer.Header.Get("Allow"))
			require.EqualValues(t, 405, answer.Get("error_code"), string(answer.Body))
			require.True(t, strings.HasPrefix(answer.Text("description"), "invalid_argument: "))
		}
	}
	for path, family := range map[string]string{"/api/getNothing": "description", "/api/getchats": "description", "/api/getChats/": "error.code", "/api/getChats/x": "error.code"} {
		answer := p.ann.do(t, "POST", path, object{}, svctest.Unrouted())
		require.Equal(t, 404, answer.Status, path)
		require.NotEmpty(t, answer.Text(family), "%s: %s", path, answer.Body)
	}
}

func TestRPCRules(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat, other := p.ann.chat(t, p.bob), p.ann.chat(t, p.eve)
	here, elsewhere := p.ann.first(t, chat), p.ann.first(t, other)
	beyond := here[:len(here)-1] + "g" // the place behind the last one
	many := slices.Repeat([]string{here}, 101)
	const chatField, invalid = "invalid_argument: chat_id: must be the id of a chat, a UUID", "invalid_argument: "
	tests := map[string]struct {
		method      string
		body        object
		status      int
		description string
	}{
		"a chat with a prefix":              {"getChat", object{"chat_id": "conv_" + chat}, 400, chatField},
		"a chat that is no UUID":            {"getChat", object{"chat_id": "x"}, 400, chatField},
		"a chat in braces":                  {"getChat", object{"chat_id": "{" + chat + "}"}, 400, chatField},
		"a chat that is a number":           {"getChat", object{"chat_id": 7}, 400, "invalid_argument: chat_id: must be a string"},
		"no chat":                           {"getChat", object{}, 400, chatField},
		"no chat to send into":              {"sendMessage", object{"text": "x"}, 400, chatField},
		"no chat to read":                   {"getChatHistory", object{}, 400, chatField},
		"no chat to mark":                   {"markRead", object{}, 400, chatField},
		"no text":                           {"sendMessage", object{"chat_id": chat}, 400, invalid + "text: must have 1 to 10000 characters"},
		"an empty text":                     {"sendMessage", object{"chat_id": chat, "text": ""}, 400, invalid + "text: "},
		"a text that is too long":           {"sendMessage", object{"chat_id": chat, "text": strings.Repeat("é", 10_001)}, 400, invalid + "text: "},
		"a text that is a list":             {"sendMessage", object{"chat_id": chat, "text": []string{"x"}}, 400, invalid + "text: must be a string"},
		"a malformed reply":                 {"sendMessage", object{"chat_id": chat, "text": "x", "reply_to_message_id": "msg_" + here}, 400, invalid + "reply_to_message_id: "},
		"an empty reply":                    {"sendMessage", object{"chat_id": chat, "text": "x", "reply_to_message_id": ""}, 400, invalid + "reply_to_message_id: "},
		"a reply to elsewhere":              {"sendMessage", object{"chat_id": chat, "text": "x", "reply_to_message_id": elsewhere}, 400, invalid + "reply_to_message_id: must be a message of the same"},
		"a reply to nothing":                {"sendMessage", object{"chat_id": chat, "text": "x", "reply_to_message_id": beyond}, 400, invalid + "reply_to_message_id: "},
		"an empty key":                      {"sendMessage", object{"chat_id": chat, "text": "x", "client_msg_id": ""}, 400, invalid + "client_msg_id: "},
		"a key that is too long":            {"sendMessage", object{"chat_id": chat, "text": "x", "client_msg_id": strings.Repeat("k", 256)}, 400, invalid + "client_msg_id: "},
		"a page of none":                    {"getChatHistory", object{"chat_id": chat, "limit": 0}, 400, invalid + "limit: "},
		"half a message":                    {"getChatHistory", object{"chat_id": chat, "limit": 1.5}, 400, invalid + "limit: "},
		"before a malformed message":        {"getChatHistory", object{"chat_id": chat, "before": "x"}, 400, invalid + "before: must be the id of a message"},
		"before a message of elsewhere":     {"getChatHistory", object{"chat_id": chat, "before": elsewhere}, 400, invalid + "before: must be a message of this chat"},
		"up to a malformed message":         {"markRead", object{"chat_id": chat, "up_to": "x"}, 400, invalid + "up_to: "},
		"up to a message of elsewhere":      {"markRead", object{"chat_id": chat, "up_to": elsewhere}, 400, invalid + "up_to: must be a message of this conversation"},
		"up to what was not said":           {"markRead", object{"chat_id": chat, "up_to": beyond}, 400, invalid + "up_to: "},
		"no chat to act in":                 {"sendChatAction", object{"action": "typing"}, 400, chatField},
		"an action that is too long":        {"sendChatAction", object{"chat_id": chat, "action": strings.Repeat("é", 33)}, 400, invalid + "action: must have at most 32 characters"},
		"an action that is a number":        {"sendChatAction", object{"chat_id": chat, "action": 7}, 400, invalid + "action: must be a string"},
		"no messages to delete":             {"deleteMessages", object{}, 400, invalid + "message_ids: must name 1 to 100 messages"},
		"an empty list of messages":         {"deleteMessages", object{"message_ids": []string{}}, 400, invalid + "message_ids: "},
		"too many messages":                 {"deleteMessages", object{"message_ids": many}, 400, invalid + "message_ids: must name 1 to 100 messages"},
		"a malformed one among them":        {"deleteMessages", object{"message_ids": []string{here, "x"}}, 400, invalid + "message_ids: "},
		"a message that is a number":        {"deleteMessages", object{"message_ids": []any{7}}, 400, invalid + "message_ids: "},
		"chats by a cursor of garbage":      {"getChats", object{"cursor": "garbage"}, 400, invalid + "cursor: "},
		"chats by a very long cursor":       {"getChats", object{"cursor": strings.Repeat("A", 100_000)}, 400, invalid + "cursor: "},
		"chats by a cursor of another list": {"getChats", object{"cursor": p.ann.want(t, 200, "GET", "/api/conversations?limit=1", nil).Text("cursor")}, 400, invalid + "cursor: "},
		"chats by another's cursor":         {"getChats", object{"cursor": p.cursorOf(t, p.bob)}, 400, invalid + "cursor: "},
		"no chats":                          {"getChats", object{"limit": 0}, 400, invalid + "limit: "},
		"minus one chat":                    {"getChats", object{"limit": -1}, 400, invalid + "limit: "},
		"a limit that is a text":            {"getChats", object{"limit": "10"}, 400, invalid + "limit: "},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) { p.ann.denied(t, tt.status, tt.description, tt.method, tt.body) })
	}
	require.Len(t, p.ann.result(t, "getChatHistory", object{"chat_id": chat}).Get("result.items"), 1, "what was refused was not written")
	require.Equal(t, chat, p.ann.result(t, "getChat", object{"chat_id": strings.ToUpper(chat), "unknown": true}).Text("result.id"), "a UUID in capitals")
}

// cursorOf makes a cursor of somebody's list of chats.
func (p place) cursorOf(t *testing.T, who person) string {
	t.Helper()
	who.chat(t, p.as(t, who.Client, 70), p.as(t, who.Client, 71))
	who.chat(t, p.as(t, who.Client, 70), p.as(t, who.Client, 71))
	cursor := who.result(t, "getChats", object{"limit": 1}).Text("result.next_cursor")
	require.NotEmpty(t, cursor)
	return cursor
}

func TestRPCBlocks(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	p.bob.block(t, p.ann.id)
	for method, body := range map[string]object{
		"sendMessage": {"chat_id": chat, "text": "x"}, "sendChatAction": {"chat_id": chat, "action": "typing"},
	} {
		p.ann.denied(t, 403, "permission_denied: A member of this conversation has blocked you", method, body)
	}
	require.Equal(t, chat, p.ann.chat(t, p.bob), "who is blocked still sees the chat")
}

func TestRPCSendsCountAgainstTheSameLimit(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "SENDS_PER_MINUTE=1", "SEND_BURST=2")
	chat := p.ann.chat(t, p.bob)
	p.ann.first(t, chat)
	p.ann.say(t, "conv_"+chat, "second")
	answer := p.ann.rpc(t, "sendMessage", object{"chat_id": chat, "text": "third"})
	require.Equal(t, 429, answer.Status)
	require.True(t, strings.HasPrefix(answer.Text("description"), "rate_limited: "))
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
}
