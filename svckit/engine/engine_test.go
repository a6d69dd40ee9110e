package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"chatplatform.io/svckit/engine"
)

// parentDir makes the test's program a parent that starts an engine and then
// waits to be killed.
const parentDir = "ENGINE_TEST_PARENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentDir); dir != "" {
		parent(dir)
	}
	if _, err := engine.Prepare(context.Background(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func parent(dir string) {
	e, err := engine.Start(context.Background(), engine.Options{Dir: dir})
	if err != nil {
		_, _ = fmt.Fprintln(os.Stdout, err)
		os.Exit(1)
	}
	_, _ = fmt.Fprintln(os.Stdout, e.URI())
	<-e.Done()
	os.Exit(1)
}

func start(t *testing.T, dir string) *engine.Engine {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Options{Dir: dir, Progress: os.Stderr})
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	return e
}

func stop(t *testing.T, e *engine.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, e.Stop(ctx))
}

func connect(t *testing.T, uri string) *mongo.Collection {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetServerSelectionTimeout(time.Second))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Disconnect(context.Background())) })
	return client.Database("engine_test").Collection("things")
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")

	first := start(t, dir)
	_, err := connect(t, first.URI()).InsertOne(t.Context(), bson.M{"_id": "kept"})
	require.NoError(t, err)
	stop(t, first)
	<-first.Done()

	second := start(t, dir)
	require.NoError(t, connect(t, second.URI()).FindOne(t.Context(), bson.M{"_id": "kept"}).Err())
	require.Error(t, connect(t, first.URI()).FindOne(t.Context(), bson.M{}).Err(), "the first one must be gone")
}

func TestStart(t *testing.T) {
	t.Parallel()
	t.Run("of a running database starts nothing", func(t *testing.T) {
		t.Parallel()
		e, err := engine.Start(t.Context(), engine.Options{URI: "mongodb://db.example"})
		require.NoError(t, err)
		require.Equal(t, "mongodb://db.example", e.URI())
		require.NoError(t, e.Stop(t.Context()))
		select {
		case <-e.Done():
			require.Fail(t, "a database that is not ours has no end")
		default:
		}
	})
	t.Run("on a folder in use says so", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data")
		start(t, dir)
		_, err := engine.Start(t.Context(), engine.Options{Dir: dir})
		require.ErrorContains(t, err, "is in use by another process")
	})
	t.Run("without a folder is refused", func(t *testing.T) {
		t.Parallel()
		_, err := engine.Start(t.Context(), engine.Options{})
		require.ErrorContains(t, err, "no folder was named")
	})
}

func TestStartPrefersMongodAndShowsItsLastWords(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "mongod"), []byte("#!/bin/sh\necho the disk is on fire\nexit 3\n"), 0o755))
	t.Setenv("PATH", bin)
	_, err := engine.Start(t.Context(), engine.Options{Dir: t.TempDir()})
	require.ErrorContains(t, err, filepath.Join(bin, "mongod"))
	require.ErrorContains(t, err, "exit status 3")
	require.ErrorContains(t, err, "the disk is on fire")
}

func TestDeathIsNoticed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	e := start(t, dir)
	require.NoError(t, e.Kill())
	select {
	case <-e.Done():
	case <-time.After(30 * time.Second):
		require.Fail(t, "the engine's end was not told")
	}
	require.ErrorContains(t, e.Stop(t.Context()), "ended by itself")
	require.NoError(t, e.Stop(t.Context()), "a second stop has nothing to say")
}

func TestEngineDiesWithItsParent(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentDir+"="+dir)
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	uri, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	uri = strings.TrimSpace(uri)
	things := connect(t, uri)
	_, err = things.InsertOne(t.Context(), bson.M{"_id": "kept"})
	require.NoError(t, err)

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	require.Eventually(t, func() bool {
		return things.FindOne(t.Context(), bson.M{}).Err() != nil
	}, 30*time.Second, 20*time.Millisecond, "the engine outlived its parent")

	again := start(t, dir)
	require.NoError(t, connect(t, again.URI()).FindOne(t.Context(), bson.M{"_id": "kept"}).Err())
}

func TestPrepareBuildsOnce(t *testing.T) {
	bin := t.TempDir()
	builds := filepath.Join(bin, "builds")
	cargo := `#!/bin/sh
[ "$1" != --version ] || { echo "cargo 1.95.0 (f2d3ce0bd 2026-03-21)"; exit; }
echo built >> ` + builds + `
echo "   Compiling everything"
/bin/mkdir -p "$8/bin" && echo program > "$8/bin/secantusd-rs"
`
	for name, script := range map[string]string{"cargo": cargo, "cmake": "", "make": "", "cc": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755))
	}
	t.Setenv("PATH", bin)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())

	type result struct {
		path string
		err  error
	}
	results := make(chan result)
	var shown bytes.Buffer
	go func() { p, err := engine.Prepare(t.Context(), &shown); results <- result{p, err} }()
	go func() { p, err := engine.Prepare(t.Context(), nil); results <- result{p, err} }()
	for range 2 {
		r := <-results
		require.NoError(t, r.err)
		require.FileExists(t, r.path)
	}
	_, err := engine.Prepare(t.Context(), nil)
	require.NoError(t, err)
	count, err := os.ReadFile(builds)
	require.NoError(t, err)
	require.Equal(t, "built\n", string(count))
}

func TestPrepareShowsProgressAndFailure(t *testing.T) {
	bin := t.TempDir()
	for name, script := range map[string]string{"cargo": "#!/bin/sh\n[ \"$1\" = --version ] && exit\necho the compiler wept\nexit 3\n", "cmake": "", "make": "", "cc": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755))
	}
	t.Setenv("PATH", bin)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	var shown bytes.Buffer
	_, err := engine.Prepare(t.Context(), &shown)
	require.ErrorContains(t, err, "the compiler wept")
	require.Contains(t, shown.String(), "this happens once")
	require.Contains(t, shown.String(), "the compiler wept")
}

func TestPrepareNamesEverythingMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	_, err := engine.Prepare(t.Context(), nil)
	for _, name := range []string{"cargo is missing", "cmake is missing", "make is missing", "C compiler is missing"} {
		require.ErrorContains(t, err, name)
	}
}

func TestPrepareNamesAnOldCompiler(t *testing.T) {
	bin := t.TempDir()
	for name, script := range map[string]string{"cargo": "#!/bin/sh\necho 'cargo 1.94.2 (abc 2026-01-01)'\n", "cmake": "", "make": "", "cc": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755))
	}
	t.Setenv("PATH", bin)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	_, err := engine.Prepare(t.Context(), nil)
	require.ErrorContains(t, err, "cargo is 1.94: install Rust 1.95")
}
