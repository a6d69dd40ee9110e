package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"

	"chatplatform.io/svckit/fault"
)

// A Door is a listener and what answers on it. What NewApp made refuses a
// request whose body is TooLarge; any other handler must look for itself.
type Door struct {
	Listener net.Listener
	Handler  fasthttp.RequestHandler
}

// ServeOptions say how a service leaves.
type ServeOptions struct {
	Logger *slog.Logger
	Ready  *Readiness // turned off first; may be nil
	// DrainDelay is how long requests are still taken after readiness went
	// off, for load balancers to notice.
	DrainDelay time.Duration
	// Grace is how long requests in flight may take to end.
	Grace time.Duration
}

// Serve answers on all doors until ctx ends, then drains: readiness off, a
// wait of DrainDelay, no new connections, up to Grace for requests in flight.
// It returns nil after a drain, and an error where a door broke. It closes
// the listeners.
func Serve(ctx context.Context, o ServeOptions, doors ...Door) error {
	group, running := errgroup.WithContext(ctx)
	servers := make([]*fasthttp.Server, len(doors))
	for i, door := range doors {
		servers[i] = newServer(door.Handler, o.Logger)
		group.Go(func() error {
			if err := servers[i].Serve(lingerListener{door.Listener}); err != nil {
				return fmt.Errorf("serve %s: %w", door.Listener.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-running.Done()
		err := drain(ctx, o, servers)
		for _, door := range doors {
			_ = door.Listener.Close() // a server that was stopped before it began does not know its listener
		}
		return err
	})
	return group.Wait()
}

func drain(ctx context.Context, o ServeOptions, servers []*fasthttp.Server) error {
	if o.Ready != nil {
		o.Ready.Drain()
	}
	if ctx.Err() != nil && o.DrainDelay > 0 {
		time.Sleep(o.DrainDelay) //nolint:forbidigo // the delay is the feature
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Grace)
	defer cancel()
	var failed []error
	for _, server := range servers {
		if err := server.ShutdownWithContext(grace); err != nil {
			failed = append(failed, fmt.Errorf("requests were still in flight after %s: %w", o.Grace, err))
		}
	}
	return errors.Join(failed...)
}

// newServer is the one place where server-level limits stand: those of an
// application mounted behind another handler have no effect.
func newServer(h fasthttp.RequestHandler, logger *slog.Logger) *fasthttp.Server {
	chunked, h := newHeads(), methods(h)
	return &fasthttp.Server{
		Handler:               func(ctx *fasthttp.RequestCtx) { chunked.forget(&ctx.Request.Header); h(ctx) },
		HeaderReceived:        chunked.received,
		ErrorHandler:          refuse(h, chunked),
		Logger:                quiet{logger},
		MaxRequestBodySize:    2 * MaxBody, // above MaxBody the application refuses, so that the answer is read
		ReadBufferSize:        16 << 10,    // bounds the request's head; tokens are long
		ReadTimeout:           30 * time.Second,
		WriteTimeout:          60 * time.Second,
		IdleTimeout:           120 * time.Second,
		Concurrency:           64 << 10,
		KeepHijackedConns:     true, // who takes a connection closes it
		CloseOnShutdown:       true,
		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		SecureErrorLogMessage: true,
	}
}

// noRouteHas stands for every method that HTTP does not have: the router
// answers it as it answers any method that a path does not serve.
const noRouteHas = fasthttp.MethodTrace

type methodKey struct{}

// Method is the method of the request in ctx, as the client wrote it.
func Method(ctx *fasthttp.RequestCtx) string {
	if method, ok := ctx.UserValue(methodKey{}).(string); ok {
		return method
	}
	return string(ctx.Method())
}

// methods has those that HTTP does not have answered like those that a path
// does not serve: the router's own answer to them is no JSON.
func methods(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if !slices.ContainsFunc(fiber.DefaultMethods, func(m string) bool { return m == string(ctx.Method()) }) {
			ctx.SetUserValue(methodKey{}, string(ctx.Method()))
			ctx.Request.Header.SetMethod(noRouteHas)
		}
		h(ctx)
	}
}

type tooLargeKey struct{}

// TooLarge tells whether the body of the request in ctx is over MaxBody. It
// may not have been read then.
func TooLarge(ctx *fasthttp.RequestCtx) bool {
	return ctx.UserValue(tooLargeKey{}) != nil || len(ctx.Request.Body()) > MaxBody
}

// refuse answers what never became a request: in the envelope of its path
// where the handler can tell it, which needs the request's whole head.
func refuse(h fasthttp.RequestHandler, chunked *heads) func(*fasthttp.RequestCtx, error) {
	return func(ctx *fasthttp.RequestCtx, err error) {
		linger(ctx.Conn())
		if len(ctx.Request.Header.RawHeaders()) == 0 {
			chunked.restore(&ctx.Request.Header)
		}
		if errors.Is(err, fasthttp.ErrBodyTooLarge) {
			ctx.SetUserValue(tooLargeKey{}, true)
			h(ctx)
			if ctx.Response.StatusCode() < fasthttp.StatusBadRequest { // it has no use for a body
				WriteFault(ctx, fault.ErrTooLarge)
			}
			return
		}
		refuseHead(ctx, err)
	}
}

func refuseHead(ctx *fasthttp.RequestCtx, err error) {
	f, status := fault.ErrInvalid.Say("This is not a valid HTTP request."), fasthttp.StatusBadRequest
	var small *fasthttp.ErrSmallBuffer
	var timeout net.Error
	switch {
	case errors.As(err, &small):
		f, status = fault.ErrInvalid.Say("The request's headers are larger than 16 KiB."), fasthttp.StatusRequestHeaderFieldsTooLarge
	case errors.As(err, &timeout) && timeout.Timeout():
		f, status = fault.ErrInvalid.Say("The request did not arrive in time."), fasthttp.StatusRequestTimeout
	}
	WriteFault(ctx, f)
	ctx.SetStatusCode(status)
}

// quiet passes the server's own lines on as debug lines; what matters of them
// is answered and counted elsewhere.
type quiet struct{ logger *slog.Logger }

// Printf implements fasthttp.Logger.
func (q quiet) Printf(format string, args ...any) {
	q.logger.Debug("http server: " + strings.TrimSpace(fmt.Sprintf(format, args...)))
}
