package chatsvc_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/auth-svc/accounts"
	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/svckit/svctest"
)

// closed waits until a socket has ended with a code, and gives the reason.
func (s *socket) closed(t *testing.T, code websocket.StatusCode) string {
	t.Helper()
	s.ends(t)
	var end websocket.CloseError
	require.ErrorAs(t, s.end, &end)
	require.Equal(t, code, end.Code, end.Reason)
	return end.Reason
}

func TestAConnectionEndsWithItsToken(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.anyClock = true
	clock := svctest.NewClock()
	deps, logs := i.logged(t)
	deps.Now = clock.Now
	client := document.Client(t, i.serverWith(t, deps).Handler())
	bob := i.as(t, client, 2)
	ticket := bob.want(t, 200, "POST", "/api/events/ticket", nil).Text("result.ticket")
	i.auth.life = time.Hour
	long := i.auth.token(t, bob.id)
	stream, socket, renewed := bob.stream(t, ""), bob.dial(t, ""), bob.dial(t, "")
	renewed.send(t, websocket.MessageText, `{"method":"auth.refresh","params":{"token":"`+long+`"}}`)
	require.Equal(t, "events.hello", renewed.next(t).Method)
	require.Equal(t, "auth.refresh", renewed.next(t).Method)
	clock.Advance(20 * time.Minute)
	stream.ends(t)
	require.Equal(t, "the token has expired or was revoked", socket.closed(t, websocket.StatusPolicyViolation))
	require.Equal(t, 401, bob.stream(t, "").status)
	bob.token = ""
	require.Equal(t, 401, bob.stream(t, "?ticket="+ticket).status, "it has expired")

	bob.token = long
	chat := bob.chat(t, i.as(t, client, 1))
	require.Equal(t, chat, renewed.wants(t, "conversationNew").Params["id"], "a fresh token lets it live")
	i.auth.tell(accounts.Change{Kind: accounts.KeysRevoked, AccountID: bob.id, KeyIDs: []string{"aky_" + bob.id[4:]}})
	renewed.closed(t, websocket.StatusPolicyViolation)
	for _, secret := range []string{ticket, long} {
		require.NotContains(t, logs.String(), secret)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "EVENT_CONNECTIONS=3", "EVENT_CONNECTIONS_EACH=2")
	first, second := p.bob.stream(t, ""), p.bob.dial(t, "")
	require.Equal(t, "events.hello", first.next(t).Method)
	require.Equal(t, "events.hello", second.next(t).Method)
	refused := p.bob.do(t, "GET", "/api/events", nil)
	require.Equal(t, 429, refused.Status)
	require.Contains(t, refused.Text("description"), "rate_limited: The account has 2 connections")
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
	require.Equal(t, 200, p.ann.stream(t, "").status)
	refused = p.eve.do(t, "GET", "/api/events", nil)
	require.Equal(t, 503, refused.Status)
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
	first.close()
	require.Equal(t, 101, p.eve.dial(t, "").status, "who waits gets the place of who goes")
}

// A client that does not read is cut off, and finds all of it when it comes
// back.
func TestASlowClientIsCutOff(t *testing.T) {
	t.Parallel()
	i := install(t)
	deps, _ := i.logged(t)
	client := document.Client(t, i.serverWith(t, deps).Handler())
	ann, bob := i.as(t, client, 1), i.as(t, client, 2)
	chat := ann.chat(t, bob)
	hello := bob.stream(t, "").next(t)
	dialer := net.Dialer{}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(bob.URL, "http://"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	_, err = fmt.Fprintf(conn, "GET /api/events?token=%s HTTP/1.1\r\nHost: x\r\n\r\n", bob.token)
	require.NoError(t, err)
	connected := func() float64 { return metric(t, deps.Observer.Registry, "chat_event_connections") }
	require.Eventually(t, func() bool { return connected() == 2 }, soon, 20*time.Millisecond)

	const size, sent = 10_000, 500 // more than the system keeps for who does not read
	for range sent {
		ann.result(t, "sendMessage", object{"chat_id": chat, "text": strings.Repeat("€", size)})
	}
	require.Eventually(t, func() bool { return connected() <= 1 }, soon, 20*time.Millisecond)
	again := bob.stream(t, "?since="+hello.ID)
	texts, _ := again.texts(t, sent)
	require.Len(t, texts[sent-1], 3*size)
}

// A server that stops tells its clients to come back, each at another moment.
func TestAServerThatStopsSendsItsClientsAway(t *testing.T) {
	t.Parallel()
	i := install(t)
	deps, _ := i.logged(t)
	server, err := chatsvc.Open(t.Context(), i.config(t), deps)
	require.NoError(t, err)
	bob := i.as(t, document.Client(t, server.Handler()), 2)
	stream, socket := bob.stream(t, ""), bob.dial(t, "")
	hello := stream.next(t)
	require.Equal(t, "events.hello", socket.next(t).Method)
	require.NoError(t, server.Close(context.Background()))
	require.Empty(t, stream.ends(t))
	require.NotEqual(t, "2000", stream.retry)
	require.Regexp(t, `^come back in \d+ ms$`, socket.closed(t, websocket.StatusGoingAway))

	again := i.as(t, document.Client(t, i.server(t).Handler()), 2)
	require.Equal(t, hello.ID, again.stream(t, "?since="+hello.ID).next(t).ID)
}

// Where a server has to forget what it knows, its clients hear of it, and how
// to catch up.
func TestWhatAServerLostIsToldToEverybody(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	stream, socket := p.bob.stream(t, ""), p.bob.dial(t, "")
	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "before"})
	for _, l := range []*listener{stream, socket.listener} {
		require.Equal(t, "before", l.wants(t, "messageNew").Params["content"])
	}
	bad := bson.D{{Key: "_id", Value: "no place"}, {Key: "c", Value: 1}, {Key: "s", Value: "no number"}}
	_, err := svctest.Open(t, p.database).Collection("messages").InsertOne(t.Context(), bad)
	require.NoError(t, err)
	gap := stream.wants(t, "gap")
	require.Equal(t, gap.ID, socket.wants(t, "gap").ID)
	require.Empty(t, stream.ends(t))
	require.Contains(t, socket.closed(t, websocket.StatusServiceRestart), "come back in ")

	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "after"})
	missed := p.bob.want(t, 200, "GET", "/api/messages?after="+gap.Params["catch_up"].(string), nil)
	require.Contains(t, string(missed.Body), `"content":"after"`)
	require.Equal(t, "after", p.bob.stream(t, "?since="+gap.ID).wants(t, "messageNew").Params["content"])
}

