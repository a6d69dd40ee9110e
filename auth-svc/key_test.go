package authsvc_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

func (a agent) path() string { return "/api/agents/" + a.id }

func (a agent) keyPath(id string) string { return a.path() + "/keys/" + id }

func TestCreateKey(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a := d.register(t, map[string]any{"agent_name": newName()})
	tests := map[string]struct {
		body   map[string]any
		scopes []any
		days   int // 0: never
	}{
		"without scopes it gets the default ones": {map[string]any{"name": "cli"}, texts(token.DefaultScopes()), 0},
		"named scopes in one order": {
			map[string]any{"name": "cli", "scopes": []string{"conversations:read", "messages:read"}},
			[]any{"messages:read", "conversations:read"}, 0,
		},
		"every scope":                  {map[string]any{"name": "cli", "scopes": token.AllScopes()}, texts(token.AllScopes()), 0},
		"a repeated scope counts once": {map[string]any{"name": "cli", "scopes": []string{"llm:chat", "llm:chat"}}, []any{"llm:chat"}, 0},
		"for a day":                    {map[string]any{"name": "cli", "expires_in_days": 1}, texts(token.DefaultScopes()), 1},
		"for ten years":                {map[string]any{"name": "cli", "expires_in_days": 3650}, texts(token.DefaultScopes()), 3650},
		"a name of 100 characters":     {map[string]any{"name": strings.Repeat("ü", 100)}, texts(token.DefaultScopes()), 0},
		"a name that is used already":  {map[string]any{"name": "cli"}, texts(token.DefaultScopes()), 0},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			r := d.Call(t, http.MethodPost, a.path(), tt.body, a.owner())
			require.Equal(t, http.StatusCreated, r.Status, string(r.Body))
			require.Equal(t, tt.body["name"], r.Text("name"))
			require.Equal(t, tt.scopes, r.Get("scopes"))
			if tt.days == 0 {
				require.Nil(t, r.Get("expires_at"))
			} else {
				require.Equal(t, time.Duration(tt.days)*24*time.Hour, instant(t, r.Text("expires_at")).Sub(instant(t, r.Text("created_at"))))
			}
		})
	}
}

func texts(scopes []string) []any {
	list := make([]any, len(scopes))
	for i, scope := range scopes {
		list[i] = scope
	}
	return list
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at
}

func TestCreateKeyRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.register(t, map[string]any{"agent_name": newName()})
	named := func(field string, value any) map[string]any { return map[string]any{"name": "cli", field: value} }
	tests := map[string]struct {
		body        any
		code, field string
	}{
		"no name":                     {map[string]any{}, "INVALID_KEY_NAME", "name"},
		"an empty name":               {map[string]any{"name": ""}, "INVALID_KEY_NAME", "name"},
		"a blank name":                {map[string]any{"name": " \t "}, "INVALID_KEY_NAME", "name"},
		"a name of 101 characters":    {map[string]any{"name": strings.Repeat("ü", 101)}, "INVALID_KEY_NAME", "name"},
		"a name that is a number":     {map[string]any{"name": 7}, "INVALID_REQUEST", "name"},
		"no scope at all":             {named("scopes", []string{}), "INVALID_REQUEST", "scopes"},
		"an unknown scope":            {named("scopes", []string{"messages:read", "messages:own"}), "INVALID_REQUEST", "scopes"},
		"scopes in one text":          {named("scopes", "messages:read"), "INVALID_REQUEST", "scopes"},
		"a scope that is a number":    {named("scopes", []any{1}), "INVALID_REQUEST", "scopes"},
		"zero days":                   {named("expires_in_days", 0), "INVALID_REQUEST", "expires_in_days"},
		"fewer than zero days":        {named("expires_in_days", -1), "INVALID_REQUEST", "expires_in_days"},
		"more than ten years":         {named("expires_in_days", 3651), "INVALID_REQUEST", "expires_in_days"},
		"half a day":                  {named("expires_in_days", 0.5), "INVALID_REQUEST", "expires_in_days"},
		"more days than a number has": {named("expires_in_days", 1e30), "INVALID_REQUEST", "expires_in_days"},
		"days in a text":              {named("expires_in_days", "1"), "INVALID_REQUEST", "expires_in_days"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			r := d.Call(t, http.MethodPost, a.path(), tt.body, a.owner(), svctest.BadRequest())
			refused(t, r, http.StatusBadRequest, tt.code)
			require.Equal(t, tt.field, r.Text("error.details.field"))
		})
	}
	r := d.Call(t, http.MethodPost, a.path(), nil, a.owner(), svctest.WithRaw("text/plain", []byte(`{"name":"cli"}`)), svctest.BadRequest())
	refused(t, r, http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE")
	require.Zero(t, w.count(t, "keys"))
}

func TestKeysHaveAQuota(t *testing.T) {
	t.Parallel()
	const most = 5
	w := newWorld(t, func(c *authsvc.Config) { c.KeysPerAccount = most })
	doors := []*door{w.open(t), w.open(t)}
	a := doors[0].register(t, map[string]any{"agent_name": newName()})
	const racers = 10
	answers := make([]*svctest.Response, racers)
	var racing sync.WaitGroup
	for i := range racers {
		racing.Go(func() {
			answers[i] = doors[i%2].Call(t, http.MethodPost, a.path(), map[string]any{"name": "cli"}, a.owner())
		})
	}
	racing.Wait()
	var made []string
	for _, r := range answers {
		if r.Status == http.StatusCreated {
			made = append(made, r.Text("key_id"))
			continue
		}
		refused(t, r, http.StatusForbidden, "QUOTA_EXCEEDED")
		require.Equal(t, "keys", r.Text("error.details.quota"))
	}
	require.Len(t, made, most)
	require.Equal(t, most, w.count(t, "keys"))

	for _, id := range made[:2] {
		require.Equal(t, http.StatusNoContent, doors[0].Call(t, http.MethodDelete, a.keyPath(id), nil, a.owner()).Status)
	}
	require.Equal(t, http.StatusCreated, doors[0].Call(t, http.MethodPost, a.path(), map[string]any{"name": "cli"}, a.owner()).Status,
		"revoked keys do not count")
}

func TestExpiredKeysDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *authsvc.Config) { c.KeysPerAccount = 1 })
	d := w.open(t)
	a := d.register(t, map[string]any{"agent_name": newName()})
	day := map[string]any{"name": "cli", "expires_in_days": 1}
	require.Equal(t, http.StatusCreated, d.Call(t, http.MethodPost, a.path(), day, a.owner()).Status)
	refused(t, d.Call(t, http.MethodPost, a.path(), day, a.owner()), http.StatusForbidden, "QUOTA_EXCEEDED")
	w.clock.Advance(25 * time.Hour)
	require.Equal(t, http.StatusCreated, d.Call(t, http.MethodPost, a.path(), day, a.owner()).Status)
}

func TestListKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.newAgent(t, "presence:update")
	w.clock.Advance(time.Second)
	second, secret := d.newKey(t, a)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, a.keyPath(second), nil, a.owner()).Status)
	for outcome, credential := range map[string]svctest.Option{"with the recovery key": a.owner(), "with a token": a.bearer()} {
		r := d.Call(t, http.MethodGet, a.path(), nil, credential)
		require.Equal(t, http.StatusOK, r.Status, outcome)
		require.Len(t, r.Get("keys"), 2, outcome)
		require.Equal(t, second, r.Text("keys.0.key_id"), "the newest comes first")
		require.NotEmpty(t, r.Text("keys.0.revoked_at"))
		require.Equal(t, a.keyID, r.Text("keys.1.key_id"))
		require.Nil(t, r.Get("keys.1.revoked_at"))
		require.NotContains(t, string(r.Body), secret)
		require.NotContains(t, string(r.Body), a.key)
	}
	stranger := d.newAgent(t)
	refused(t, d.Call(t, http.MethodGet, a.path(), nil, stranger.bearer()), http.StatusForbidden, "FORBIDDEN")
}

func TestLastUseOfAKeyAppears(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, err := authsvc.Open(t.Context(), w.config, w.observed(t))
	require.NoError(t, err)
	d := &door{Client: svctest.NewClient(t, server.Handler(), authsvc.OpenAPI), server: server}
	a := d.newAgent(t)
	unused, _ := d.newKey(t, a)
	require.NoError(t, server.Close(t.Context()), "what waits is written at the latest when a server leaves")

	r := w.open(t).Call(t, http.MethodGet, a.path(), nil, a.owner())
	for _, key := range r.Get("keys").([]any) {
		key := key.(map[string]any)
		if key["key_id"] == unused {
			require.Nil(t, key["last_used_at"])
		} else {
			require.WithinDuration(t, w.clock.Now(), instant(t, key["last_used_at"].(string)), time.Minute)
		}
	}
}

func TestRevokeKey(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a, stranger := d.newAgent(t), d.newAgent(t)
	other, _ := d.newKey(t, a)
	revoke := func(path string, credential svctest.Option) *svctest.Response {
		return d.Call(t, http.MethodDelete, path, nil, credential, svctest.BadRequest())
	}
	refused(t, revoke(a.keyPath(other), a.bearer()), http.StatusForbidden, "FORBIDDEN")
	refused(t, revoke(a.keyPath(a.keyID), stranger.bearer()), http.StatusForbidden, "FORBIDDEN")
	refused(t, revoke(a.keyPath(a.keyID), stranger.owner()), http.StatusForbidden, "FORBIDDEN")
	refused(t, revoke(a.keyPath(stranger.keyID), a.owner()), http.StatusNotFound, "NOT_FOUND")
	refused(t, revoke(a.keyPath("aky_00000000000000000000"), a.owner()), http.StatusNotFound, "NOT_FOUND")
	refused(t, revoke(a.keyPath("nonsense"), a.owner()), http.StatusNotFound, "NOT_FOUND")
	require.Equal(t, http.StatusOK, d.me(t, a.token), "nothing was revoked")

	require.Equal(t, http.StatusNoContent, revoke(a.keyPath(a.keyID), a.bearer()).Status, "a token ends its own key")
	require.Equal(t, http.StatusUnauthorized, d.me(t, a.token))
	refused(t, d.exchange(t, a), http.StatusUnauthorized, "UNAUTHORIZED")
	require.Equal(t, http.StatusNoContent, revoke(a.keyPath(a.keyID), a.owner()).Status, "again")
	require.Equal(t, http.StatusNoContent, revoke(a.keyPath(other), a.owner()).Status)
}
