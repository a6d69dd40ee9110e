package chatsvc_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

func TestAStreamTellsWhatHappens(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	stream := p.bob.stream(t, "")
	require.Equal(t, 200, stream.status)
	require.Equal(t, "text/event-stream", stream.header.Get("Content-Type"))
	require.Equal(t, "no-cache, no-transform", stream.header.Get("Cache-Control"))
	require.NotEmpty(t, stream.header.Get("X-Request-Id"))
	hello := stream.next(t)
	require.Equal(t, "events.hello", hello.Method)
	require.Equal(t, p.bob.account(), hello.Params)
	require.NotEmpty(t, hello.ID)

	said := p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "Hello", "client_msg_id": "k"}).Get("result").(map[string]any)
	told := stream.wants(t, "messageNew")
	delete(said, "client_msg_id") // the key is its sender's
	require.Equal(t, said, told.Params)
	p.ann.want(t, 200, "PUT", "/api/messages/msg_"+said["id"].(string), object{"content": "Hello!"})
	require.Equal(t, "Hello!", stream.wants(t, "messageEdited").Params["content"])
	p.ann.result(t, "deleteMessages", object{"message_ids": []any{said["id"]}})
	require.Equal(t, map[string]any{"conversation_id": chat, "id": said["id"]}, stream.wants(t, "messageDeleted").Params)
	p.ann.want(t, 200, "DELETE", "/api/messages/msg_"+said["id"].(string), withdrawal())
	require.Equal(t, true, stream.wants(t, "messageDeleted").Params["withdrawn"])
}

// Who makes a conversation hears of it on its other clients, and so do those
// with whom it is made; nobody hears of each of the others.
func TestAConversationThatIsMadeIsTold(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	this := p.ann.stream(t, "?client_id=this")
	other, nameless := p.ann.stream(t, "", "X-Client-Id", "other"), p.ann.stream(t, "")
	bob := p.bob.stream(t, "")
	made := p.ann.result(t, "startChat", object{"user_ids": []string{p.bob.name(), p.eve.name()}}, svctest.WithHeader("X-Client-Id", "this"))
	want := made.Get("result").(map[string]any)
	chat := made.Text("result.id")
	var ids []string
	for _, l := range []*listener{other, nameless, bob} {
		told := l.wants(t, "conversationNew")
		require.Equal(t, want, told.Params)
		ids = append(ids, told.ID)
	}
	require.Equal(t, []string{ids[0], ids[0], ids[0]}, ids, "one event has one id")
	p.bob.result(t, "sendMessage", object{"chat_id": chat, "text": "Hi"})
	for _, l := range []*listener{this, other, nameless, bob} {
		l.next(t) // hello, or what came behind the conversation
	}
	require.Equal(t, "events.messageNew", this.next(t).Method, "the client that made it was told by the answer")

	direct := p.bob.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.ann.id, "content": "x"}, svctest.WithHeader("X-Client-Id", "phone"))
	require.Equal(t, "conv_"+this.wants(t, "conversationNew").Params["id"].(string), direct.Text("conversation_id"))
	require.Equal(t, direct.Text("conversation_id"), "conv_"+this.wants(t, "messageNew").Params["conversation_id"].(string))
}

func TestMembersThatComeAndGoAreTold(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	group := p.ann.group(t, p.bob.id)
	chat := strings.TrimPrefix(group, "conv_")
	bob, eve := p.bob.stream(t, ""), p.eve.stream(t, "")
	members := "/api/conversations/" + group + "/members"
	p.ann.say(t, group, "not for eve")
	require.Equal(t, "not for eve", bob.wants(t, "messageNew").Params["content"])

	p.ann.want(t, 200, "POST", members, object{"agent_id": p.eve.id})
	require.Equal(t, "events.hello", eve.next(t).Method)
	came := eve.next(t)
	require.Equal(t, "events.conversationNew", came.Method)
	require.Equal(t, chat, came.Params["id"])
	require.EqualValues(t, 0, came.Params["unread_count"])
	require.Equal(t, map[string]any{"conversation_id": chat, "username": p.eve.name(), "role": "member"}, bob.wants(t, "memberChanged").Params)
	p.ann.want(t, 200, "PUT", "/api/conversations/"+group+"/role", object{"agent_id": p.eve.id, "role": "admin"})
	for _, l := range []*listener{bob, eve} {
		require.Equal(t, map[string]any{"conversation_id": chat, "username": p.eve.name(), "role": "admin"}, l.wants(t, "memberChanged").Params)
	}

	p.ann.want(t, 200, "DELETE", members+"/"+p.eve.id, nil)
	p.ann.say(t, group, "without eve")
	for _, l := range []*listener{bob, eve} {
		require.Equal(t, map[string]any{"conversation_id": chat, "username": p.eve.name(), "removed": true}, l.wants(t, "memberChanged").Params)
	}
	require.Equal(t, "without eve", bob.wants(t, "messageNew").Params["content"])
	p.ann.want(t, 200, "POST", members, object{"agent_id": p.eve.id})
	require.Equal(t, "events.conversationNew", eve.next(t).Method, "who is a member no more hears nothing")
}

