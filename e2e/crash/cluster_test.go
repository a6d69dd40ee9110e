package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/e2e/platform"
	"chatplatform.io/svckit/engine"
	"chatplatform.io/svckit/svctest"
)

// replicas is how many platforms stand on the one database.
const replicas = 2

// A cluster is two replicas of the whole platform on one database engine, all
// of them processes that are killed and started again.
type cluster struct {
	dir, program string
	proxy        *svctest.Proxy // keeps the engine's address over its starts
	uri          string
	engine       *engine.Engine
	standing     [replicas]atomic.Pointer[platform.Platform] // nil while it is down
	http         *http.Client
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	c := &cluster{dir: t.TempDir(), http: &http.Client{Timeout: 15 * time.Second, Transport: transport}}
	var err error
	c.program, err = platform.Build(t.Context(), c.dir)
	require.NoError(t, err)
	c.startEngine(t)
	t.Cleanup(func() { require.NoError(t, c.engine.Stop(context.Background())) })
	c.start(t, 0)
	// Replicas share their secrets.
	for i := 1; i < replicas; i++ {
		require.NoError(t, os.MkdirAll(c.home(i), 0o700))
		require.NoError(t, os.CopyFS(filepath.Join(c.home(i), "secrets"), os.DirFS(filepath.Join(c.home(0), "secrets"))))
		c.start(t, i)
	}
	t.Cleanup(func() {
		for i := range replicas {
			c.kill(t, i)
		}
	})
	return c
}

func (c *cluster) home(i int) string { return filepath.Join(c.dir, fmt.Sprint("replica", i)) }

func (c *cluster) start(t *testing.T, i int) {
	t.Helper()
	p, err := platform.Start(context.Background(), platform.Options{
		Program: c.program, DataDir: c.home(i), Environ: os.Environ(),
		Settings: []string{
			"MONGODB_URI=" + c.uri, "MONGODB_DATABASE_PREFIX=",
			"SENDS_PER_MINUTE=6000000", "SEND_BURST=1000000", "POLL_BURST=1000000", "CREATION_BURST=1000000",
		},
	})
	require.NoError(t, err)
	c.standing[i].Store(p)
}

// kill ends a replica by SIGKILL.
func (c *cluster) kill(t *testing.T, i int) {
	t.Helper()
	if p := c.standing[i].Swap(nil); p != nil {
		require.NoError(t, p.Kill())
	}
}

func (c *cluster) startEngine(t *testing.T) {
	t.Helper()
	started, err := engine.Start(context.Background(), engine.Options{Dir: filepath.Join(c.dir, "engine"), Progress: os.Stderr})
	require.NoError(t, err)
	c.engine = started
	if c.proxy == nil {
		c.uri, c.proxy = svctest.NewProxy(t, c.engine.URI())
	}
	c.proxy.Move(t, c.engine.URI())
	c.proxy.Restore()
}

// killEngine ends the database by SIGKILL; until it is started again, nobody
// reaches it.
func (c *cluster) killEngine(t *testing.T) {
	t.Helper()
	require.NoError(t, c.engine.Kill())
	c.proxy.Cut()
}

// A request is made by an account, under an idempotency key or none.
type request struct {
	method, path string
	account      string // its name
	key          string
	body         any
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// unknown says that nobody can tell what became of a request.
func (a answer) unknown() bool { return a.status == 0 || a.status == http.StatusServiceUnavailable }

func (a answer) into(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("read the answer %d %s: %w", a.status, a.body, err)
	}
	return nil
}

// call asks a replica, or another one while that is down. A request without an
// answer has status 0.
func (c *cluster) call(ctx context.Context, replica int, r request) answer {
	var p *platform.Platform
	for i := 0; p == nil && i < replicas; i++ {
		p = c.standing[(replica+i)%replicas].Load()
	}
	if p == nil {
		return answer{}
	}
	a, err := c.ask(ctx, p.URL, r)
	if err != nil {
		return answer{}
	}
	return a
}

func (c *cluster) ask(ctx context.Context, url string, r request) (a answer, err error) {
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return a, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, url+r.path, body)
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer dev:"+r.account)
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return a, err
	}
	raw, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, raw}, errors.Join(err, resp.Body.Close())
}
