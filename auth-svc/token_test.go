package authsvc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

const tokenPath = "/api/auth/token"

func grant(scope ...string) url.Values {
	values := url.Values{"grant_type": {"client_credentials"}}
	if len(scope) > 0 {
		values["scope"] = scope
	}
	return values
}

func TestExchange(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a := d.newAgent(t, "messages:read", "messages:write", "llm:chat")
	const all = "messages:read messages:write llm:chat"
	tests := map[string]struct {
		body  any
		form  url.Values
		scope string
	}{
		"JSON without a scope has all of them":     {body: map[string]any{"grant_type": "client_credentials"}, scope: all},
		"a form without a scope has all of them":   {form: grant(), scope: all},
		"JSON narrows":                             {body: map[string]any{"grant_type": "client_credentials", "scope": "llm:chat messages:read"}, scope: "messages:read llm:chat"},
		"a form narrows":                           {form: grant("llm:chat"), scope: "llm:chat"},
		"a repeated scope counts once":             {form: grant("llm:chat llm:chat"), scope: "llm:chat"},
		"an empty scope in a form is as left out":  {form: grant(""), scope: all},
		"parameters that we do not know are free":  {form: url.Values{"grant_type": {"client_credentials"}, "client_id": {"x"}}, scope: all},
		"JSON fields that we do not know are free": {body: map[string]any{"grant_type": "client_credentials", "audience": 1}, scope: all},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			opts := []svctest.Option{a.program(), svctest.BadRequest()}
			if tt.form != nil {
				opts = append(opts, svctest.WithForm(tt.form))
			}
			r := d.Call(t, http.MethodPost, tokenPath, tt.body, opts...)
			require.Equal(t, http.StatusOK, r.Status, string(r.Body))
			require.Equal(t, tt.scope, r.Text("scope"))
			require.EqualValues(t, 900, r.Get("expires_in"))
			require.Equal(t, http.StatusOK, d.me(t, r.Text("access_token")))
		})
	}
}

func TestExchangeRefusesJSON(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a := d.newAgent(t, "messages:read")
	granted := func(scope any) map[string]any {
		return map[string]any{"grant_type": "client_credentials", "scope": scope}
	}
	tests := map[string]struct {
		body  any
		field string
	}{
		"no body":                      {nil, "grant_type"},
		"no grant type":                {map[string]any{}, "grant_type"},
		"another grant type":           {map[string]any{"grant_type": "password"}, "grant_type"},
		"a grant type that is true":    {map[string]any{"grant_type": true}, "grant_type"},
		"a scope that was not granted": {granted("messages:write"), "scope"},
		"an unknown scope":             {granted("messages:own"), "scope"},
		"an empty scope":               {granted(""), "scope"},
		"scopes in a list":             {granted([]string{"messages:read"}), "scope"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			refusedField(t, d.Call(t, http.MethodPost, tokenPath, tt.body, a.program(), svctest.BadRequest()), tt.field)
		})
	}
	r := d.Call(t, http.MethodPost, tokenPath, nil, a.program(), svctest.WithRaw("text/plain", []byte("x")), svctest.BadRequest())
	refused(t, r, http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE")
}

