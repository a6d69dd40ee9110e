package chatsvc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// rpc calls a method, whose request may be meant to be wrong.
func (p person) rpc(t *testing.T, method string, body any, opts ...svctest.Option) *svctest.Response {
	t.Helper()
	return p.do(t, "POST", "/api/"+method, body, append(opts, svctest.BadRequest())...)
}

// result is rpc for a call that must succeed.
func (p person) result(t *testing.T, method string, body any, opts ...svctest.Option) *svctest.Response {
	t.Helper()
	answer := p.rpc(t, method, body, opts...)
	require.Equal(t, 200, answer.Status, "%s: %s", method, answer.Body)
	return answer
}

// denied is rpc for a call that must be refused with a status, a word and a
// detail that begins so.
func (p person) denied(t *testing.T, status int, description, method string, body any, opts ...svctest.Option) {
	t.Helper()
	answer := p.rpc(t, method, body, opts...)
	require.Equal(t, status, answer.Status, "%s: %s", method, answer.Body)
	require.Equal(t, false, answer.Get("ok"))
	require.EqualValues(t, status, answer.Get("error_code"))
	require.True(t, strings.HasPrefix(answer.Text("description"), description), "%s: %s", description, answer.Body)
}

func (p person) name() string { return "name-" + p.id[4:] }

// account is how the RPC family shows a person.
func (p person) account() map[string]any {
	return map[string]any{"username": p.name(), "kind": "agent", "display_name": p.name(), "agent_id": p.id}
}

// chat starts a chat with others and gives its id.
func (p person) chat(t *testing.T, others ...person) string {
	t.Helper()
	names := make([]string, len(others))
	for n, other := range others {
		names[n] = other.name()
	}
	return p.result(t, "startChat", object{"user_ids": names}).Text("result.id")
}

// unread is a chat's count as both doors have it.
func (p person) unread(t *testing.T, chat string) int {
	t.Helper()
	one := p.result(t, "getChat", object{"chat_id": chat}).Get("result.unread_count")
	require.Equal(t, one, p.want(t, 200, "GET", "/api/conversations/conv_"+chat, nil).Get("unread_count"))
	for _, item := range p.result(t, "getChats", nil).Get("result.items").([]any) {
		if listed := item.(map[string]any); listed["id"] == chat {
			require.Equal(t, one, listed["unread_count"])
			return int(one.(float64))
		}
	}
	require.Fail(t, "the chat is not listed")
	return 0
}

// What one door makes the other shows.
func TestBothDoorsLeadToTheSameConversations(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	group := p.ann.chat(t, p.bob, p.eve)
	seen := p.bob.want(t, 200, "GET", "/api/conversations/conv_"+group, nil)
	require.Equal(t, "group", seen.Text("type"))
	require.Equal(t, p.ann.id, seen.Text("creator_id"))
	require.EqualValues(t, 3, seen.Get("member_count"))
	p.ann.want(t, 200, "PUT", "/api/conversations/conv_"+group, object{"name": "Council"})
	require.Equal(t, "Council", p.bob.result(t, "getChat", object{"chat_id": group}).Text("result.title"))

	made := strings.TrimPrefix(p.ann.want(t, 201, "POST", "/api/conversations", object{"type": "direct", "members": []string{p.bob.id}}).Text("conversation_id"), "conv_")
	direct := p.bob.result(t, "startChat", object{"user_ids": []string{p.ann.name()}})
	require.Equal(t, made, direct.Text("result.id"))
	require.Equal(t, "direct", direct.Text("result.kind"))

	p.ann.say(t, "conv_"+group, "one")
	p.eve.result(t, "sendMessage", object{"chat_id": group, "text": "two"})
	require.Equal(t, 2, p.bob.unread(t, group))
	require.Equal(t, 1, p.ann.unread(t, group))
	require.Equal(t, 0, p.eve.unread(t, group), "sending moves the sender's own mark")
	require.EqualValues(t, 0, p.bob.result(t, "markRead", object{"chat_id": group}).Get("result.unread_count"))
	require.Equal(t, 0, p.bob.unread(t, group))
	last := p.ann.say(t, "conv_"+group, "three").Text("message_id")
	p.bob.want(t, 200, "POST", "/api/conversations/conv_"+group+"/read", object{"up_to": last})
	require.Equal(t, 0, p.bob.unread(t, group))

	p.ann.want(t, 204, "DELETE", "/api/conversations/conv_"+group, nil)
	p.bob.denied(t, 404, "not_found: ", "getChat", object{"chat_id": group})
}

