package svctest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chatplatform.io/svckit/engine"
)

const (
	uriVariable = "MONGODB_URI"
	stopWait    = 20 * time.Second
)

// Run runs a package's tests on a database and gives the code for os.Exit:
//
//	func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }
//
// With MONGODB_URI set the tests use that database. Without it Run starts an
// engine in a temporary folder, sets MONGODB_URI for this process, and takes
// both away at the end. Tests that pass fail all the same when they leave
// goroutines behind or the engine died under them.
func Run(m *testing.M) int {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if code == 0 && err != nil {
		return 1
	}
	return code
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "svctest-")
	if err != nil {
		return 1, fmt.Errorf("make the tests' folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	e, err := engine.Start(context.Background(), engine.Options{
		URI: os.Getenv(uriVariable), Dir: filepath.Join(dir, "data"), Progress: os.Stderr,
	})
	if err != nil {
		return 1, err
	}
	if err := os.Setenv(uriVariable, e.URI()); err != nil {
		return 1, fmt.Errorf("tell the tests where the database is: %w", err)
	}
	code = m.Run()

	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	if err := e.Stop(ctx); err != nil {
		return code, err
	}
	if code == 0 {
		if err := goleak.Find(lingering()...); err != nil {
			return code, fmt.Errorf("the tests left goroutines behind: %w", err)
		}
	}
	return code, nil
}

// lingering are goroutines of fasthttp that no owner can end: its clock, and a
// stopped server's cleaner, which sleeps ten seconds before it looks up.
func lingering() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	}
}
