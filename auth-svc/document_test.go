package authsvc_test

import (
	"net/http"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/svctest"
)

func TestRoutesAreTheDocuments(t *testing.T) {
	t.Parallel()
	document, err := svctest.ParseDocument(authsvc.OpenAPI)
	require.NoError(t, err)
	parameter := regexp.MustCompile(`:(\w+)`)
	var routes []string
	for _, route := range newWorld(t).server(t).Routes() {
		if route.Method != http.MethodHead { // comes with every GET
			routes = append(routes, route.Method+" "+parameter.ReplaceAllString(route.Path, "{$1}"))
		}
	}
	slices.Sort(routes)
	require.Equal(t, document.Operations(), routes)
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *authsvc.Config) { c.PublicURL = "https://chat.example.com/" })
	d := w.open(t)
	keys := d.Call(t, http.MethodGet, "/.well-known/jwks.json", nil)
	require.Equal(t, http.StatusOK, keys.Status)
	require.Equal(t, "public, max-age=60", keys.Header.Get("Cache-Control"))
	require.NotEmpty(t, keys.Header.Get("ETag"))
	require.Equal(t, w.kids(t), d.published(t))
	same := d.Call(t, http.MethodGet, "/.well-known/jwks.json", nil, svctest.WithHeader("If-None-Match", `"other", `+keys.Header.Get("ETag")))
	require.Equal(t, http.StatusNotModified, same.Status)
	require.Empty(t, same.Body)
	require.Equal(t, keys.Header.Get("ETag"), same.Header.Get("ETag"))
	other := d.Call(t, http.MethodGet, "/.well-known/jwks.json", nil, svctest.WithHeader("If-None-Match", `"other"`))
	require.Equal(t, keys.Body, other.Body)
	inner := send(t, http.MethodGet, d.internal+"/.well-known/jwks.json", nil)
	require.Equal(t, string(keys.Body), string(inner.Body), "the internal door has the same key set")

	r := d.Call(t, http.MethodGet, "/.well-known/oauth-authorization-server", nil)
	require.Equal(t, w.config.Issuer, r.Text("issuer"))
	require.Equal(t, "https://chat.example.com/api/auth/token", r.Text("token_endpoint"))
	require.Equal(t, "https://chat.example.com/api/auth/revoke", r.Text("revocation_endpoint"))
	require.Equal(t, "https://chat.example.com/.well-known/jwks.json", r.Text("jwks_uri"))
	require.Len(t, r.Get("scopes_supported"), 8)

	health := d.Call(t, http.MethodGet, "/health", nil)
	require.Equal(t, "healthy", health.Text("status"))
	require.Equal(t, "test", health.Text("version"))
}
