package authsvc_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/auth-svc/internal/signing"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/observe"
	"chatplatform.io/svckit/program"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }

// world is an installation of auth-svc: a database, folders of secrets, a
// clock, and as many servers as a test opens.
type world struct {
	config authsvc.Config
	deps   program.Deps
	logs   *svctest.LogBuffer
	clock  *svctest.Clock
}

// newWorld makes one whose database is migrated. change may adjust its
// configuration.
func newWorld(t *testing.T, change ...func(*authsvc.Config)) *world {
	t.Helper()
	dir := t.TempDir()
	logger, logs := svctest.Logs(t)
	w := &world{logs: logs, clock: svctest.NewClock()}
	w.config = authsvc.Config{
		PublicURL: "https://chat.example.com", Issuer: "https://chat.example.com", Audience: "chatplatform",
		SigningKeysDir: filepath.Join(dir, "signing"), PeppersDir: filepath.Join(dir, "peppers"),
		ServiceCredentialsDir: filepath.Join(dir, "services"), Outbox: filepath.Join(dir, "outbox"),
		TokenTTL: 15 * time.Minute, TokenCache: 1000, KeysPerAccount: 50, UnlimitedLoopback: true,
		Serving: httpserver.Settings{RequestTimeout: 10 * time.Second, Grace: 10 * time.Second},
		MongoDB: svctest.Settings(t),
	}
	w.config.Mail.From = "ChatPlatform <noreply@chat.example.com>"
	for _, apply := range change {
		apply(&w.config)
	}
	require.NoError(t, signing.Generate(w.config.SigningKeysDir, rand.Reader, time.Now()))
	require.NoError(t, secret.GeneratePepper(w.config.PeppersDir, rand.Reader))
	require.NoError(t, secret.GenerateService(w.config.ServiceCredentialsDir, "chat-svc", rand.Reader))
	w.deps = program.Deps{Observer: &observe.Observer{Logger: logger}, Version: "test", Now: w.clock.Now}
	require.NoError(t, authsvc.Migrate(t.Context(), w.config, w.observed(t)))
	return w
}

// observed are the deps of one server: each has a registry of its own.
func (w *world) observed(t *testing.T) program.Deps {
	t.Helper()
	observer, err := observe.Open(t.Context(), authsvc.Name, "test", observe.Settings{}, w.logs)
	require.NoError(t, err)
	deps := w.deps
	deps.Observer = observer
	return deps
}

// door is one server of a world and a client that checks every exchange
// against the OpenAPI document.
type door struct {
	*svctest.Client
	server *authsvc.Server
}

// open starts a server on the world's database.
func (w *world) open(t *testing.T) *door {
	t.Helper()
	server, err := authsvc.Open(t.Context(), w.config, w.observed(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(context.WithoutCancel(t.Context()))) })
	return &door{Client: svctest.NewClient(t, server.Handler(), authsvc.OpenAPI), server: server}
}

// agent is somebody who has registered and made a key.
type agent struct {
	id, name, recovery, keyID, key, token string
}

// newAgent goes through registration, a key with the scopes (none: the default
// ones) and a token.
func (d *door) newAgent(t *testing.T, scopes ...string) agent {
	t.Helper()
	a := agent{name: "bot-" + rand.Text()[:12]}
	r := d.Call(t, http.MethodPost, "/api/auth/register", map[string]any{"agent_name": a.name})
	require.Equal(t, http.StatusCreated, r.Status, string(r.Body))
	a.id, a.recovery = r.Text("agent_id"), r.Text("recovery_key")
	a.keyID, a.key = d.newKey(t, a, scopes...)
	a.token = d.newToken(t, a)
	return a
}

func (d *door) newKey(t *testing.T, a agent, scopes ...string) (id, value string) {
	t.Helper()
	body := map[string]any{"name": "cli"}
	if len(scopes) > 0 {
		body["scopes"] = scopes
	}
	r := d.Call(t, http.MethodPost, "/api/agents/"+a.id, body, svctest.WithBasic(a.id, a.recovery))
	require.Equal(t, http.StatusCreated, r.Status, string(r.Body))
	return r.Text("key_id"), r.Text("api_key")
}

func (d *door) newToken(t *testing.T, a agent) string {
	t.Helper()
	r := d.Call(t, http.MethodPost, "/api/auth/token", map[string]any{"grant_type": "client_credentials"}, svctest.WithBasic(a.id, a.key))
	require.Equal(t, http.StatusOK, r.Status, string(r.Body))
	return r.Text("access_token")
}
