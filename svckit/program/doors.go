package program

import (
	"context"
	"fmt"
	"net"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"chatplatform.io/svckit/httpserver"
)

// DoorOptions say what stands at a service's two listeners.
type DoorOptions struct {
	Deps    Deps
	Serving httpserver.Settings
	// DevTokens says that the service takes development tokens: it then serves
	// this machine only.
	DevTokens bool
	// RPC and Rephrase are those of httpserver.Options.
	RPC      []string
	Rephrase map[string]func(*fiber.Ctx, error) error
	// Checks are the details of readiness.
	Checks map[string]func(context.Context) error
}

// Doors are what answers on the two listeners of a service: the public one, and
// the internal one with readiness, metrics and what other services ask. A
// service embeds them and mounts its paths on the two applications.
type Doors struct {
	Public  *fiber.App
	Private *fiber.App

	options DoorOptions
	ready   *httpserver.Readiness
}

// NewDoors makes the applications, with /health on the public one and /livez,
// /readyz and /metrics on the other.
func NewDoors(o DoorOptions) *Doors {
	registry := o.Deps.Observer.Registry
	d := &Doors{options: o, ready: httpserver.NewReadiness(o.Checks)}
	d.Public = httpserver.NewApp(d.app(registry))
	d.Public.Get("/health", httpserver.Health(o.Deps.Version, o.Deps.Now))
	d.Private = httpserver.NewApp(d.app(prometheus.WrapRegistererWithPrefix("internal_", registry)))
	httpserver.AddInternal(d.Private, d.ready, registry)
	return d
}

func (d *Doors) app(registry prometheus.Registerer) httpserver.Options {
	observer := d.options.Deps.Observer
	return httpserver.Options{
		Logger: observer.Logger, Registry: registry, Tracer: observer.Tracer,
		Timeout: d.options.Serving.RequestTimeout, TrustedProxies: d.options.Serving.TrustedProxies, Origins: d.options.Serving.Origins,
		RPC: d.options.RPC, Rephrase: d.options.Rephrase,
	}
}

// Handler answers the public paths.
func (d *Doors) Handler() fasthttp.RequestHandler { return d.Public.Handler() }

// Internal answers the second listener.
func (d *Doors) Internal() fasthttp.RequestHandler { return d.Private.Handler() }

// Ready tells whether the service is ready, with details.
func (d *Doors) Ready() *httpserver.Readiness { return d.ready }

// Serve answers on both listeners until ctx ends, then drains. With
// development tokens it refuses a public listener that other machines reach,
// and requests that came by way of one (httpserver.OnlyHere).
func (d *Doors) Serve(ctx context.Context, public, internal net.Listener) error {
	handler := d.Handler()
	if d.options.DevTokens {
		if !httpserver.IsLoopback(public.Addr()) {
			return fmt.Errorf("DEV_TOKENS lets anybody in by name alone and works on a loopback address only, not on %s", public.Addr())
		}
		handler = httpserver.OnlyHere(handler)
	}
	return httpserver.Serve(ctx, d.options.Serving.Options(d.options.Deps.Observer.Logger, d.ready),
		httpserver.Door{Listener: public, Handler: handler},
		httpserver.Door{Listener: internal, Handler: d.Internal()},
	)
}
