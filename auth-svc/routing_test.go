package authsvc_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	tests := map[string]struct {
		method, path string
		status       int
		code         string // of the REST family; empty: the RPC family's form
		allow        string
	}{
		"a path that nobody serves":            {"GET", "/api/auth/nothing", 404, "NOT_FOUND", ""},
		"the root":                             {"GET", "/", 404, "NOT_FOUND", ""},
		"a POST to a deeper path":              {"POST", "/api/auth/nothing", 404, "NOT_FOUND", ""},
		"a POST to one segment under /api":     {"POST", "/api/nothing", 404, "", ""},
		"a GET to one segment under /api":      {"GET", "/api/nothing", 404, "NOT_FOUND", ""},
		"a slash at the end":                   {"POST", "/api/auth/register/", 404, "NOT_FOUND", ""},
		"an empty segment":                     {"POST", "/api//auth/register", 404, "NOT_FOUND", ""},
		"a dot segment":                        {"POST", "/api/./auth/register", 404, "NOT_FOUND", ""},
		"two dots":                             {"POST", "/api/x/../auth/register", 404, "NOT_FOUND", ""},
		"an escaped slash":                     {"POST", "/api/auth%2Fregister", 404, "", ""},
		"upper case":                           {"POST", "/API/auth/register", 404, "NOT_FOUND", ""},
		"the internal door":                    {"GET", "/internal/changes", 404, "NOT_FOUND", ""},
		"the metrics":                          {"GET", "/metrics", 404, "NOT_FOUND", ""},
		"the readiness":                        {"GET", "/readyz", 404, "NOT_FOUND", ""},
		"a method that the path does not have": {"DELETE", "/api/auth/register", 405, "METHOD_NOT_ALLOWED", "POST"},
		"a PUT to a path of several methods":   {"PUT", "/api/agents/agt_00000000000000000000", 405, "METHOD_NOT_ALLOWED", "GET, HEAD, POST, DELETE"},
		"a GET of an RPC method":               {"GET", "/api/getMe", 405, "", "POST"},
		"a method that HTTP does not have":     {"FETCH", "/api/auth/register", 405, "METHOD_NOT_ALLOWED", "POST"},
		"one for an RPC method":                {"FOO", "/api/getMe", 405, "", "POST"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			r := d.Call(t, tt.method, tt.path, nil, svctest.Unrouted())
			require.Equal(t, tt.status, r.Status, string(r.Body))
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			require.NotEmpty(t, r.Header.Get("X-Request-Id"))
			require.Equal(t, tt.allow, r.Header.Get("Allow"))
			if tt.code == "" {
				require.Equal(t, false, r.Get("ok"), string(r.Body))
				require.EqualValues(t, tt.status, r.Get("error_code"))
				return
			}
			refused(t, r, tt.status, tt.code)
			require.Equal(t, r.Header.Get("X-Request-Id"), r.Text("error.request_id"))
		})
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	id := func(own string) string {
		return d.Call(t, http.MethodGet, "/health", nil, svctest.WithHeader("X-Request-Id", own)).Header.Get("X-Request-Id")
	}
	require.Equal(t, "my-own.id_7", id("my-own.id_7"))
	for outcome, own := range map[string]string{
		"none": "", "one with a space": "a b", "one with a quote": `a"b`, "one of 65 characters": strings.Repeat("x", 65),
	} {
		first, second := id(own), id(own)
		require.NotEqual(t, own, first, outcome)
		require.NotEqual(t, first, second, outcome)
	}
	require.Equal(t, strings.Repeat("x", 64), id(strings.Repeat("x", 64)))
}