func TestBothDoorsLeadToTheSameMessages(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	path := "/api/conversations/conv_" + chat + "/messages"
	first := p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "Hello", "client_msg_id": "k1"})
	id := first.Text("result.id")
	reply := p.bob.result(t, "sendMessage", object{"chat_id": chat, "text": "Hi", "reply_to_message_id": id})
	require.Equal(t, id, reply.Text("result.reply_to_message_id"))
	command := p.bob.want(t, 201, "POST", "/api/messages", object{
		"conversation_id": "conv_" + chat, "content": "/wave", "type": "command", "in_reply_to": "msg_" + id, "mention": []string{p.ann.id},
	})

	rest := p.ann.want(t, 200, "GET", path, nil)
	require.Equal(t, "msg_"+id, rest.Text("messages.2.message_id"))
	require.Equal(t, "text", rest.Text("messages.2.type"))
	require.Equal(t, "msg_"+id, rest.Text("messages.1.in_reply_to"))
	history := p.ann.result(t, "getChatHistory", object{"chat_id": chat}).Get("result.items").([]any)
	require.Len(t, history, 3)
	require.Equal(t, map[string]any{
		"id": strings.TrimPrefix(command.Text("message_id"), "msg_"), "conversation_id": chat, "sender": p.bob.account(),
		"content": "/wave", "type": "command", "seq": 3.0, "created_at": command.Text("created_at"), "reply_to_message_id": id,
	}, history[0])
	require.Equal(t, first.Get("result"), history[2], "a message is the same wherever it is shown")
	others := p.bob.result(t, "getChatHistory", object{"chat_id": chat})
	require.Nil(t, others.Get("result.items.2.client_msg_id"), "the key is its sender's")

	p.ann.want(t, 200, "PUT", "/api/messages/msg_"+id, object{"content": "Hello!"})
	edited := p.bob.result(t, "getChatHistory", object{"chat_id": chat})
	require.Equal(t, "Hello!", edited.Text("result.items.2.content"))
	require.NotEmpty(t, edited.Text("result.items.2.edited_at"))
	require.EqualValues(t, 1, p.ann.result(t, "deleteMessages", object{"message_ids": []string{id}}).Get("result.deleted"))
	rest = p.bob.want(t, 200, "GET", path, nil)
	require.Equal(t, true, rest.Get("messages.2.deleted"))
	deleted := p.bob.result(t, "getChatHistory", object{"chat_id": chat})
	require.Equal(t, true, deleted.Get("result.items.2.deleted"))
	require.Empty(t, deleted.Text("result.items.2.content"))
	p.bob.want(t, 200, "DELETE", "/api/messages/"+command.Text("message_id"), withdrawal())
	require.Len(t, p.bob.result(t, "getChatHistory", object{"chat_id": chat}).Get("result.items"), 2, "what is withdrawn is left out")
}

// A key of a send is one key at both doors.
func TestRepeatsOfASendByEitherDoor(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	body := object{"chat_id": chat, "text": "once", "client_msg_id": "k"}
	first := p.ann.result(t, "sendMessage", body)
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	require.Equal(t, "k", first.Text("result.client_msg_id"))
	again := p.ann.result(t, "sendMessage", body)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.Equal(t, first.Body, again.Body)
	header := svctest.WithHeader("Idempotency-Key", "k")
	require.Equal(t, first.Body, p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "once"}, header).Body)
	rest := p.ann.want(t, 201, "POST", "/api/messages", object{"conversation_id": "conv_" + chat, "content": "once"}, header)
	require.Equal(t, "msg_"+first.Text("result.id"), rest.Text("message_id"))
	require.Equal(t, "true", rest.Header.Get("Idempotency-Replayed"))

	p.ann.denied(t, 422, "invalid_argument: ", "sendMessage", object{"chat_id": chat, "text": "other", "client_msg_id": "k"})
	p.ann.denied(t, 400, "invalid_argument: client_msg_id: ", "sendMessage", body, svctest.WithHeader("Idempotency-Key", "l"))
	p.ann.result(t, "deleteMessages", object{"message_ids": []string{first.Text("result.id")}})
	gone := p.ann.result(t, "sendMessage", body)
	require.Equal(t, true, gone.Get("result.deleted"), "a repeat answers the message as it is by then")
	require.Empty(t, gone.Text("result.content"))
	p.ann.want(t, 200, "DELETE", "/api/messages/msg_"+first.Text("result.id"), withdrawal())
	gone = p.ann.result(t, "sendMessage", body)
	require.Equal(t, true, gone.Get("result.deleted"))
	require.Nil(t, gone.Get("result.type"))
}

