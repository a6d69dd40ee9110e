package authsvc_test

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/svctest"
)

// behindProxy is a world whose servers reach the database through a proxy.
func behindProxy(t *testing.T) (*world, *svctest.Proxy) {
	t.Helper()
	var proxy *svctest.Proxy
	w := newWorld(t, func(c *authsvc.Config) { c.MongoDB.URI, proxy = svctest.NewProxy(t, c.MongoDB.URI) })
	return w, proxy
}

func TestTheDatabaseGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	w, proxy := behindProxy(t)
	d := w.open(t)
	a := d.newAgent(t)
	tests := map[string]func() *svctest.Response{
		"register": func() *svctest.Response {
			return d.Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": newName()})
		},
		"token": func() *svctest.Response { return d.exchange(t, a) },
		"token by form": func() *svctest.Response {
			return d.Call(t, http.MethodPost, tokenPath, nil, a.program(), svctest.WithForm(grant()))
		},
		"me":      func() *svctest.Response { return d.Call(t, http.MethodPost, "/api/getMe", nil, a.bearer()) },
		"keys":    func() *svctest.Response { return d.Call(t, http.MethodGet, a.path(), nil, a.owner()) },
		"revoke":  func() *svctest.Response { return d.Call(t, http.MethodPost, revokePath, nil, a.bearer()) },
		"recover": func() *svctest.Response { return d.requestCode(t, a.id) },
		"users":   func() *svctest.Response { return d.users(t, a, nil) },
	}
	readiness := func() *svctest.Response { return send(t, http.MethodGet, d.internal+"/readyz", nil) }
	require.Equal(t, "ok", readiness().Text("checks.database"))
	before := w.count(t, "accounts")

	proxy.Cut()
	var calling sync.WaitGroup
	for name, call := range tests {
		calling.Go(func() {
			r := call()
			require.Equal(t, http.StatusServiceUnavailable, r.Status, "%s: %s", name, r.Body)
			seconds, err := strconv.Atoi(r.Header.Get("Retry-After"))
			require.NoError(t, err, name)
			require.Positive(t, seconds, name)
			require.NotContains(t, string(r.Body), "127.0.0.1", "nothing internal is shown")
		})
	}
	calling.Wait()
	ready := readiness()
	require.Equal(t, http.StatusOK, ready.Status, "all replicas would leave together")
	require.Equal(t, "unavailable", ready.Text("checks.database"))
	require.Equal(t, http.StatusOK, d.Call(t, http.MethodGet, "/health", nil).Status)
	require.Equal(t, http.StatusOK, d.Call(t, http.MethodGet, "/.well-known/jwks.json", nil).Status)
	require.Equal(t, http.StatusOK, send(t, http.MethodGet, d.internal+"/livez", nil).Status)

	proxy.Restore()
	require.Eventually(t, func() bool { return d.exchange(t, a).Status == http.StatusOK }, 30*time.Second, 100*time.Millisecond)
	require.Equal(t, http.StatusOK, d.me(t, a.token), "nothing was revoked")
	require.Eventually(t, func() bool { return readiness().Text("checks.database") == "ok" }, 30*time.Second, 100*time.Millisecond)
	require.Equal(t, before, w.count(t, "accounts"), "nobody was registered")
}

func TestADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	w, proxy := behindProxy(t)
	d := w.open(t)
	a := d.newAgent(t)
	proxy.Stall()
	require.Equal(t, http.StatusServiceUnavailable, d.me(t, a.token))
	proxy.Restore()
	require.Eventually(t, func() bool { return d.me(t, a.token) == http.StatusOK }, 30*time.Second, 100*time.Millisecond)
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*authsvc.Config)
		says   []string
	}{
		"no signing key":            {func(c *authsvc.Config) { c.SigningKeysDir += "-none" }, []string{"SIGNING_KEYS_DIR", "openssl genpkey"}},
		"no pepper":                 {func(c *authsvc.Config) { c.PeppersDir += "-none" }, []string{"PEPPERS_DIR", "openssl rand"}},
		"no service credential":     {func(c *authsvc.Config) { c.ServiceCredentialsDir += "-none" }, []string{"SERVICE_CREDENTIALS_DIR"}},
		"no schema":                 {func(c *authsvc.Config) { c.MongoDB.Database += "_x" }, []string{"auth-svc migrate"}},
		"no database":               {func(c *authsvc.Config) { c.MongoDB.URI = "mongodb://127.0.0.1:1/?directConnection=true" }, []string{"reach the database"}},
		"a bad sender":              {func(c *authsvc.Config) { c.Mail.From = "nobody" }, []string{"sender"}},
		"a long token":              {func(c *authsvc.Config) { c.TokenTTL = 16 * time.Minute }, []string{"TOKEN_TTL"}},
		"a token of no time":        {func(c *authsvc.Config) { c.TokenTTL = 0 }, []string{"TOKEN_TTL"}},
		"no key for anybody":        {func(c *authsvc.Config) { c.KeysPerAccount = 0 }, []string{"KEYS_PER_ACCOUNT"}},
		"a cache of nothing":        {func(c *authsvc.Config) { c.TokenCache = 0 }, []string{"TOKEN_CACHE"}},
		"agents taken for services": {func(c *authsvc.Config) { c.Audience = "auth-svc" }, []string{"AUDIENCE"}},
		"agents taken for chat-svc": {func(c *authsvc.Config) { c.Audience = "chat-svc" }, []string{"AUDIENCE"}},
		"a relative public URL":     {func(c *authsvc.Config) { c.PublicURL = "chat.example.com" }, []string{"PUBLIC_URL"}},
		"a relative issuer":         {func(c *authsvc.Config) { c.Issuer = "chat.example.com" }, []string{"ISSUER"}},
		"an issuer of no web":       {func(c *authsvc.Config) { c.Issuer = "urn:example:chat" }, []string{"ISSUER"}},
		"two things at once":        {func(c *authsvc.Config) { c.TokenTTL, c.PublicURL = 0, "x" }, []string{"TOKEN_TTL", "PUBLIC_URL"}},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.change(&w.config)
			_, err := authsvc.Open(t.Context(), w.config, w.observed(t))
			require.Error(t, err)
			for _, word := range tt.says {
				require.ErrorContains(t, err, word)
			}
		})
	}
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.db.Migrate(t.Context(), mongodb.Schema{Service: "auth-svc", Version: 1000}))
	_, err := authsvc.Open(t.Context(), w.config, w.observed(t))
	require.ErrorContains(t, err, "run a newer auth-svc")
	require.ErrorContains(t, authsvc.Migrate(t.Context(), w.config, w.observed(t)), "run a newer auth-svc")
}

func TestMigrateMayRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	require.NoError(t, authsvc.Migrate(t.Context(), w.config, w.observed(t)))
	d.newAgent(t)
}

func TestMetricsAndReadiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.server(t)
	stop, internal := serving(t, server)
	require.Equal(t, "ready", send(t, http.MethodGet, internal+"/readyz", nil).Text("status"))
	metrics := string(send(t, http.MethodGet, internal+"/metrics", nil).Body)
	for _, name := range []string{"go_goroutines", "token_checks_total", "internal_http_requests_total"} {
		require.Contains(t, metrics, name)
	}
	stop()
	_, ready := server.Ready().Check(t.Context())
	require.False(t, ready, "a server that leaves is not ready")
}
