// Package program is the frame of a service: its command line, `serve` and
// `migrate`, and what stands at its two listeners.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/observe"
	"chatplatform.io/svckit/settings"
)

// Deps are what a service is given from outside.
type Deps struct {
	Observer *observe.Observer
	Version  string
	Now      func() time.Time
}

// A Server is a service that is open. It binds no address by itself.
type Server interface {
	// Serve answers on both listeners until ctx ends, then drains.
	Serve(ctx context.Context, public, internal net.Listener) error
	// Close ends what opening started, after the last request.
	Close(ctx context.Context) error
}

// A Program is a service whose configuration is a C.
type Program[C any] struct {
	Name    string
	Version string
	// Shared picks out of a configuration what every service has.
	Shared  func(C) (httpserver.Settings, observe.Settings)
	Open    func(context.Context, C, Deps) (Server, error)
	Migrate func(context.Context, C, Deps) error
}

// closing bounds what happens after the last request.
const closing = 10 * time.Second

// Main runs the command that args name under the configuration in environ,
// until it is done or the process is told to stop (SIGINT, SIGTERM), and
// returns the exit status: 0, 1 after a failure, 2 for a wrong command line.
func (p Program[C]) Main(args, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	commands := map[string]func(context.Context, C, Deps) error{"serve": p.serve, "migrate": p.Migrate}
	if len(args) != 1 || commands[args[0]] == nil {
		_, _ = fmt.Fprintf(stderr, "usage: %s serve | migrate\nIts configuration is in the environment; its README lists the variables.\n", p.Name)
		return 2
	}
	if err := p.run(ctx, commands[args[0]], environ, stdout); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s %s: %v\n", p.Name, args[0], err)
		return 1
	}
	return 0
}

func (p Program[C]) run(ctx context.Context, command func(context.Context, C, Deps) error, environ []string, log io.Writer) (err error) {
	config, err := settings.Load[C](environ)
	if err != nil {
		return err
	}
	_, observing := p.Shared(config)
	observer, err := observe.Open(ctx, p.Name, p.Version, observing, log)
	if err != nil {
		return err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
		err = errors.Join(err, observer.Close(ending))
	}()
	return command(ctx, config, Deps{Observer: observer, Version: p.Version, Now: time.Now})
}

func (p Program[C]) serve(ctx context.Context, config C, deps Deps) (err error) {
	serving, _ := p.Shared(config)
	public, err := net.Listen("tcp", serving.Listen)
	if err != nil {
		return fmt.Errorf("LISTEN=%s: %w", serving.Listen, err)
	}
	internal, err := net.Listen("tcp", serving.InternalListen)
	if err != nil {
		return errors.Join(fmt.Errorf("INTERNAL_LISTEN=%s: %w", serving.InternalListen, err), public.Close())
	}
	server, err := p.Open(ctx, config, deps)
	if err != nil {
		return errors.Join(err, public.Close(), internal.Close())
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
		err = errors.Join(err, server.Close(ending))
	}()
	deps.Observer.Logger.Info("serving", "version", p.Version, "public", public.Addr().String(), "internal", internal.Addr().String())
	return server.Serve(ctx, public, internal)
}
