package chatsvc_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// A socket is a WebSocket client of another make than the server.
type socket struct {
	*listener
	conn *websocket.Conn
	ctx  context.Context
	end  error // why it has ended, once frames is closed
}

// dial connects, again while the server is busy; of a refusal there is only a
// status.
func (p person) dial(t *testing.T, query string, header ...string) *socket {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s := &socket{ctx: ctx, listener: &listener{frames: make(chan frame, 100_000), close: cancel}}
	options := &websocket.DialOptions{HTTPHeader: http.Header{}, HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	if p.token != "" {
		options.HTTPHeader.Set("Authorization", "Bearer "+p.token)
	}
	for n := 0; n < len(header); n += 2 {
		options.HTTPHeader.Set(header[n], header[n+1])
	}
	require.Eventually(t, func() bool {
		conn, answer, err := websocket.Dial(ctx, strings.Replace(p.URL, "http", "ws", 1)+"/api/ws"+query, options) //nolint:bodyclose // the client says that it need not be
		require.NotNil(t, answer, "%v", err)
		s.conn, s.status, s.header = conn, answer.StatusCode, answer.Header
		return s.status != http.StatusServiceUnavailable
	}, soon, 50*time.Millisecond)
	if s.conn == nil {
		return s
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.read()
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return s
}

func (s *socket) read() {
	defer close(s.frames)
	for {
		_, data, err := s.conn.Read(s.ctx)
		if err != nil {
			s.end = err
			return
		}
		var f frame
		if json.Unmarshal(data, &f) != nil {
			f.Method = "broken: " + string(data)
		}
		s.frames <- f
	}
}

func (s *socket) send(t *testing.T, kind websocket.MessageType, text string) {
	t.Helper()
	require.NoError(t, s.conn.Write(s.ctx, kind, []byte(text)))
}

func TestASocketTellsWhatAStreamTells(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	stream, socket := p.bob.stream(t, ""), p.bob.dial(t, "")
	require.Equal(t, 101, socket.status)
	require.NotEmpty(t, socket.header.Get("X-Request-Id"))
	require.Empty(t, socket.header.Get("Sec-WebSocket-Extensions"), "frames are not compressed")
	hello := socket.next(t)
	require.Equal(t, p.bob.account(), hello.Params)
	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "one"})
	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": strings.Repeat("long ", 2000)})
	p.ann.group(t, p.bob.id)
	for _, method := range []string{"messageNew", "messageNew", "conversationNew"} {
		require.Equal(t, stream.wants(t, method), socket.wants(t, method))
	}
	again := p.bob.dial(t, "?since="+hello.ID)
	require.Equal(t, hello.ID, again.next(t).ID)
	require.Equal(t, "one", again.wants(t, "messageNew").Params["content"])
}

func TestWhatAClientSendsOnASocket(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	socket := p.bob.dial(t, "")
	require.Equal(t, "events.hello", socket.next(t).Method)
	good := func(token string) string { return `{"method":"auth.refresh","params":{"token":"` + token + `"}}` }
	for outcome, tt := range map[string]struct {
		kind websocket.MessageType
		sent string
		code float64
		says string
	}{
		"a fresh token":               {websocket.MessageText, good(p.auth.token(t, p.bob.id)), 0, ""},
		"another account's token":     {websocket.MessageText, good(p.ann.token), 401, "unauthenticated: The token is another account's."},
		"a token that lacks a scope":  {websocket.MessageText, good(p.auth.token(t, p.bob.id, "llm:chat")), 403, "permission_denied: The token needs the scope messages:read."},
		"a broken token":              {websocket.MessageText, good("x"), 401, "unauthenticated: "},
		"no token":                    {websocket.MessageText, `{"method":"auth.refresh"}`, 401, "unauthenticated: "},
		"another method":              {websocket.MessageText, `{"method":"sendMessage","params":{}}`, 400, "invalid_argument: Send nothing but "},
		"no JSON":                     {websocket.MessageText, `hello`, 400, "invalid_argument: "},
		"a list":                      {websocket.MessageText, `[]`, 400, "invalid_argument: "},
		"params of another type":      {websocket.MessageText, `{"method":"auth.refresh","params":7}`, 400, "invalid_argument: "},
		"a refresh in a binary frame": {websocket.MessageBinary, good(p.bob.token), 400, "invalid_argument: "},
	} {
		socket.send(t, tt.kind, tt.sent)
		answer := socket.next(t)
		if tt.code == 0 {
			require.Equal(t, "auth.refresh", answer.Method, outcome)
			require.NotEmpty(t, answer.Params["expires_at"])
			continue
		}
		require.Equal(t, "error", answer.Method, outcome)
		require.Equal(t, tt.code, answer.Params["error_code"], outcome)
		require.Contains(t, answer.Params["description"], tt.says, outcome)
	}
	socket.send(t, websocket.MessageText, good(strings.Repeat("x", 9000)))
	socket.ends(t)
	require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(socket.end))
}

func TestWhatIsNoHandshakeIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	refused := p.bob.do(t, "GET", "/api/ws", nil)
	require.Equal(t, 400, refused.Status)
	require.Equal(t, "invalid_argument: Connect here with a WebSocket client (RFC 6455, version 13).", refused.Text("description"))
	nobody := p.bob
	nobody.token = ""
	require.Equal(t, 401, nobody.dial(t, "").status, "before the upgrade")
	require.Equal(t, 101, nobody.dial(t, "?token="+p.bob.token).status)
	require.Equal(t, 401, nobody.dial(t, "?token="+p.bob.token+"x").status)
	require.Equal(t, 400, p.bob.dial(t, "?since=x").status)
	require.Equal(t, 400, p.bob.dial(t, "?client_id=%20").status)
	nobody.token = p.auth.token(t, p.bob.id, "llm:chat", "conversations:read")
	require.Equal(t, 403, nobody.dial(t, "").status)
}

// A ticket lets one client connect, once, on any server, while its token lives.
func TestTickets(t *testing.T) {
	t.Parallel()
	i := install(t)
	a, b := document.Client(t, i.server(t).Handler()), document.Client(t, i.server(t).Handler())
	bob := i.as(t, a, 2)
	browser := i.as(t, b, 2)
	browser.token = ""
	ticket := func() string {
		answer := bob.want(t, 200, "POST", "/api/events/ticket", nil)
		require.EqualValues(t, 30, answer.Get("result.expires_in"))
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
		return answer.Text("result.ticket")
	}
	first := ticket()
	stream := browser.stream(t, "?ticket="+first)
	require.Equal(t, bob.account(), stream.next(t).Params)
	require.Equal(t, 401, browser.stream(t, "?ticket="+first).status, "it was used")
	require.Equal(t, 401, browser.dial(t, "?ticket="+first).status)
	require.Equal(t, 401, browser.dial(t, "?ticket=tkt_x").status)

	raced := ticket()
	statuses := make(chan int, 8)
	for n := range cap(statuses) {
		at := []string{a.URL, b.URL}[n%2]
		go func() { statuses <- streamStatus(t.Context(), at+"/api/events?ticket="+raced) }()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	require.Equal(t, map[int]int{200: 1, 401: cap(statuses) - 1}, count)
	bob.token = i.auth.token(t, bob.id, "llm:chat")
	bob.want(t, 403, "POST", "/api/events/ticket", nil)
}

// streamStatus is how a stream is answered, which is closed at once.
func streamStatus(ctx context.Context, url string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