func TestExchangeRefusesForms(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a, other := d.newAgent(t, "messages:read"), d.newAgent(t)
	tests := map[string]struct {
		form       string
		credential svctest.Option
		status     int
		name       string
	}{
		"no grant type":                {"", a.program(), 400, "invalid_request"},
		"an empty grant type":          {"grant_type=", a.program(), 400, "invalid_request"},
		"another grant type":           {"grant_type=password", a.program(), 400, "unsupported_grant_type"},
		"a scope that was not granted": {grant("messages:write").Encode(), a.program(), 400, "invalid_scope"},
		"an unknown scope":             {grant(`own "ß\`).Encode(), a.program(), 400, "invalid_scope"},
		"a blank scope":                {grant(" ").Encode(), a.program(), 400, "invalid_scope"},
		"a repeated grant type":        {"grant_type=client_credentials&grant_type=client_credentials", a.program(), 400, "invalid_request"},
		"a repeated scope":             {grant("messages:read", "messages:read").Encode(), a.program(), 400, "invalid_request"},
		"a broken escape":              {"grant_type=%zz", a.program(), 400, "invalid_request"},
		"a long form":                  {grant(strings.Repeat("x", 17<<10)).Encode(), a.program(), 400, "invalid_request"},
		"a form of over 1 MiB":         {grant(strings.Repeat("x", 1<<20)).Encode(), a.program(), 413, "invalid_request"},
		"no credential":                {grant().Encode(), svctest.WithHeader("X-Nothing", ""), 401, "invalid_client"},
		"a wrong key":                  {grant().Encode(), svctest.WithBasic(a.id, other.key), 401, "invalid_client"},
		"the recovery key":             {grant().Encode(), a.owner(), 401, "invalid_client"},
		"a token":                      {grant().Encode(), a.bearer(), 401, "invalid_client"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			r := d.Call(t, http.MethodPost, tokenPath, nil, tt.credential,
				svctest.WithRaw("application/x-www-form-urlencoded", []byte(tt.form)), svctest.BadRequest())
			require.Equal(t, tt.status, r.Status, string(r.Body))
			require.Equal(t, tt.name, r.Text("error"), string(r.Body))
			require.NotEmpty(t, r.Text("error_description"))
			if tt.status == http.StatusUnauthorized {
				require.Contains(t, r.Header.Get("WWW-Authenticate"), "Basic ")
			}
		})
	}
}

func TestATokenDoesNotOutliveItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.register(t, map[string]any{"agent_name": newName()})
	r := d.Call(t, http.MethodPost, a.path(), map[string]any{"name": "day", "expires_in_days": 1}, a.owner())
	a.keyID, a.key = r.Text("key_id"), r.Text("api_key")
	w.clock.Advance(24*time.Hour - 5*time.Minute)
	r = d.exchange(t, a)
	require.LessOrEqual(t, r.Get("expires_in"), 300.0)
	a.token = r.Text("access_token")
	refreshed := d.Call(t, http.MethodPost, "/api/auth/refresh", nil, a.bearer())
	require.LessOrEqual(t, refreshed.Get("expires_in"), 300.0)
	w.clock.Advance(5 * time.Minute)
	refused(t, d.exchange(t, a), http.StatusUnauthorized, "UNAUTHORIZED")
	require.Equal(t, http.StatusUnauthorized, d.me(t, a.token))
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.newAgent(t, "messages:read", "llm:chat")
	r := d.Call(t, http.MethodPost, tokenPath, nil, a.program(), svctest.WithForm(grant("llm:chat")))
	a.token = r.Text("access_token")
	refresh := func() *svctest.Response { return d.Call(t, http.MethodPost, "/api/auth/refresh", nil, a.bearer()) }
	for passed := time.Duration(0); passed < 24*time.Hour; passed += 14 * time.Minute {
		r := refresh()
		require.Equal(t, http.StatusOK, r.Status, "after %s: %s", passed, r.Body)
		require.Equal(t, "llm:chat", r.Text("scope"), "a refreshed token keeps its scope")
		require.LessOrEqual(t, passed.Seconds()+r.Get("expires_in").(float64), (24 * time.Hour).Seconds())
		a.token = r.Text("access_token")
		w.clock.Advance(14 * time.Minute)
	}
	refused(t, refresh(), http.StatusUnauthorized, "UNAUTHORIZED")

	a.token = d.newToken(t, a)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, a.keyPath(a.keyID), nil, a.bearer()).Status,
		"a refreshed token manages the key that the first one was made from")
	refused(t, refresh(), http.StatusUnauthorized, "UNAUTHORIZED")
}
