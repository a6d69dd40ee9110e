package authsvc_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/svctest"
)

const revokePath = "/api/auth/revoke"

func TestRevokeToken(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	tests := map[string]func(t *testing.T, a agent) *svctest.Response{
		"by the token itself": func(t *testing.T, a agent) *svctest.Response {
			return d.Call(t, http.MethodPost, revokePath, nil, a.bearer())
		},
		"by the token itself with an empty object": func(t *testing.T, a agent) *svctest.Response {
			return d.Call(t, http.MethodPost, revokePath, map[string]any{}, a.bearer())
		},
		"by the token itself in an empty form": func(t *testing.T, a agent) *svctest.Response {
			return d.Call(t, http.MethodPost, revokePath, nil, a.bearer(), svctest.WithForm(url.Values{"token_type_hint": {"access_token"}}))
		},
		"by another token of the account": func(t *testing.T, a agent) *svctest.Response {
			return d.Call(t, http.MethodPost, revokePath, map[string]any{"token": a.token}, svctest.WithBearer(d.newToken(t, a)))
		},
		"by the key in JSON": func(t *testing.T, a agent) *svctest.Response {
			return d.Call(t, http.MethodPost, revokePath, map[string]any{"token": a.token}, a.program())
		},
		"by the key in a form": func(t *testing.T, a agent) *svctest.Response {
			return d.Call(t, http.MethodPost, revokePath, nil, a.program(), svctest.WithForm(url.Values{"token": {a.token}, "token_type_hint": {"access_token"}}))
		},
		"by another key of the account": func(t *testing.T, a agent) *svctest.Response {
			_, a.key = d.newKey(t, a)
			return d.Call(t, http.MethodPost, revokePath, map[string]any{"token": a.token}, a.program())
		},
	}
	for outcome, revoke := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			a := d.newAgent(t)
			r := revoke(t, a)
			require.Equal(t, http.StatusOK, r.Status, string(r.Body))
			require.Equal(t, "revoked", r.Text("status"))
			require.Equal(t, http.StatusUnauthorized, d.me(t, a.token))
			require.Equal(t, http.StatusOK, d.me(t, d.newToken(t, a)), "the key lives on")
			require.Equal(t, http.StatusOK, d.Call(t, http.MethodPost, revokePath, map[string]any{"token": a.token}, a.program()).Status, "again")
		})
	}
}

func TestRevokeTokenLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a, other := d.newAgent(t), d.newAgent(t)
	form := func(token string) svctest.Option { return svctest.WithForm(url.Values{"token": {token}}) }
	tests := map[string]struct {
		body         any
		opts         []svctest.Option
		status       int
		code, oauth  string
		acknowledged bool
	}{
		"another account's token in JSON":   {map[string]any{"token": other.token}, []svctest.Option{a.program()}, 403, "FORBIDDEN", "", false},
		"another account's token by Bearer": {map[string]any{"token": other.token}, []svctest.Option{a.bearer()}, 403, "FORBIDDEN", "", false},
		"another account's token in a form": {nil, []svctest.Option{a.program(), form(other.token)}, 400, "", "unauthorized_client", false},
		"no token with the key":             {nil, []svctest.Option{a.program()}, 400, "INVALID_REQUEST", "", false},
		"no token with the key in a form":   {nil, []svctest.Option{a.program(), form("")}, 400, "", "invalid_request", false},
		"a token that is a number":          {map[string]any{"token": 1}, []svctest.Option{a.program()}, 400, "INVALID_REQUEST", "", false},
		"the recovery key":                  {map[string]any{"token": a.token}, []svctest.Option{a.owner()}, 401, "UNAUTHORIZED", "", false},
		"garbage is what was wanted":        {map[string]any{"token": "garbage"}, []svctest.Option{a.program()}, 200, "", "", true},
		"garbage in a form":                 {nil, []svctest.Option{a.program(), form("garbage")}, 200, "", "", true},
		"an API key is no token":            {map[string]any{"token": a.key}, []svctest.Option{a.program()}, 200, "", "", true},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			r := d.Call(t, http.MethodPost, revokePath, tt.body, append(tt.opts, svctest.BadRequest())...)
			require.Equal(t, tt.status, r.Status, string(r.Body))
			require.Equal(t, tt.code, r.Text("error.code"))
			require.Equal(t, tt.oauth, r.Text("error"))
		})
	}
	require.Equal(t, http.StatusOK, d.me(t, a.token))
	require.Equal(t, http.StatusOK, d.me(t, other.token))
	require.Zero(t, w.count(t, "revoked_tokens"))
}

func TestARevokedTokenNeverComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *authsvc.Config) { c.TokenTTL = 3 * time.Second })
	d := w.open(t)
	a := d.newAgent(t)
	require.Equal(t, http.StatusOK, d.Call(t, http.MethodPost, revokePath, nil, a.bearer()).Status)
	// The database forgets what has expired; verifiers allow for clocks that differ.
	end := time.Now().Add(3*time.Second + 4*time.Second)
	for tick := time.NewTicker(100 * time.Millisecond); time.Now().Before(end); <-tick.C {
		require.Equal(t, http.StatusUnauthorized, d.me(t, a.token))
	}
}

func TestRacingRevocationsOfOneToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	doors := []*door{w.open(t), w.open(t)}
	a := doors[0].newAgent(t)
	var racing sync.WaitGroup
	for i := range 8 {
		racing.Go(func() {
			r := doors[i%2].Call(t, http.MethodPost, revokePath, map[string]any{"token": a.token}, a.program())
			require.Equal(t, http.StatusOK, r.Status, string(r.Body))
		})
	}
	racing.Wait()
	require.Equal(t, 1, w.count(t, "revoked_tokens"))
	require.Equal(t, 1, w.count(t, "changes"))
}

func TestDevelopmentTokensAreNotRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devTokens)
	d := w.open(t)
	a := d.newAgent(t)
	dev := svctest.WithBearer("dev:" + a.name)
	for outcome, r := range map[string]*svctest.Response{
		"by itself":        d.Call(t, http.MethodPost, revokePath, nil, dev),
		"by itself, named": d.Call(t, http.MethodPost, revokePath, map[string]any{"token": "dev:" + a.name}, dev),
		"by the key":       d.Call(t, http.MethodPost, revokePath, map[string]any{"token": "dev:" + a.name}, a.program()),
	} {
		t.Log(outcome)
		refusedField(t, r, "token")
		require.Contains(t, r.Text("error.message"), "development tokens are not revoked")
	}
	require.Equal(t, http.StatusOK, d.me(t, "dev:"+a.name))
	require.Zero(t, w.count(t, "revoked_tokens"))
	require.Zero(t, w.count(t, "changes"))
}

func TestRevocationsAreLimitedForEachAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a, other := d.newAgent(t), d.newAgent(t)
	revoke := func(a agent, opts ...svctest.Option) *svctest.Response {
		return d.Call(t, http.MethodPost, revokePath, map[string]any{"token": "garbage"}, append(opts, a.program())...)
	}
	w.clock.Stop()
	for range 120 {
		require.Equal(t, http.StatusOK, revoke(a).Status)
	}
	r := revoke(a)
	refused(t, r, http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
	require.NotEmpty(t, r.Header.Get("Retry-After"))
	form := d.Call(t, http.MethodPost, revokePath, nil, a.program(), svctest.WithForm(url.Values{"token": {"garbage"}}))
	require.Equal(t, http.StatusTooManyRequests, form.Status)
	require.Equal(t, "temporarily_unavailable", form.Text("error"))
	refused(t, d.Call(t, http.MethodDelete, a.keyPath(a.keyID), nil, a.owner()), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
	refused(t, d.rotate(t, a, a.keyID, nil, a.owner()), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
	refused(t, d.Call(t, http.MethodPost, recoverPath, nil, a.owner()), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
	require.Equal(t, http.StatusOK, revoke(other).Status, "others are not held up")
	w.clock.Advance(2 * time.Second)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, a.keyPath(a.keyID), nil, a.owner()).Status)
}
