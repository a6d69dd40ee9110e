package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	authsvc "chatplatform.io/auth-svc"
	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/edge/gateway"
	"chatplatform.io/edge/routes"
	"chatplatform.io/svckit/engine"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/program"
)

// issuer is in every token; it must not change with the port.
const issuer = "http://localhost"

// grace is how long requests in flight may take to end.
const grace = 20 * time.Second

// Deps are what a platform is given from outside.
type Deps struct {
	Place   Place
	Version string
	Environ []string  // in the form of os.Environ
	Log     io.Writer // log lines, and the progress of a build of the engine
	Now     func() time.Time
}

// A Platform is the database, all services and the gateway, ready to answer.
// It binds no public address by itself.
type Platform struct {
	config Config
	deps   Deps
	logger *slog.Logger
	engine *engine.Engine

	services  map[routes.Service]fasthttp.RequestHandler
	documents map[routes.Service][]byte
	ready     map[string]*httpserver.Readiness
	broken    chan error // a service's internal listener failed
	closing   []func(context.Context) error
}

// Open starts the database engine, unless it is told of a database, makes the
// secrets that are missing, brings the databases up to date and opens the
// services. Close ends what it started.
func Open(ctx context.Context, config Config, deps Deps) (_ *Platform, err error) {
	p := &Platform{
		config: config, deps: deps, logger: newLogger(deps.Log, config.LogLevel, "local"),
		services:  map[routes.Service]fasthttp.RequestHandler{},
		documents: map[routes.Service][]byte{},
		ready:     map[string]*httpserver.Readiness{},
		broken:    make(chan error, 8),
	}
	defer func() {
		if err != nil {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
			defer cancel()
			err = errors.Join(err, p.Close(ending))
		}
	}()
	p.engine, err = engine.Start(ctx, engine.Options{
		URI: config.MongoDBURI, Dir: p.path("engine"), Progress: deps.Log, Logger: p.logger,
	})
	if err != nil {
		return nil, err
	}
	p.closing = append(p.closing, p.engine.Stop)
	err = authsvc.GenerateSecrets(p.path("secrets/signing"), p.path("secrets/peppers"), p.path("secrets/services"), deps.Now(), chatsvc.Name)
	if err != nil {
		return nil, err
	}
	return p, p.openServices(ctx)
}

func (p *Platform) path(name string) string {
	return filepath.Join(p.config.DataDir, filepath.FromSlash(name))
}

// openServices opens each service after those that it asks.
func (p *Platform) openServices(ctx context.Context) error {
	loopback := strconv.FormatBool(p.deps.Place.Loopback)
	authURL, err := add(ctx, p, plan[authsvc.Config]{
		service: routes.Auth, document: authsvc.OpenAPI,
		settings: p.authSettings(loopback),
		migrate:  authsvc.Migrate,
		open: func(ctx context.Context, c authsvc.Config, d program.Deps) (service, error) {
			return authsvc.Open(ctx, c, d)
		},
	})
	if err != nil {
		return err
	}
	_, err = add(ctx, p, plan[chatsvc.Config]{
		service: routes.Chat, document: chatsvc.OpenAPI,
		settings: map[string]string{
			"DEV_TOKENS": loopback, "AUTH_INTERNAL_URL": authURL,
			"SERVICE_SECRET_FILE": p.path("secrets/services/" + chatsvc.Name),
		},
		migrate: chatsvc.Migrate,
		open: func(ctx context.Context, c chatsvc.Config, d program.Deps) (service, error) {
			return chatsvc.Open(ctx, c, d)
		},
	})
	return err
}

func (p *Platform) authSettings(loopback string) map[string]string {
	settings := map[string]string{
		"PUBLIC_URL": p.deps.Place.URL, "DEV_TOKENS": loopback, "UNLIMITED_LOOPBACK": loopback,
		"SIGNING_KEYS_DIR": p.path("secrets/signing"), "PEPPERS_DIR": p.path("secrets/peppers"),
		"SERVICE_CREDENTIALS_DIR": p.path("secrets/services"),
	}
	relay := func(entry string) bool { return strings.HasPrefix(entry, "SMTP_HOST=") && entry != "SMTP_HOST=" }
	if !slices.ContainsFunc(p.deps.Environ, relay) {
		settings["MAIL_OUTBOX"] = p.path("outbox")
	}
	return settings
}

// Serve answers on public until ctx ends, then drains. It ends with an error
// when the database engine dies. started is called once when the platform
// answers and the accounts made in advance are there; what it fails with ends
// Serve.
func (p *Platform) Serve(ctx context.Context, public net.Listener, started func() error) error {
	ready := httpserver.NewReadiness(p.checks())
	handler, err := gateway.New(gateway.Options{
		Services: p.services, Documents: p.documents, Ready: ready, Version: p.deps.Version, Now: p.deps.Now,
	})
	if err != nil {
		return errors.Join(err, public.Close())
	}
	if p.deps.Place.Loopback {
		handler = httpserver.OnlyHere(handler)
	}
	serving, end := context.WithCancelCause(ctx)
	defer end(nil)
	var beside sync.WaitGroup
	beside.Go(func() { end(p.watch(serving)) })
	beside.Go(func() {
		if err := p.begin(serving, "http://"+public.Addr().String(), started); err != nil {
			end(err)
		}
	})
	err = httpserver.Serve(serving, httpserver.ServeOptions{Logger: p.logger, Ready: ready, Grace: grace},
		httpserver.Door{Listener: public, Handler: handler})
	end(nil)
	beside.Wait()
	if ctx.Err() != nil { // it was told to end
		return err
	}
	return errors.Join(context.Cause(serving), err)
}

// watch returns why the platform cannot go on, or nil when ctx ends.
func (p *Platform) watch(ctx context.Context) error {
	select {
	case <-p.engine.Done():
		return errors.New("the database engine died, so the platform ends; start it again, the data are kept")
	case err := <-p.broken:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (p *Platform) begin(ctx context.Context, address string, started func() error) error {
	if p.deps.Place.Loopback {
		if err := makeAccounts(ctx, address); err != nil {
			return err
		}
	}
	return started()
}

// checks shows for each service whether all that it depends on is there.
func (p *Platform) checks() map[string]func(context.Context) error {
	checks := map[string]func(context.Context) error{}
	for name, ready := range p.ready {
		checks[name] = func(ctx context.Context) error {
			details, _ := ready.Check(ctx)
			for what, state := range details {
				if state != "ok" {
					return fmt.Errorf("%s is %s", what, state)
				}
			}
			return nil
		}
	}
	return checks
}

// Close ends what Open started, the last first, after the last request.
func (p *Platform) Close(ctx context.Context) error {
	var failed []error
	for _, end := range slices.Backward(p.closing) {
		failed = append(failed, end(ctx))
	}
	p.closing = nil
	return errors.Join(failed...)
}
