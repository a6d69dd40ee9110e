package authsvc_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/svckit/svctest"
)

// A life is everything that one account does, with each operation of the
// document called; it gathers the secrets that went by and the refusals.
type life struct {
	*door
	w        *world
	secrets  map[string]string
	refusals []string
}

func (l *life) call(t *testing.T, status int, method, path string, body any, opts ...svctest.Option) *svctest.Response {
	t.Helper()
	r := l.Call(t, method, path, body, append(opts, svctest.BadRequest())...)
	require.Equal(t, status, r.Status, "%s %s: %s", method, path, r.Body)
	if status >= http.StatusBadRequest {
		l.refusals = append(l.refusals, string(r.Body))
	}
	for _, field := range []string{"recovery_key", "api_key", "access_token", "result.access_token"} {
		l.saw(method+" "+path+" "+field, r.Text(field))
	}
	return r
}

// saw remembers a secret.
func (l *life) saw(where, secret string) string {
	if secret != "" {
		l.secrets[secret] = where
	}
	return secret
}

func (l *life) register(t *testing.T) (a agent, address string) {
	t.Helper()
	address = newAddress()
	r := l.call(t, 201, "POST", registerPath, map[string]any{"agent_name": newName(), "kind": "human", "email": address})
	a = agent{id: r.Text("agent_id"), name: r.Text("agent_name"), recovery: r.Text("recovery_key")}
	a.keyID, a.key = l.makeKey(t, a)
	a.token = l.call(t, 200, "POST", tokenPath, map[string]any{"grant_type": "client_credentials"}, a.program()).Text("access_token")
	l.saw("mail", l.w.mailed(t, address, 1, linkToken))
	l.call(t, 200, "POST", "/api/auth/verify-email/resend", nil, a.bearer())
	l.call(t, 200, "POST", "/api/auth/verify-email", map[string]any{"token": l.saw("mail", l.w.mailed(t, address, 2, linkToken))})
	return a, address
}

func (l *life) makeKey(t *testing.T, a agent) (id, value string) {
	t.Helper()
	r := l.call(t, 201, "POST", a.path(), map[string]any{"name": "cli"}, a.owner())
	return r.Text("key_id"), r.Text("api_key")
}

func (l *life) live(t *testing.T, a agent, address string) agent {
	t.Helper()
	l.call(t, 200, "GET", "/health", nil)
	l.call(t, 200, "GET", "/.well-known/jwks.json", nil)
	l.call(t, 200, "GET", "/.well-known/oauth-authorization-server", nil)
	l.call(t, 200, "GET", "/api/auth/verify-email", nil)
	l.call(t, 200, "GET", a.path(), nil, a.owner())
	l.call(t, 200, "GET", a.path()+"/profile", nil, a.bearer())
	l.call(t, 200, "PATCH", a.path()+"/profile", map[string]any{"display_name": "Ä"}, a.bearer())
	l.call(t, 200, "POST", "/api/getMe", nil, a.bearer())
	l.call(t, 200, "POST", "/api/getUser", map[string]any{"user_id": a.name}, a.bearer())
	l.call(t, 200, "POST", "/api/getUsers", nil, a.bearer())
	l.call(t, 200, "POST", "/api/signIn", map[string]any{"username": a.name})
	fresh := l.call(t, 200, "POST", "/api/auth/refresh", nil, a.bearer()).Text("access_token")
	l.call(t, 200, "POST", revokePath, nil, a.program(), svctest.WithForm(url.Values{"token": {fresh}}))
	l.call(t, 201, "POST", a.keyPath(a.keyID)+"/rotate", map[string]any{"overlap_seconds": 60}, a.bearer())
	second, _ := l.makeKey(t, a)
	l.call(t, 204, "DELETE", a.keyPath(second), nil, a.owner())
	a.recovery = l.call(t, 201, "POST", recoverPath, nil, a.owner()).Text("recovery_key")
	l.call(t, 202, "POST", recoverPath, map[string]any{"agent_id": a.id})
	code := l.saw("mail", l.w.mailed(t, address, 3, recoveryCode))
	a.recovery = l.call(t, 201, "POST", recoverPath+"/confirm", map[string]any{"agent_id": a.id, "code": code}).Text("recovery_key")
	return a
}