func TestStartChat(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	direct := p.ann.chat(t, p.bob)
	tests := map[string]struct {
		names []string
		kind  string
		count int
		old   bool // the direct chat that is there already
	}{
		"one other":                         {[]string{p.bob.name()}, "direct", 2, true},
		"in upper case":                     {[]string{strings.ToUpper(p.bob.name())}, "direct", 2, true},
		"the same one three times":          {[]string{p.bob.name(), strings.ToUpper(p.bob.name()), p.bob.name()}, "direct", 2, true},
		"one's own name beside it":          {[]string{p.ann.name(), p.bob.name()}, "direct", 2, true},
		"another one":                       {[]string{p.eve.name()}, "direct", 2, false},
		"two others":                        {[]string{p.bob.name(), p.eve.name()}, "group", 3, false},
		"two others again: another group":   {[]string{p.bob.name(), p.eve.name()}, "group", 3, false},
		"two others and repetitions":        {[]string{p.eve.name(), p.bob.name(), p.ann.name(), p.eve.name()}, "group", 3, false},
		"many":                              {append(namesFrom(1000, 30), p.bob.name()), "group", 32, false},
		"more than one transaction inserts": {namesFrom(2000, 600), "group", 601, false},
	}
	groups := map[string]string{}
	for outcome, tt := range tests {
		answer := p.ann.result(t, "startChat", object{"user_ids": tt.names})
		require.Equal(t, tt.kind, answer.Text("result.kind"), outcome)
		require.EqualValues(t, tt.count, answer.Get("result.participant_count"), outcome)
		require.Len(t, answer.Get("result.participants"), tt.count, outcome)
		require.Equal(t, tt.old, answer.Text("result.id") == direct, outcome)
		require.EqualValues(t, 0, answer.Get("result.unread_count"), outcome)
		if tt.kind == "group" {
			require.Equal(t, p.ann.account(), answer.Get("result.participants.0"), "%s: the owner comes first", outcome)
			require.Empty(t, groups[answer.Text("result.id")], outcome)
			groups[answer.Text("result.id")] = outcome
		}
	}
	p.bob.say(t, "conv_"+direct, "x")
	require.EqualValues(t, 1, p.ann.result(t, "startChat", object{"user_ids": []string{p.bob.name()}}).Get("result.unread_count"), "as it is")
	require.Equal(t, direct, p.bob.chat(t, p.ann), "from either side")
}

// namesFrom gives the names of n accounts.
func namesFrom(first, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "name-" + agent(first + i)[4:]
	}
	return names
}

