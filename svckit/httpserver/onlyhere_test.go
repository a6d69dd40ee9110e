package httpserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"chatplatform.io/svckit/httpserver"
)

func TestIsThisMachine(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"localhost": true, "LOCALHOST:80": true, "a.localhost:1": true, "127.0.0.1": true, "127.1.2.3:8080": true, "[::1]": true, "[::1]:8080": true,
		"": false, "example.com": false, "localhost.example.com": false, "notlocalhost": false, "127.0.0.1.example.com:8080": false, "192.0.2.7": false, "0.0.0.0": false,
	}
	for host, want := range tests {
		require.Equal(t, want, httpserver.IsThisMachine(host), host)
	}
}

func TestOnlyHere(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		host   string
		header string // empty: none
		status int
	}{
		"a name of this machine":            {"localhost:8080", "", 200},
		"a header that is no proxy's":       {"127.0.0.1:8080", "X-Forward", 200},
		"a name from elsewhere":             {"chat.example.com", "", 403},
		"a proxy by RFC 7239":               {"localhost:8080", "Forwarded", 403},
		"a proxy by RFC 9110":               {"localhost:8080", "Via", 403},
		"a proxy that names the client":     {"localhost:8080", "X-Forwarded-For", 403},
		"a proxy that names the host":       {"localhost:8080", "x-forwarded-host", 403},
		"a proxy that names it another way": {"localhost:8080", "X-Real-IP", 403},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			var ctx fasthttp.RequestCtx
			ctx.Request.SetRequestURI("/api/getMe")
			ctx.Request.Header.SetHost(tt.host)
			if tt.header != "" {
				ctx.Request.Header.Set(tt.header, "x")
			}
			httpserver.OnlyHere(func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusOK) })(&ctx)
			require.Equal(t, tt.status, ctx.Response.StatusCode())
			if tt.status == fasthttp.StatusForbidden {
				require.Contains(t, string(ctx.Response.Body()), "PUBLIC_URL")
			}
		})
	}
}
