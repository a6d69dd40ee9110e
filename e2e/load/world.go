package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/e2e/platform"
	"chatplatform.io/svckit/engine"
	"chatplatform.io/svckit/mongodb"
)

// A world is a running platform and the database beneath it.
type world struct {
	settings
	progress io.Writer
	dir      string
	engine   *engine.Engine
	server   *platform.Platform
	client   *fasthttp.HostClient
	prefix   string // of the names of the platform's databases
	closing  []func() error
}

// open starts the database and the platform on it, with the settings in env.
func open(ctx context.Context, s settings, env []string, progress io.Writer) (_ *world, err error) {
	w := &world{settings: s, progress: progress, prefix: "load-" + strings.ToLower(rand.Text()[:8]) + "-"}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.dir, err = os.MkdirTemp("", "load-"); err != nil {
		return nil, err
	}
	w.closing = append(w.closing, func() error { return os.RemoveAll(w.dir) })
	w.engine, err = engine.Start(ctx, engine.Options{
		URI: os.Getenv("MONGODB_URI"), Dir: filepath.Join(w.dir, "engine"), Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	w.closing = append(w.closing, within(w.engine.Stop), w.drop)
	program, err := platform.Build(ctx, w.dir)
	if err != nil {
		return nil, err
	}
	env = append(env, "MONGODB_URI="+w.engine.URI(), "MONGODB_DATABASE_PREFIX="+w.prefix, "LOG_LEVEL=DEBUG")
	w.server, err = platform.Start(ctx, platform.Options{
		Program: program, DataDir: filepath.Join(w.dir, "data"), Environ: os.Environ(), Settings: env,
	})
	if err != nil {
		return nil, err
	}
	w.closing = append(w.closing, w.server.Stop)
	w.client = hostClient(w.server.URL)
	w.closing = append(w.closing, func() error { w.client.CloseIdleConnections(); return nil })
	return w, nil
}

const (
	callTimeout = 10 * time.Second
	endTimeout  = 20 * time.Second
)

func within(end func(context.Context) error) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
		defer cancel()
		return end(ctx)
	}
}

// close ends everything that was started, the last first.
func (w *world) close() error {
	var failed []error
	for i := len(w.closing) - 1; i >= 0; i-- {
		failed = append(failed, w.closing[i]())
	}
	w.closing = nil
	return errors.Join(failed...)
}

// drop removes what the platform wrote: the database may be somebody's own.
func (w *world) drop() error {
	return within(func(ctx context.Context) error {
		for _, name := range []string{"auth-svc", "chat-svc", bareDatabase} {
			db, err := w.database(ctx, name)
			if err != nil {
				return err
			}
			if err := errors.Join(db.Drop(ctx), db.Close(ctx)); err != nil {
				return fmt.Errorf("drop the database %s: %w", db.Name(), err)
			}
		}
		return nil
	})()
}

// database opens a service's database as the service does, for yardsticks: the
// bare driver with the same write and read concerns.
func (w *world) database(ctx context.Context, service string) (*mongodb.DB, error) {
	return mongodb.Open(ctx, mongodb.Settings{URI: w.engine.URI(), Database: w.prefix + service, MaxPool: inFlightMost},
		slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

// call sends a JSON body and reads the answer into into, unless that is nil.
// Any status but the one wanted is an error.
func (w *world) call(status int, method, path, authorization string, body, into any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(w.server.URL + path)
	req.Header.SetMethod(method)
	req.Header.SetContentType("application/json")
	req.Header.Set(fasthttp.HeaderAuthorization, authorization)
	req.SetBodyRaw(raw)
	if err := w.client.DoTimeout(req, resp, callTimeout); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode() != status {
		return fmt.Errorf("%s %s answered %d: %s", method, path, resp.StatusCode(), resp.Body())
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(resp.Body(), into)
}

// setup describes what the figures were taken on.
func (w *world) setup(ctx context.Context) setup {
	s := setup{
		When: time.Now().UTC().Format(time.RFC3339), Commit: commit(ctx), Engine: "unknown",
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), CPU: processor(), Load: load(),
		Rounds: w.rounds, Round: w.round.String(),
	}
	db, err := w.database(ctx, "auth-svc")
	if err != nil {
		return s
	}
	defer func() { _ = db.Close(ctx) }()
	var info struct {
		Version string `bson:"version"`
	}
	if db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info) == nil {
		s.Engine = "MongoDB " + info.Version
	}
	if program, err := engine.Prepare(ctx, io.Discard); err == nil && os.Getenv("MONGODB_URI") == "" {
		s.Engine = filepath.Base(program) + ", which calls itself " + s.Engine
	}
	return s
}

// commit names the code; "+" means that files differ from it.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty=+", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