func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "CORS_ORIGINS=https://app.example.com,https://other.example.com")
	for outcome, tt := range map[string]struct {
		origin string
		status int
		allows string
	}{
		"no browser":      {"", 101, ""},
		"the same origin": {p.bob.URL, 101, ""},
		"one of those":    {"https://app.example.com", 101, "https://app.example.com"},
		"another":         {"https://evil.example.com", 403, ""},
		"nobody's":        {"null", 403, ""},
	} {
		require.Equal(t, tt.status, p.bob.dial(t, "", "Origin", tt.origin).status, outcome)
		stream := p.bob.stream(t, "", "Origin", tt.origin)
		require.Equal(t, tt.allows, stream.header.Get("Access-Control-Allow-Origin"), outcome)
		require.Equal(t, "Origin", stream.header.Get("Vary"), outcome)
		preflight := p.bob.Call(t, "OPTIONS", "/api/events/ticket", nil, svctest.Unrouted(),
			svctest.WithHeader("Origin", tt.origin), svctest.WithHeader("Access-Control-Request-Method", "POST"))
		require.Equal(t, tt.allows, preflight.Header.Get("Access-Control-Allow-Origin"), outcome)
		require.Equal(t, tt.allows != "", preflight.Status == 204, outcome)
		require.Equal(t, tt.allows != "", strings.Contains(preflight.Header.Get("Access-Control-Allow-Headers"), "Authorization"), outcome)
	}
}

// What is said to many costs the database nothing, and a further connection of
// an account neither.
func TestWhatConnectingCosts(t *testing.T) {
	t.Parallel()
	i := install(t)
	commands := &svctest.Commands{}
	i.database.Monitors = append(i.database.Monitors, commands.Monitor())
	client := document.Client(t, i.server(t).Handler())
	ann, bob := i.as(t, client, 1), i.as(t, client, 2)
	chat := ann.chat(t, bob)
	warm := ann.stream(t, "")
	ann.result(t, "sendMessage", object{"chat_id": chat, "text": "x"})
	warm.wants(t, "messageNew") // what was made is heard
	finds := func() (names []string) {
		for _, c := range commands.Sent("find", "aggregate") {
			names = append(names, c.Collection)
		}
		return names
	}
	commands.Reset()
	first := bob.stream(t, "")
	require.Equal(t, "events.hello", first.next(t).Method)
	require.Equal(t, []string{"memberships", "conversations"}, finds())
	commands.Reset()
	listeners := []*listener{first}
	for range 20 {
		listeners = append(listeners, bob.stream(t, ""))
	}
	ann.result(t, "sendMessage", object{"chat_id": chat, "text": "to all"})
	for _, l := range listeners {
		require.Equal(t, "to all", l.wants(t, "messageNew").Params["content"])
	}
	for _, collection := range finds() { // a sender's rights are read again where the feed is late
		require.Contains(t, []string{"members", "barriers"}, collection)
	}
}

func TestTypingIsToldToTheOthers(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	bob := p.bob.stream(t, "")
	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "x"})
	bob.wants(t, "messageNew") // what was made is heard
	ann := p.ann.stream(t, "")
	p.ann.result(t, "sendChatAction", object{"chat_id": chat, "action": "typing"})
	require.Equal(t, map[string]any{"conversation_id": chat, "username": p.ann.name(), "action": "typing"}, bob.wants(t, "typing").Params)
	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "y"})
	for f := ann.next(t); f.Method != "events.messageNew"; f = ann.next(t) {
		require.NotEqual(t, "events.typing", f.Method, "not to who types")
	}
}
