package svctest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"

	"chatplatform.io/svckit/engine"
	"chatplatform.io/svckit/mongodb"
)

const (
	uriVariable = "MONGODB_URI"
	stopWait    = time.Minute
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

	given := os.Getenv(uriVariable)
	e, err := engine.Start(context.Background(), engine.Options{
		URI: given, Dir: filepath.Join(dir, "data"), Progress: os.Stderr,
	})
	if err != nil {
		return 1, err
	}
	if given == "" {
		if err := expireSoon(e.URI()); err != nil {
			return 1, errors.Join(err, stop(e))
		}
	}
	if err := os.Setenv(uriVariable, e.URI()); err != nil {
		return 1, fmt.Errorf("tell the tests where the database is: %w", err)
	}
	code = m.Run()

	if err := stop(e); err != nil {
		return code, err
	}
	if code == 0 {
		if err := goleak.Find(lingering()...); err != nil {
			return code, fmt.Errorf("the tests left goroutines behind: %w", err)
		}
	}
	return code, nil
}

func stop(e *engine.Engine) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	return e.Stop(ctx)
}

// expireSoon makes the database look for expired documents every second, not
// every minute. Only an engine of the tests' own is set like that.
func expireSoon(uri string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	admin, err := open(ctx, mongodb.Settings{URI: uri, Database: "admin"})
	if err != nil {
		return err
	}
	err = admin.RunCommand(ctx, bson.D{{Key: "setParameter", Value: 1}, {Key: "ttlMonitorSleepSecs", Value: 1}}).Err()
	return errors.Join(err, admin.Close(ctx))
}

// lingering are goroutines of fasthttp that no owner can end: its clock, and a
// stopped server's cleaner, which sleeps ten seconds before it looks up.
func lingering() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	}
}
