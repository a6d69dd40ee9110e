package rpcapi

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/push"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/token"
)

// The doors at which clients are sent events, by their names in metrics.
const (
	StreamDoor = "stream" // server-sent events
	SocketDoor = "socket" // WebSocket
)

// refreshWait bounds one look at a token.
const refreshWait = 5 * time.Second

// Events are the two doors at which clients are sent what happens, as it
// happens (docs/api/events.md).
type Events struct {
	api      *API
	hub      *push.Hub[Frame]
	tickets  *push.Tickets
	upgrader *websocket.Upgrader
	origins  []string
}

// NewEvents makes the doors of a hub. Pages of the origins may open WebSockets.
func NewEvents(api *API, hub *push.Hub[Frame], tickets *push.Tickets, origins []string) *Events {
	return &Events{api: api, hub: hub, tickets: tickets, upgrader: newUpgrader(), origins: origins}
}

// EventPaths are the paths whose errors are those of the RPC family, beneath
// /api/.
func EventPaths() []string { return []string{"ws", "events", "events/ticket"} }

// Mount adds the doors to f.
func (e *Events) Mount(f *fiber.App) {
	may := token.RequireBy(e.credential, token.MessagesRead)
	f.Get("/api/events", may, e.getStream)
	f.Get("/api/ws", may, e.getSocket)
	f.Post("/api/events/ticket", token.Require(e.api.verifier, token.MessagesRead), e.postTicket)
}

// credential finds the token of a client that may not be able to send headers.
func (e *Events) credential(c *fiber.Ctx) (*token.Claims, error) {
	switch raw, ticket := c.Query("token"), c.Query("ticket"); {
	case c.Get(fiber.HeaderAuthorization) != "":
	case raw != "":
		return e.api.verifier.Verify(c.UserContext(), raw)
	case ticket != "":
		claims, err := e.tickets.Redeem(c.UserContext(), ticket)
		if err == nil && e.hub.Ended(claims) {
			err = fault.ErrUnauthenticated.Say("The token for which the ticket stands has expired or was revoked.")
		}
		return claims, err
	}
	return e.api.verifier.Bearer(c)
}

// ticket is what a browser connects with, which can send no headers then.
type ticket struct {
	Ticket    string `json:"ticket"`
	ExpiresIn int    `json:"expires_in"`
}

func (e *Events) postTicket(c *fiber.Ctx) error {
	secret, err := e.tickets.Issue(c.UserContext(), *token.From(c))
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return httpserver.RPCResult(c, ticket{secret, int(push.TicketLife.Seconds())})
}

// refresh lets a connection live by another token of the same account, and
// gives when that expires.
func (e *Events) refresh(connection *push.Connection[Frame], raw string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshWait)
	defer cancel()
	claims, err := e.api.verifier.Verify(ctx, raw)
	switch {
	case err != nil:
		return time.Time{}, err
	case claims.Subject != connection.Claims().Subject:
		return time.Time{}, fault.ErrUnauthenticated.Say("The token is another account's.")
	case !claims.Scopes.Has(token.MessagesRead):
		return time.Time{}, fault.ErrScope.Say("The token needs the scope %s.", token.MessagesRead)
	}
	connection.Renew(claims)
	return claims.ExpiresAt, nil
}

// connect has a client hear what happens from now on, or behind the event that
// it names.
func (e *Events) connect(c *fiber.Ctx, door string) (*push.Connection[Frame], error) {
	client, err := httpserver.ClientID(c)
	if err != nil {
		return nil, err
	}
	wanted := push.Request{Claims: token.From(c), Door: door, Client: client}
	if since := c.Get("Last-Event-ID", c.Query("since")); since != "" {
		position, err := e.api.position(since)
		if err != nil {
			return nil, err
		}
		wanted.Since = &position
	}
	return e.hub.Connect(c.UserContext(), wanted)
}

// getStream answers with server-sent events (the HTML standard, section 9.2).
func (e *Events) getStream(c *fiber.Ctx) error {
	header := &c.Context().Response.Header
	header.SetContentType("text/event-stream")
	header.Set(fiber.HeaderCacheControl, "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no") // proxies are not to wait for more
	if c.Method() == http.MethodHead {
		return nil
	}
	connection, err := e.connect(c, StreamDoor)
	if err != nil {
		return err
	}
	header.SetContentLength(-2) // it ends with the connection
	header.Del(fiber.HeaderTransferEncoding)
	head := append([]byte(nil), header.Header()...)
	c.Context().HijackSetNoResponse(true)
	c.Context().Hijack(func(hijacked net.Conn) {
		s := &stream{httpserver.Take(hijacked)}
		if s.write(append(head, retry(firstRetry)...)) != nil {
			_ = s.conn.Close()
			connection.Abandon()
			return
		}
		connection.Start(s, s.read)
	})
	return nil
}
