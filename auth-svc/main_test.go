package authsvc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"go.mongodb.org/mongo-driver/v2/bson"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/observe"
	"chatplatform.io/svckit/program"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }

// caller is a service that has a credential.
const caller = "chat-svc"

// world is an installation of auth-svc: a database, folders of secrets, a
// clock, and as many servers as a test opens.
type world struct {
	config authsvc.Config
	deps   program.Deps
	logs   *svctest.LogBuffer
	clock  *svctest.Clock
	db     *mongodb.DB // the same database, for a test to look into
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
	w.db = svctest.Open(t, w.config.MongoDB)
	for _, apply := range change {
		apply(&w.config)
	}
	require.NoError(t, authsvc.GenerateSecrets(w.config.SigningKeysDir, w.config.PeppersDir, w.config.ServiceCredentialsDir, time.Now(), caller))
	w.deps = program.Deps{Observer: &observe.Observer{Logger: logger}, Version: "test", Now: w.clock.Now}
	require.NoError(t, authsvc.Migrate(t.Context(), w.config, w.observed(t)))
	return w
}

// observed are the deps of one server: each has a registry of its own.
func (w *world) observed(t *testing.T) program.Deps {
	t.Helper()
	observer, err := observe.Open(t.Context(), authsvc.Name, "test", observe.Settings{LogLevel: slog.LevelDebug}, w.logs)
	require.NoError(t, err)
	deps := w.deps
	deps.Observer = observer
	return deps
}

// count is how many documents a collection holds.
func (w *world) count(t *testing.T, collection string) int {
	t.Helper()
	n, err := w.db.Collection(collection).CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	return int(n)
}

// tombstone is the document of an account as JSON.
func (w *world) tombstone(t *testing.T, id string) string {
	t.Helper()
	raw, err := w.db.Collection("accounts").FindOne(t.Context(), bson.D{{Key: "_id", Value: id}}).Raw()
	require.NoError(t, err)
	return raw.String()
}

// door is one server of a world and a client that checks every exchange
// against the OpenAPI document.
type door struct {
	*svctest.Client
	server   *authsvc.Server
	internal string // URL of the second listener
}

// open starts a server on the world's database.
func (w *world) open(t *testing.T) *door {
	t.Helper()
	server := w.server(t)
	return &door{
		Client: svctest.NewClient(t, server.Handler(), authsvc.OpenAPI), server: server,
		internal: listen(t, server.Internal()),
	}
}

// server is one that no listener stands before yet.
func (w *world) server(t *testing.T) *authsvc.Server {
	t.Helper()
	server, err := authsvc.Open(t.Context(), w.config, w.observed(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(context.WithoutCancel(t.Context()))) })
	return server
}

// listen serves a handler until the test ends and gives its URL.
func listen(t *testing.T, handler fasthttp.RequestHandler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() {
		served <- httpserver.Serve(ctx, httpserver.ServeOptions{Logger: slog.New(slog.DiscardHandler), Grace: 30 * time.Second},
			httpserver.Door{Listener: ln, Handler: handler})
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-served)
	})
	return "http://" + ln.Addr().String()
}

// send makes a call that no document describes.
func send(t *testing.T, method, url string, body any, opts ...func(*http.Request)) *svctest.Response {
	t.Helper()
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		require.NoError(t, err)
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, content)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Close = true // nothing idle is left behind
	for _, set := range opts {
		set(request)
	}
	got, err := (&http.Client{Timeout: time.Minute}).Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, got.Body.Close()) }()
	answer, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	return &svctest.Response{Status: got.StatusCode, Header: got.Header, Body: answer}
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// agent is somebody who has registered and made a key.
type agent struct {
	id, name, recovery, keyID, key, token string
}

// newAgent goes through registration, a key with the scopes (none: the default
// ones) and a token.
func (d *door) newAgent(t *testing.T, scopes ...string) agent {
	t.Helper()
	a := d.register(t, map[string]any{"agent_name": newName()})
	a.keyID, a.key = d.newKey(t, a, scopes...)
	a.token = d.newToken(t, a)
	return a
}

// newName is a name that nobody has.
func newName() string { return "bot-" + rand.Text()[:12] }

// register makes an account that has no key yet.
func (d *door) register(t *testing.T, body map[string]any) agent {
	t.Helper()
	r := d.Call(t, http.MethodPost, "/api/auth/register", body)
	require.Equal(t, http.StatusCreated, r.Status, string(r.Body))
	return agent{id: r.Text("agent_id"), name: r.Text("agent_name"), recovery: r.Text("recovery_key")}
}

func (d *door) newKey(t *testing.T, a agent, scopes ...string) (id, value string) {
	t.Helper()
	body := map[string]any{"name": "cli"}
	if len(scopes) > 0 {
		body["scopes"] = scopes
	}
	r := d.Call(t, http.MethodPost, "/api/agents/"+a.id, body, a.owner())
	require.Equal(t, http.StatusCreated, r.Status, string(r.Body))
	return r.Text("key_id"), r.Text("api_key")
}

func (d *door) newToken(t *testing.T, a agent) string {
	t.Helper()
	r := d.exchange(t, a)
	require.Equal(t, http.StatusOK, r.Status, string(r.Body))
	return r.Text("access_token")
}

// exchange changes the agent's key for a token.
func (d *door) exchange(t *testing.T, a agent) *svctest.Response {
	t.Helper()
	return d.Call(t, http.MethodPost, "/api/auth/token", map[string]any{"grant_type": "client_credentials"}, a.program())
}

// me is the status of a call with a token.
func (d *door) me(t *testing.T, token string) int {
	t.Helper()
	return d.Call(t, http.MethodPost, "/api/getMe", nil, svctest.WithBearer(token)).Status
}

// The credentials of an agent.
func (a agent) owner() svctest.Option   { return svctest.WithBasic(a.id, a.recovery) }
func (a agent) program() svctest.Option { return svctest.WithBasic(a.id, a.key) }
func (a agent) bearer() svctest.Option  { return svctest.WithBearer(a.token) }

// refused holds an answer to a status and, of the REST family, its code.
func refused(t *testing.T, r *svctest.Response, status int, code string) {
	t.Helper()
	require.Equal(t, status, r.Status, string(r.Body))
	require.Equal(t, code, r.Text("error.code"), string(r.Body))
}

// refusedField is refused, with the field that was wrong.
func refusedField(t *testing.T, r *svctest.Response, field string) {
	t.Helper()
	refused(t, r, http.StatusBadRequest, "INVALID_REQUEST")
	require.Equal(t, field, r.Text("error.details.field"), string(r.Body))
}

// serving has a server answer on listeners of its own. stop drains it and waits
// for that; internal is the URL of its second listener.
func serving(t *testing.T, server *authsvc.Server) (stop func(), internal string) {
	t.Helper()
	public, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	second, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, public, second) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-served)
	})
	t.Cleanup(stop)
	return stop, "http://" + second.Addr().String()
}

func readCloser(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }
