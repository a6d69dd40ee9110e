// Package httpserver is the HTTP shell of a service: an application that turns
// returned errors into answers, and the server that carries it.
package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"chatplatform.io/svckit/fault"
)

// MaxBody is the largest request body that is served, in bytes.
const MaxBody = 1 << 20

// Options say how an application answers and where it reports.
type Options struct {
	Logger   *slog.Logger
	Registry prometheus.Registerer
	Tracer   trace.Tracer
	// Timeout ends the context that a handler works under. Handlers that wait
	// on purpose set a context of their own.
	Timeout time.Duration
	// TrustedProxies are those whose X-Forwarded-For is believed; the first one
	// that comes from elsewhere is told in the log.
	TrustedProxies []netip.Prefix
	// Origins are those whose pages may call, as browsers name them.
	Origins []string
	// RPC names the methods (/api/<method>) whose errors take the RPC form.
	RPC []string
	// Rephrase gives, by path, what is made of an error before it is answered.
	Rephrase map[string]func(*fiber.Ctx, error) error
}

type app struct {
	Options
	rpc       map[string]bool
	metrics   *requestMetrics
	spans     []trace.SpanStartOption
	carriers  propagation.TraceContext
	strangers sync.Once
}

// NewApp makes an application whose handlers return their errors. Around
// every request it sets the request id, a deadline and a trace span, counts
// and times it by route pattern, makes a 500 of a panic, refuses bodies over
// MaxBody and writes errors in the envelope of the path's family. An internal
// error is logged once, with its cause; the caller sees only the request id.
//
// Strings taken from the context are copies and may be kept.
func NewApp(o Options) *fiber.App {
	a := &app{Options: o, rpc: map[string]bool{}, metrics: newRequestMetrics(o.Registry)}
	a.spans = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	for _, method := range o.RPC {
		a.rpc["/api/"+method] = true
	}
	f := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		CaseSensitive:         true,
		StrictRouting:         true,
		Immutable:             true,
		ErrorHandler:          func(c *fiber.Ctx, err error) error { a.answer(c, err); return nil },
	})
	f.Use(a.around)
	return f
}

// around is the one middleware; see NewApp.
func (a *app) around(c *fiber.Ctx) error {
	start := time.Now()
	RequestID(c.Context())
	a.noticeProxy(c)
	ctx, span := a.Tracer.Start(a.extract(c), c.Method(), a.spans...)
	defer span.End()
	ctx, cancel := withDeadline(ctx, start.Add(a.Timeout))
	defer cancel()
	c.SetUserContext(ctx)

	if !a.cors(c) {
		if err := a.protect(c); err != nil {
			a.answer(c, err)
		}
	}
	route := pattern(c)
	if span.IsRecording() {
		span.SetName(c.Method() + " " + route)
	}
	a.metrics.observe(c.Method(), route, c.Response().StatusCode(), time.Since(start))
	return nil
}

// protect runs the handlers and makes an error of a panic.
func (a *app) protect(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if TooLarge(c.Context()) {
		return fault.ErrTooLarge
	}
	return c.Next()
}

// answer writes err in the envelope of its family and logs what is ours.
func (a *app) answer(c *fiber.Ctx, err error) {
	if rephrase := a.Rephrase[c.Path()]; rephrase != nil {
		err = rephrase(c, err)
	}
	f := a.fault(c, err)
	if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		a.Logger.ErrorContext(c.UserContext(), "request failed",
			"request_id", RequestID(c.Context()), "method", c.Method(), "route", pattern(c), "error", err.Error())
	}
	var oauth *oauthError
	if errors.As(err, &oauth) {
		writeOAuthFault(c.Context(), f, oauth.name)
		return
	}
	if a.rpc[c.Path()] || IsRPC(c.Method(), c.Path()) && unserved(c, err) {
		WriteRPCFault(c.Context(), f)
		return
	}
	WriteFault(c.Context(), f)
}

// fault translates the router's own errors, deadlines and, last, everything
// else.
func (a *app) fault(c *fiber.Ctx, err error) *fault.Fault {
	var routing *fiber.Error
	switch {
	case errors.As(err, &routing) && routing.Code == http.StatusMethodNotAllowed:
		return fault.ErrMethodNotAllowed
	case noRoute(err):
		return fault.ErrNotFound.Say("There is no %s %s here.", Method(c.Context()), c.Path())
	case errors.Is(err, context.DeadlineExceeded) && !errors.As(err, new(*fault.Fault)):
		return fault.ErrUnavailable.Because(err)
	}
	return fault.Of(err)
}

// noRoute reports whether the router knows no such path.
func noRoute(err error) bool {
	var routing *fiber.Error
	return errors.As(err, &routing) && routing.Code == http.StatusNotFound
}

// unserved reports whether no route has the path; a body that is too large is
// refused before the router looks.
func unserved(c *fiber.Ctx, err error) bool {
	if !errors.Is(err, fault.ErrTooLarge) {
		return noRoute(err)
	}
	return !slices.ContainsFunc(c.App().GetRoutes(true), func(r fiber.Route) bool { return r.Path == c.Path() })
}

// extract continues the trace that the client's traceparent names (W3C Trace
// Context).
func (a *app) extract(c *fiber.Ctx) context.Context {
	parent := c.Get("traceparent")
	if parent == "" {
		return context.Background()
	}
	carrier := propagation.MapCarrier{"traceparent": parent, "tracestate": c.Get("tracestate")}
	return a.carriers.Extract(context.Background(), carrier)
}

const unmatched = "unmatched"

// pattern is the route that matched, for labels: never the path itself, which
// has ids in it and no bound.
func pattern(c *fiber.Ctx) string {
	if route := c.Route(); route != nil && route.Path != "/" {
		return route.Path
	}
	return unmatched
}
