package rpcapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/push"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

// socketFrameMost bounds what a client sends in one frame: a token and a little
// more, in bytes.
const socketFrameMost = 8 << 10

// errUpgrade refuses what is no handshake of RFC 6455 §4.2.1.
var errUpgrade = fault.ErrInvalid.Say("Connect here with a WebSocket client (RFC 6455, version 13).")

// getSocket answers with a WebSocket. It is upgraded on the bare connection, of
// which nothing of the server's is kept: thousands of idle ones cost little.
func (e *Events) getSocket(c *fiber.Ctx) error {
	handshake := handshakeOf(c)
	if !websocket.IsWebSocketUpgrade(handshake) || handshake.Header.Get("Sec-Websocket-Version") != "13" ||
		handshake.Header.Get("Sec-Websocket-Key") == "" || c.Method() != http.MethodGet {
		return errUpgrade
	}
	if err := httpserver.CheckOrigin(c, e.origins); err != nil {
		return err
	}
	connection, err := e.connect(c, SocketDoor)
	if err != nil {
		return err
	}
	answer := http.Header{"X-Request-Id": {string(c.Response().Header.Peek("X-Request-Id"))}}
	c.Context().HijackSetNoResponse(true)
	c.Context().Hijack(func(hijacked net.Conn) {
		taken := httpserver.Take(hijacked)
		conn, err := e.upgrader.Upgrade(upgrade{taken}, handshake, answer)
		if err != nil {
			_ = taken.Close()
			connection.Abandon()
			return
		}
		s := &socket{conn: conn, taken: taken, events: e, connection: connection}
		connection.Start(s, s.read)
	})
	return nil
}

// newUpgrader has small buffers, of which those for writing are shared: frames
// are written as they were prepared.
func newUpgrader() *websocket.Upgrader {
	return &websocket.Upgrader{
		ReadBufferSize: 128, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true }, // it was checked
	}
}

// handshakeOf copies of a request what a handshake consists of.
func handshakeOf(c *fiber.Ctx) *http.Request {
	header := http.Header{}
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Version", "Sec-Websocket-Key"} {
		if value := c.Get(name); value != "" {
			header.Set(name, value)
		}
	}
	return &http.Request{Method: http.MethodGet, Header: header, Host: c.Hostname()}
}

// upgrade is a taken connection, where the upgrader wants the answer to a
// request.
type upgrade struct{ *httpserver.Taken }

func (upgrade) Header() http.Header { return http.Header{} }
func (upgrade) WriteHeader(int)     {}

// Hijack implements http.Hijacker.
func (u upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return u.Taken, bufio.NewReadWriter(bufio.NewReaderSize(nothing{}, 16), bufio.NewWriterSize(io.Discard, 16)), nil
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

// socket is a client of a WebSocket.
type socket struct {
	conn       *websocket.Conn
	taken      *httpserver.Taken // beneath conn; bounds each write
	events     *Events
	connection *push.Connection[Frame]
}

// Write implements push.Sink.
func (s *socket) Write(f Frame) error { return s.conn.WritePreparedMessage(f.socket) }

// Beat implements push.Sink.
func (s *socket) Beat() error { return s.conn.WriteControl(websocket.PingMessage, nil, time.Time{}) }

// Close implements push.Sink. The reader lets go of the connection.
func (s *socket) Close(end push.End) {
	s.taken.Leave(func() error {
		code, text := closing(end)
		if code == 0 {
			return nil
		}
		return s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Time{})
	})
}

// closing is the close frame of an end (RFC 6455 §7.4.1); 0 for none.
func closing(end push.End) (code int, text string) {
	back := fmt.Sprintf("come back in %d ms", end.Wait.Milliseconds())
	switch end.Why {
	case push.Leaving:
		return websocket.CloseGoingAway, back
	case push.Gap:
		return websocket.CloseServiceRestart, back
	case push.Slow:
		return websocket.CloseTryAgainLater, "too slow; " + back
	case push.Failed:
		return websocket.CloseInternalServerErr, back
	case push.Unauthenticated:
		return websocket.ClosePolicyViolation, "the token has expired or was revoked"
	}
	return 0, ""
}

// read hears the client, until it goes or is silent for too long.
func (s *socket) read() {
	defer func() { _ = s.conn.Close() }() // everything was written, or cannot be
	s.conn.SetReadLimit(socketFrameMost)
	s.conn.SetPongHandler(func(string) error { return s.heard() })
	if s.heard() != nil {
		return
	}
	for {
		kind, data, err := s.conn.ReadMessage()
		if err != nil || s.heard() != nil {
			return
		}
		if answer, err := s.answer(kind, data).frame(); err == nil { // it always has a JSON form
			s.connection.Reply(answer)
		}
	}
}

// silences is for how many signs of life a client may be silent.
const silences = 3

func (s *socket) heard() error { return s.taken.Await(silences * s.events.hub.Beat) }

const refresh = "auth.refresh"

// answer is what the client is told about a frame of its own.
func (s *socket) answer(kind int, data []byte) wireFrame {
	var asked struct {
		Method string `json:"method"`
		Params struct {
			Token string `json:"token"`
		} `json:"params"`
	}
	if err := json.Unmarshal(data, &asked); kind != websocket.TextMessage || err != nil || asked.Method != refresh {
		return refusal(fault.ErrInvalid.Say(`Send nothing but {"method":%q,"params":{"token":…}}.`, refresh))
	}
	expires, err := s.events.refresh(s.connection, asked.Params.Token)
	if err != nil {
		return refusal(err)
	}
	return wireFrame{Method: refresh, Params: struct {
		ExpiresAt httpserver.Time `json:"expires_at"`
	}{httpserver.Time(expires)}}
}

// refusal tells what was wrong, in the words of the family.
func refusal(err error) wireFrame {
	f := fault.Of(err)
	return wireFrame{Method: "error", Params: struct {
		ErrorCode   int    `json:"error_code"`
		Description string `json:"description"`
	}{httpserver.Status(f), httpserver.Description(f)}}
}
