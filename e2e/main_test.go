package e2e_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/e2e/platform"
	"chatplatform.io/svckit/engine"
)

// program is the path of local mode's program, built once.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if program, err = platform.Build(context.Background(), dir); err == nil {
		_, err = engine.Prepare(context.Background(), os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// A home is where a platform keeps its data between starts.
type home struct {
	dir string
	env []string
}

// newHome makes a fresh one. Where the tests are told of a database they use it,
// with databases of this home's own, which are dropped at the end.
func newHome(t *testing.T, env ...string) home {
	t.Helper()
	h := home{dir: filepath.Join(t.TempDir(), "data"), env: env}
	if uri := os.Getenv("MONGODB_URI"); uri != "" {
		prefix := "e2e-" + strings.ToLower(rand.Text()[:10]) + "-"
		h.env = append(h.env, "MONGODB_DATABASE_PREFIX="+prefix)
		t.Cleanup(func() { drop(t, uri, prefix+"auth-svc", prefix+"chat-svc") })
	}
	return h
}

// ownEngine makes a home whose database is an engine of its own in any case.
func ownEngine(t *testing.T, env ...string) home {
	t.Helper()
	return home{dir: filepath.Join(t.TempDir(), "data"), env: append(env, "MONGODB_URI=")}
}

func drop(t *testing.T, uri string, databases ...string) {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	require.NoError(t, err)
	for _, name := range databases {
		require.NoError(t, client.Database(name).Drop(context.Background()))
	}
	require.NoError(t, client.Disconnect(context.Background()))
}

// options grant a busy machine more time than the default for an operation.
func (h home) options(env ...string) platform.Options {
	settings := slices.Concat([]string{"MONGODB_TIMEOUT=30s"}, env, h.env)
	return platform.Options{Program: program, DataDir: h.dir, Environ: os.Environ(), Settings: settings}
}

// start starts a platform that is killed at the latest when the test ends.
func (h home) start(t *testing.T, env ...string) *site {
	t.Helper()
	p, err := platform.Start(context.Background(), h.options(env...))
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Kill() })
	return &site{Platform: p, http: newClient(t)}
}
