package chatsvc_test

import (
	"context"
	"crypto/ed25519"
	"net"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"chatplatform.io/svckit/token"
)

// published is the one signing key, at hand.
type published struct{ key ed25519.PublicKey }

func (p published) Key(context.Context, string) (ed25519.PublicKey, error) { return p.key, nil }

// bare is a handler that checks the same token and returns the same bytes.
func bare(a *auth, body []byte) fasthttp.RequestHandler {
	verifier := token.NewVerifier(token.Config{
		Issuer: issuer, Audience: "chatplatform", Keys: published{a.key.Public().(ed25519.PublicKey)},
		Capacity: 10, Now: time.Now, Registry: prometheus.NewRegistry(),
	})
	app := fiber.New(fiber.Config{DisableStartupMessage: true, Immutable: true})
	app.Get("/api/messages", func(c *fiber.Ctx) error {
		raw, _ := token.Bearer(c.Request().Header.Peek(fiber.HeaderAuthorization))
		if _, err := verifier.Verify(c.Context(), raw); err != nil {
			return err
		}
		c.Response().Header.SetContentType(fiber.MIMEApplicationJSON)
		c.Response().SetBodyRaw(body)
		return nil
	})
	return app.Handler()
}

// request is one that can be answered again and again, without a network.
func (p person) request(method, path string, body []byte) *fasthttp.RequestCtx {
	var request fasthttp.Request
	request.SetRequestURI(path)
	request.Header.SetMethod(method)
	request.Header.SetContentType(fiber.MIMEApplicationJSON)
	request.Header.Set(fiber.HeaderAuthorization, "Bearer "+p.token)
	request.SetBodyRaw(body)
	ctx := &fasthttp.RequestCtx{}
	ctx.Init(&request, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil)
	return ctx
}

func (p person) poll(etag string) *fasthttp.RequestCtx {
	ctx := p.request(fiber.MethodGet, "/api/messages", nil)
	if etag != "" {
		ctx.Request.Header.Set(fiber.HeaderIfNoneMatch, etag)
	}
	return ctx
}

// allocations of one answer.
func allocations(t *testing.T, handler fasthttp.RequestHandler, ctx *fasthttp.RequestCtx, status int) float64 {
	return testing.AllocsPerRun(1000, func() {
		handler(ctx)
		if got := ctx.Response.StatusCode(); got != status {
			t.Fatalf("status %d: %s", got, ctx.Response.Body())
		}
		ctx.Response.Reset()
		ctx.ResetUserValues()
	})
}

// What a poll that finds nothing costs beside a bare handler: no database call
// (TestCosts) and few allocations.
func TestAnEmptyPollAllocatesLittle(t *testing.T) { // counts what the whole process allocates: not beside others
	in := install(t)
	handler := in.server(t, "POLL_BURST=100000000").Handler()
	client := document.Client(t, handler)
	p := place{in, in.as(t, client, 1), in.as(t, client, 2), in.as(t, client, 3)}
	conversation := p.ann.group(t, p.bob.id)
	for range 20 {
		p.ann.say(t, conversation, "hello there")
	}
	p.trusted(t)
	first := p.bob.want(t, 200, "GET", "/api/messages", nil)
	least := allocations(t, bare(p.auth, first.Body), p.bob.poll(""), 200)
	for status, etag := range map[int]string{200: "", 304: first.Header.Get("ETag")} {
		var ours float64
		require.Eventually(t, func() bool {
			ours = allocations(t, handler, p.bob.poll(etag), status)
			return ours-least <= 10
		}, 30*time.Second, 10*time.Millisecond, "beside the %v of a bare handler: %v", least, ours)
	}
}
