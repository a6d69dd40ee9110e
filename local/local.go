// Package local runs the whole platform in one process on one port: a database
// engine, every service, and the gateway before them. It is for developing
// against the platform and for small installations of one machine.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	"chatplatform.io/svckit/settings"
)

// Config is what local mode itself is told. Whatever else the services can be
// told is taken from the environment under the names that their own pages
// give, except what holds them together here: addresses, folders of secrets,
// names of databases.
type Config struct {
	Listen         string     `env:"LISTEN" envDefault:"127.0.0.1:8080" doc:"Address of the one port. Only on a loopback address are there development tokens, sign-in by name, accounts made in advance and registration without limit; it then answers to the names of this machine only."`
	DataDir        string     `env:"DATA_DIR" envDefault:".data" doc:"Folder of the database, the secrets and the mails."`
	PublicURL      string     `env:"PUBLIC_URL" doc:"URL under which clients reach the platform, where that is not the address in LISTEN. One that leads here from other machines turns off what LISTEN says of loopback addresses."`
	MongoDBURI     string     `env:"MONGODB_URI" doc:"Connection string of a MongoDB 7 or newer, a replica set; without it a database engine is started in DATA_DIR."`
	DatabasePrefix string     `env:"MONGODB_DATABASE_PREFIX" doc:"Put before the names of the databases (auth-svc, chat-svc), for several platforms on one MongoDB."`
	LogLevel       slog.Level `env:"LOG_LEVEL" envDefault:"WARN" doc:"Least level of the log lines written to the terminal: DEBUG, INFO, WARN or ERROR."`
}

// closing bounds what happens after the last request.
const closing = 20 * time.Second

// Run serves the platform that environ, which has the form of os.Environ,
// describes, until ctx ends; then it lets requests in flight end, closes the
// services and ends the engine last. Once the platform answers, stdout is told
// where, with commands to try. Log lines, and the progress of a build of the
// engine, go to stderr.
func Run(ctx context.Context, version string, environ []string, stdout, stderr io.Writer) (err error) {
	config, err := settings.Load[Config](environ)
	if err != nil {
		return err
	}
	lock, err := lockFolder(config.DataDir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	public, err := listen(ctx, config.Listen)
	if err != nil {
		return err
	}
	place, err := placeOf(config, public.Addr())
	if err != nil {
		return errors.Join(err, public.Close())
	}
	platform, err := Open(ctx, config, Deps{
		Place: place, Version: version, Environ: environ, Log: stderr, Now: time.Now,
	})
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("it was told to end before it was up")
		}
		return errors.Join(err, public.Close())
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
		err = errors.Join(err, platform.Close(ending))
	}()
	return platform.Serve(ctx, public, func() error { return greet(stdout, config, place) })
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("LISTEN=%s is taken by another program; end that one, or choose another port, as with LISTEN=127.0.0.1:9000", address)
	}
	if err != nil {
		return nil, fmt.Errorf("LISTEN=%s cannot be listened on: %w", address, err)
	}
	return ln, nil
}
