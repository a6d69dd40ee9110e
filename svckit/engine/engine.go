package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

const (
	startWait = time.Minute     // a recovery after a crash is part of a start
	lockWait  = 5 * time.Second // an engine whose parent was killed is on its way out
)

// Options say where an engine keeps its data and to whom it reports.
// The zero value of every field but Dir and URI is useful.
type Options struct {
	// URI names a database that already runs. With it nothing is started and
	// all other fields are ignored.
	URI string
	// Dir is the folder of the data; it is made when absent. Data survive a
	// restart on the same folder, also after SIGKILL. Two engines never share
	// one: a lock file beside it, Dir + ".lock", is held while either the
	// engine or its parent lives.
	Dir string
	// Progress is shown the lines of a build, should one be needed. Nil hides
	// them.
	Progress io.Writer
	// Logger is told of start and stop. Nil is silent.
	Logger *slog.Logger
}

// An Engine is a database that is up. It is safe for concurrent use.
type Engine struct {
	uri     string
	process *process // nil for a database that was running already
	logger  *slog.Logger
	never   chan struct{}
}

// Start returns a database that takes writes. It builds the engine when there
// is none (minutes; Prepare does it ahead), and gives up on a start after a minute.
// The caller owns the engine and must Stop it. An engine whose parent process
// dies, by SIGKILL too, is ended with it.
func Start(ctx context.Context, o Options) (*Engine, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.URI != "" {
		return &Engine{uri: o.URI, logger: o.Logger, never: make(chan struct{})}, nil
	}
	if o.Dir == "" {
		return nil, errors.New("start the database engine: no folder was named for its data")
	}
	program, err := prepare(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the data folder %s: %w", o.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := holdFolder(ctx, dir)
	if err != nil {
		return nil, err
	}
	// The engine inherits the lock; this process need not keep it open.
	defer func() { _ = lock.Close() }()

	e, err := program.start(ctx, dir, lock)
	if err != nil {
		return nil, fmt.Errorf("start the database engine %s in %s: %w", program.path, dir, err)
	}
	e.logger = o.Logger
	e.logger.InfoContext(ctx, "database engine started", "program", program.path, "dir", dir, "uri", e.uri)
	return e, nil
}

// URI is the connection string. It holds directConnection=true for an engine
// that was started here.
func (e *Engine) URI() string { return e.uri }

// Done is closed when the engine's process has ended, by Stop or by itself.
// For a database that was running already it is never closed.
func (e *Engine) Done() <-chan struct{} {
	if e.process == nil {
		return e.never
	}
	return e.process.done
}

// Stop asks the engine to end and waits for it; when ctx ends first it kills
// it and returns ctx's error. A second Stop, and Stop of a database that was
// running already, do nothing. An engine that had died by itself is an error
// that shows its last lines.
func (e *Engine) Stop(ctx context.Context) error {
	if e.process == nil {
		return nil
	}
	if err := e.process.stop(ctx); err != nil {
		return fmt.Errorf("stop the database engine: %w", err)
	}
	e.logger.InfoContext(ctx, "database engine stopped")
	return nil
}

// Kill ends the engine at once, by SIGKILL, as a crash would, and waits for
// its end; the data of acknowledged writes survive. A database that was running
// already is left alone. A Stop that follows reports an engine that died.
func (e *Engine) Kill() error {
	if e.process == nil {
		return nil
	}
	if err := e.process.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the database engine: %w", err)
	}
	<-e.process.done
	return nil
}

// holdFolder takes the lock of a data folder, waiting a little for an engine
// that is just dying.
func holdFolder(ctx context.Context, dir string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	lock, err := lockFile(ctx, dir+".lock", func() {})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the data folder %s is in use by another process; stop that one, or name another folder", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the data folder %s: %w", dir, err)
	}
	return lock, nil
}