func TestReadMarksAreTold(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	ann := p.ann.stream(t, "")
	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "x"})
	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "y"})
	p.bob.result(t, "markRead", object{"chat_id": chat})
	require.Equal(t, map[string]any{"conversation_id": chat, "username": p.bob.name(), "up_to_seq": 2.0}, ann.wants(t, "read").Params,
		"that who speaks has read is told by the message")
}

// texts are the contents of n messages that are told next.
func (l *listener) texts(t *testing.T, n int) (texts, ids []string) {
	t.Helper()
	for len(texts) < n {
		f := l.wants(t, "messageNew")
		texts, ids = append(texts, f.Params["content"].(string)), append(ids, f.ID)
	}
	return texts, ids
}

// Who goes on behind an event, on whichever server, hears all that it missed, in
// order and under the same ids.
func TestAStreamGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	i := install(t)
	a, b := document.Client(t, i.server(t).Handler()), document.Client(t, i.server(t).Handler())
	ann, bob := i.as(t, a, 1), i.as(t, a, 2)
	chat := ann.chat(t, bob)
	first := bob.stream(t, "")
	say := func(text string) string {
		return ann.result(t, "sendMessage", object{"chat_id": chat, "text": text}).Text("result.id")
	}
	say("0")
	_, heard := first.texts(t, 1)
	var want []string
	for n := range 20 {
		want = append(want, fmt.Sprint(n+1))
		say(want[n])
	}
	_, ids := first.texts(t, 20)
	first.close()
	edited := say("before")
	ann.want(t, 200, "PUT", "/api/messages/msg_"+edited, object{"content": "after"})
	ann.want(t, 200, "DELETE", "/api/messages/msg_"+say("withdrawn"), withdrawal())
	want = append(want, "after", "last")
	say("last")

	onB := i.as(t, b, 2)
	for name, again := range map[string]*listener{
		"since":                      onB.stream(t, "?since="+heard[0]),
		"Last-Event-ID":              onB.stream(t, "", "Last-Event-ID", heard[0]),
		"Last-Event-ID before since": onB.stream(t, "?since="+ids[5], "Last-Event-ID", heard[0]),
		"on the first server":        bob.stream(t, "?since="+heard[0]),
	} {
		hello := again.next(t)
		require.Equal(t, "events.hello", hello.Method, name)
		require.Equal(t, heard[0], hello.ID, name+": a client that breaks off here has missed nothing")
		texts, ids2 := again.texts(t, len(want))
		require.Equal(t, want, texts, name)
		require.Equal(t, ids, ids2[:20], name)
	}
	say("live")
	eve := i.as(t, b, 3).stream(t, "?since="+heard[0])
	require.Equal(t, "events.hello", eve.next(t).Method)
	i.as(t, b, 3).chat(t, onB)
	require.Equal(t, "events.conversationNew", eve.next(t).Method, "a stranger's event shows no more")
}

// What a server has no more is told as a gap, whose token leads to it.
func TestAGapIsToldWithWhereToCatchUp(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "EVENT_MEMORY=2000")
	chat := p.ann.chat(t, p.bob)
	stream := p.bob.stream(t, "")
	heard := stream.next(t).ID
	var want []string
	for n := range 40 {
		want = append(want, fmt.Sprint(n))
		p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": want[n]})
	}
	stream.texts(t, 40)
	again := p.bob.stream(t, "?since="+heard)
	require.Equal(t, heard, again.next(t).ID)
	gap := again.next(t)
	require.Equal(t, "events.gap", gap.Method)
	require.NotEqual(t, heard, gap.ID)
	var texts []string
	for after, more := gap.Params["catch_up"].(string), true; more; {
		page := p.bob.want(t, 200, "GET", "/api/messages?after="+after, nil)
		for _, m := range page.Get("messages").([]any) {
			texts = append(texts, m.(map[string]any)["content"].(string))
		}
		after, more = page.Text("next"), page.Get("has_more").(bool)
	}
	require.Equal(t, want, texts)
	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "live"})
	require.Equal(t, "live", again.wants(t, "messageNew").Params["content"])
}