// blunder puts good secrets where they do not belong.
func (l *life) blunder(t *testing.T, a agent) {
	t.Helper()
	_, a.key = l.makeKey(t, a)
	a.token = l.call(t, 200, "POST", tokenPath, map[string]any{"grant_type": "client_credentials"}, a.program()).Text("access_token")
	l.call(t, 401, "GET", a.path(), nil, a.program())
	l.call(t, 401, "POST", tokenPath, nil, a.owner(), svctest.WithForm(grant()))
	l.call(t, 401, "POST", tokenPath, nil, svctest.WithBasic(a.key, a.id))
	l.call(t, 401, "POST", "/api/getMe", nil, svctest.WithBearer(a.key))
	l.call(t, 401, "POST", "/api/getMe", nil, svctest.WithBearer(a.token+a.token))
	l.call(t, 404, "GET", "/api/agents/"+a.recovery+"/profile", nil, a.bearer())
	l.call(t, 400, "POST", registerPath, map[string]any{"agent_name": a.recovery})
	l.call(t, 400, "POST", registerPath, map[string]any{"agent_name": newName(), "email": a.key})
	l.call(t, 400, "POST", tokenPath, map[string]any{"grant_type": a.key}, a.program())
	l.call(t, 400, "POST", "/api/auth/verify-email", map[string]any{"token": a.recovery})
	l.call(t, 400, "POST", recoverPath, map[string]any{"agent_id": a.recovery})
	l.call(t, 401, "POST", recoverPath+"/confirm", map[string]any{"agent_id": a.id, "code": a.recovery})
	l.call(t, 400, "POST", "/api/getUser", map[string]any{"user_id": a.key}, a.bearer())
	l.call(t, 400, "POST", "/api/getUsers", map[string]any{"cursor": a.token}, a.bearer())
	l.call(t, 200, "GET", "/health?token="+a.token, nil)
	l.call(t, 204, "DELETE", a.path(), nil, a.owner())
}

// files are the secrets of the installation.
func (l *life) files(t *testing.T) {
	t.Helper()
	for _, dir := range []string{l.w.config.SigningKeysDir, l.w.config.PeppersDir, l.w.config.ServiceCredentialsDir} {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, entry := range entries {
			content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			require.NoError(t, err)
			for line := range strings.Lines(string(content)) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
					l.saw(entry.Name(), line)
				}
			}
		}
	}
}

func TestNoSecretIsToldAndEveryOperationWorks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devTokens)
	l := &life{door: w.open(t), w: w, secrets: map[string]string{}}
	l.files(t)
	a, address := l.register(t)
	a = l.live(t, a, address)
	l.saw("service token", w.callAs(t, l.door))
	client := w.client(t, l.internal)
	_, err := client.ByID(t.Context(), a.id)
	require.NoError(t, err)
	refusal := send(t, http.MethodPost, l.internal+"/internal/token", map[string]any{"grant_type": "client_credentials", "audience": accounts.Audience},
		basic(w.credential(t, caller), caller))
	l.refusals = append(l.refusals, string(refusal.Body))
	l.blunder(t, a)
	require.Empty(t, l.Uncovered(), "every operation of the document was called")
	require.Greater(t, len(l.secrets), 15)
	require.Greater(t, len(l.refusals), 12)

	told := map[string]string{
		"the logs": w.logs.String(), "the metrics": string(send(t, http.MethodGet, l.internal+"/metrics", nil).Body),
		"the refusals": strings.Join(l.refusals, "\n"),
	}
	require.True(t, w.logs.Contains("account registered"))
	require.True(t, w.logs.Contains("credential refused"))
	for secret, where := range l.secrets {
		for place, text := range told {
			require.NotContains(t, text, secret, "a secret of %s stands in %s", where, place)
			require.NotContains(t, text, url.QueryEscape(secret))
		}
	}
	require.NotContains(t, told["the logs"], address, "nor does anybody's address")
}
