package local

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"strings"

	"github.com/valyala/fasthttp"

	"chatplatform.io/edge/routes"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/observe"
	"chatplatform.io/svckit/program"
	"chatplatform.io/svckit/settings"
)

// A service is one of the platform's, open.
type service interface {
	Handler() fasthttp.RequestHandler
	Internal() fasthttp.RequestHandler
	Ready() *httpserver.Readiness
	Close(ctx context.Context) error
}

// A plan says how a service whose configuration is a C becomes part of the
// platform.
type plan[C any] struct {
	service  routes.Service
	document []byte
	settings map[string]string // fixed here, whatever the environment says
	migrate  func(context.Context, C, program.Deps) error
	open     func(context.Context, C, program.Deps) (service, error)
}

// add migrates and opens a service and serves its internal listener, on a
// loopback port of its own, whose URL it returns: services speak to each other
// over HTTP here as anywhere.
func add[C any](ctx context.Context, p *Platform, l plan[C]) (internalURL string, err error) {
	name := string(l.service)
	config, err := settings.Load[C](p.environ(name, l.settings))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	observer, err := p.observe(ctx, name)
	if err != nil {
		return "", err
	}
	deps := program.Deps{Observer: observer, Version: p.deps.Version, Now: p.deps.Now}
	if err := l.migrate(ctx, config, deps); err != nil {
		return "", fmt.Errorf("bring the database of %s up to date: %w", name, err)
	}
	opened, err := l.open(ctx, config, deps)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	p.closing = append(p.closing, opened.Close)
	p.services[l.service] = opened.Handler()
	p.documents[l.service] = l.document
	p.ready[name] = opened.Ready()
	return p.serveInternal(ctx, name, opened)
}

// environ is the platform's environment with what is fixed for a service.
func (p *Platform) environ(name string, fixed map[string]string) []string {
	all := maps.Clone(fixed)
	all["ISSUER"] = issuer
	all["MONGODB_URI"] = p.engine.URI()
	all["MONGODB_DATABASE"] = p.config.DatabasePrefix + name
	environ := make([]string, 0, len(p.deps.Environ)+len(all))
	for _, entry := range p.deps.Environ {
		variable, _, _ := strings.Cut(entry, "=")
		if _, given := all[variable]; !given {
			environ = append(environ, entry)
		}
	}
	for variable, value := range all {
		environ = append(environ, variable+"="+value)
	}
	return environ
}

// observe gives a service a logger that people read, and a registry and a
// tracer of its own.
func (p *Platform) observe(ctx context.Context, name string) (*observe.Observer, error) {
	config, err := settings.Load[observe.Settings](p.deps.Environ)
	if err != nil {
		return nil, err
	}
	observer, err := observe.Open(ctx, name, p.deps.Version, config, io.Discard)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", name, err)
	}
	observer.Logger = newLogger(p.deps.Log, p.config.LogLevel, name)
	p.closing = append(p.closing, observer.Close)
	return observer, nil
}

func newLogger(w io.Writer, level slog.Level, name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})).With("service", name)
}

func (p *Platform) serveInternal(ctx context.Context, name string, opened service) (url string, err error) {
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for the other services of %s: %w", name, err)
	}
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		err := httpserver.Serve(serving, httpserver.ServeOptions{Logger: p.logger, Grace: grace},
			httpserver.Door{Listener: ln, Handler: opened.Internal()})
		if serving.Err() == nil {
			p.broken <- fmt.Errorf("the internal listener of %s failed: %w", name, err)
		}
		ended <- err
	}()
	p.closing = append(p.closing, func(context.Context) error {
		end()
		return <-ended
	})
	p.logger.DebugContext(ctx, "internal listener", "of", name, "address", ln.Addr().String())
	return "http://" + ln.Addr().String(), nil
}