// eventPaths are the doors of events, which answer errors as the RPC family
// does.
func eventPaths() []string { return []string{"events", "events/ticket", "ws"} }

func TestEventsTakeAToken(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, path := range eventPaths() {
		method := map[bool]string{true: "POST", false: "GET"}[strings.HasSuffix(path, "ticket")]
		call := func(as ...svctest.Option) *svctest.Response {
			return p.ann.Call(t, method, "/api/"+path+"?since=x", nil, as...)
		}
		for _, answer := range []*svctest.Response{call(), call(svctest.WithBearer(p.ann.token + "x"))} {
			require.Equal(t, 401, answer.Status, path)
			require.NotEmpty(t, answer.Header.Get("WWW-Authenticate"), path)
			require.Contains(t, answer.Text("description"), "unauthenticated: ", path)
		}
		for _, scope := range token.AllScopes() {
			answer := call(svctest.WithBearer(p.auth.token(t, p.eve.id, scope)))
			require.Equal(t, scope != token.MessagesRead, answer.Status == 403, "%s with %s: %s", path, scope, answer.Body)
		}
	}
}

// A group that is made in several steps is told of once, when it is there.
func TestALargeGroupIsToldWhenItIsThere(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	bob := p.bob.stream(t, "")
	heard := bob.next(t).ID
	members := []string{p.bob.id}
	for n := range 600 {
		members = append(members, agent(1000+n))
	}
	group := p.ann.group(t, members...)
	p.ann.say(t, group, "Hi")
	for _, l := range []*listener{bob, p.bob.stream(t, "?since="+heard)} {
		var methods []string
		for len(methods) == 0 || methods[len(methods)-1] != "events.messageNew" {
			f := l.next(t)
			methods = append(methods, f.Method)
			if f.Method == "events.conversationNew" {
				require.EqualValues(t, 602, f.Params["participant_count"])
			}
		}
		require.Equal(t, []string{"events.conversationNew", "events.messageNew"}, slices.DeleteFunc(methods, func(m string) bool { return m == "events.hello" }))
	}
}

// Where blocks hide messages, they are not told either, nor that somebody types
// them.
func TestHiddenMessagesAreNotTold(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "BLOCKS_MAX_GROUP=2")
	group := p.ann.group(t, p.bob.id, p.eve.id)
	p.bob.block(t, p.eve.id)
	bob := p.bob.stream(t, "")
	heard := bob.next(t).ID
	p.eve.say(t, group, "hidden")
	typing := object{"chat_id": strings.TrimPrefix(group, "conv_"), "action": "typing"}
	p.eve.result(t, "sendChatAction", typing)
	p.ann.result(t, "sendChatAction", typing)
	require.Equal(t, p.ann.name(), bob.wants(t, "typing").Params["username"])
	p.ann.say(t, group, "seen")
	for _, l := range []*listener{bob, p.bob.stream(t, "?since="+heard)} {
		require.Equal(t, "seen", l.wants(t, "messageNew").Params["content"])
	}
}

// The lines of a stream, word for word.
func TestTheLinesOfAStream(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	stream := p.bob.stream(t, "")
	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "one"})
	p.bob.result(t, "markRead", object{"chat_id": chat})
	heard := stream.wants(t, "read").ID
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.bob.URL+"/api/events", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+p.bob.token)
	request.Header.Set("Last-Event-ID", heard)
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, answer.Body.Close()) }()
	require.Equal(t, 200, answer.StatusCode)
	said := p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "two\nlines"})
	account := func(who person) string {
		return fmt.Sprintf(`{"username":%q,"kind":"agent","display_name":%q,"agent_id":%q}`, who.name(), who.name(), who.id)
	}
	want := strings.NewReplacer("$heard", heard, "$told", stream.wants(t, "messageNew").ID, "$ann", account(p.ann), "$bob", account(p.bob),
		"$message", said.Text("result.id"), "$chat", chat, "$at", said.Text("result.created_at")).Replace(`retry: 2000

id: $heard
data: {"method":"events.hello","params":$bob,"id":"$heard"}

id: $told
data: {"method":"events.messageNew","params":{"id":"$message","conversation_id":"$chat","sender":$ann,"content":"two\nlines","seq":2,"created_at":"$at"},"id":"$told"}

`)
	got := make([]byte, len(want))
	_, err = io.ReadFull(answer.Body, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}