func TestStartChatRefuses(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "MEMBERS_PER_GROUP=10")
	tests := map[string]struct {
		body        any
		status      int
		description string
	}{
		"nobody":                        {object{"user_ids": []string{}}, 400, "invalid_argument: user_ids: "},
		"nothing":                       {object{}, 400, "invalid_argument: user_ids: "},
		"null":                          {object{"user_ids": nil}, 400, "invalid_argument: user_ids: "},
		"only oneself":                  {object{"user_ids": []string{p.ann.name(), strings.ToUpper(p.ann.name())}}, 400, "invalid_argument: user_ids: "},
		"an unknown name":               {object{"user_ids": []string{"name-99999999999999999999"}}, 404, "not_found: user_ids: no such account: name-99999999999999999999"},
		"an unknown name among others":  {object{"user_ids": []string{p.bob.name(), "nobody"}}, 404, "not_found: user_ids: no such account: nobody"},
		"an unknown name and oneself":   {object{"user_ids": []string{p.ann.name(), "nobody"}}, 404, "not_found: "},
		"a deleted account":             {object{"user_ids": []string{"name-80000000000000000000"}}, 404, "not_found: "},
		"an empty name":                 {object{"user_ids": []string{""}}, 404, "not_found: "},
		"an id for a name":              {object{"user_ids": []string{p.bob.id}}, 404, "not_found: "},
		"a name that only looks like":   {object{"user_ids": []string{strings.Replace(p.bob.name(), "n", "ñ", 1)}}, 404, "not_found: "},
		"a very long name":              {object{"user_ids": []string{strings.Repeat("x", 100_000)}}, 404, "not_found: user_ids: no such account: xxx"},
		"a name with a line in it":      {object{"user_ids": []string{"a\nb"}}, 404, "not_found: "},
		"one name that is no list":      {object{"user_ids": p.bob.name()}, 400, "invalid_argument: user_ids: "},
		"a name that is a number":       {object{"user_ids": []any{7}}, 400, "invalid_argument: user_ids: "},
		"more than a group holds":       {object{"user_ids": namesFrom(1000, 10)}, 403, "permission_denied: A group has at most 10 members."},
		"many more than a group holds":  {object{"user_ids": namesFrom(1000, 5000)}, 403, "permission_denied: A group has at most 10 members."},
		"an empty key":                  {object{"user_ids": []string{p.bob.name()}}, 400, "invalid_argument: Idempotency-Key: "},
		"a list in place of an object":  {[]string{p.bob.name()}, 400, "invalid_argument: body: "},
		"the members of the other door": {object{"members": []string{p.bob.id}}, 400, "invalid_argument: user_ids: "},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			var opts []svctest.Option
			if outcome == "an empty key" {
				opts = append(opts, svctest.WithHeader("Idempotency-Key", ""))
			}
			p.ann.denied(t, tt.status, tt.description, "startChat", tt.body, opts...)
		})
	}
	require.Empty(t, p.ann.result(t, "getChats", nil).Get("result.items"), "nothing was made")
	p.ann.result(t, "startChat", object{"user_ids": namesFrom(1000, 9)})
}

func TestStartChatOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	key := svctest.WithHeader("Idempotency-Key", "k")
	first := p.ann.result(t, "startChat", object{"user_ids": []string{p.bob.name(), p.eve.name()}}, key)
	again := p.ann.result(t, "startChat", object{"user_ids": []string{p.eve.name(), strings.ToUpper(p.bob.name())}}, key)
	require.Equal(t, first.Body, again.Body)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	p.ann.denied(t, 422, "invalid_argument: ", "startChat", object{"user_ids": []string{p.bob.name()}}, key)
	rest := p.ann.want(t, 201, "POST", "/api/conversations", object{"type": "group", "members": []string{p.bob.id, p.eve.id}}, key)
	require.Equal(t, "conv_"+first.Text("result.id"), rest.Text("conversation_id"), "one key at both doors")
	require.Len(t, p.ann.result(t, "getChats", nil).Get("result.items"), 1)
}

// Who starts the same direct chat at the same time, by whichever door, meets in one.
func TestDirectChatsMeet(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for n := range 5 {
		other := p.as(t, p.ann.Client, 100+n)
		calls := []func() string{
			func() string { return "conv_" + p.ann.chat(t, other) },
			func() string { return "conv_" + other.chat(t, p.ann) },
			func() string {
				return p.ann.do(t, "POST", "/api/conversations", object{"type": "direct", "members": []string{other.id}}).Text("conversation_id")
			},
			func() string {
				return other.do(t, "POST", "/api/messages", object{"recipient_agent_id": p.ann.id, "content": "x"}).Text("conversation_id")
			},
		}
		met := make(chan string, len(calls))
		for _, call := range calls {
			go func() { met <- call() }()
		}
		first := <-met
		require.NotEmpty(t, first)
		for range len(calls) - 1 {
			require.Equal(t, first, <-met, fmt.Sprint(n))
		}
	}
}
