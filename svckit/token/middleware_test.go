package token_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/token"
)

func TestRequire(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	v := m.verifier(func(c *token.Config) { c.Dev = nil })
	app := httpserver.NewApp(httpserver.Options{
		Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Tracer: noop.NewTracerProvider().Tracer(""), Timeout: time.Minute,
	})
	answer := func(c *fiber.Ctx) error { return c.SendString(token.From(c).Subject) }
	app.Get("/any", token.Require(v), answer)
	app.Get("/read", token.Require(v, token.MessagesRead), answer)
	app.Get("/either", token.Require(v, token.ConversationsWrite, token.LLMChat), answer)
	app.Get("/write", token.Require(v, token.MessagesWrite, token.ConversationsWrite), answer)
	good := sign(m.private, header(), m.claims()) // messages:read llm:chat
	tests := map[string]struct {
		path, authorization string
		status              int
		body                string
	}{
		"any token":                    {"/any", "Bearer " + good, 200, "agt_1"},
		"the scheme in any case":       {"/any", "bearer " + good, 200, "agt_1"},
		"the scope":                    {"/read", "Bearer " + good, 200, "agt_1"},
		"one of two scopes":            {"/either", "Bearer " + good, 200, "agt_1"},
		"neither scope":                {"/write", "Bearer " + good, 403, `"required":["messages:write","conversations:write"]`},
		"no header":                    {"/any", "", 401, "UNAUTHORIZED"},
		"no token":                     {"/any", "Bearer ", 401, "UNAUTHORIZED"},
		"another scheme":               {"/any", "Basic " + good, 401, "UNAUTHORIZED"},
		"a bad token":                  {"/any", "Bearer x" + good, 401, "UNAUTHORIZED"},
		"a bad token before the scope": {"/write", "Bearer x", 401, "UNAUTHORIZED"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, tt.path, nil)
			request.Header.Set("Authorization", tt.authorization)
			r, err := app.Test(request)
			require.NoError(t, err)
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.NoError(t, r.Body.Close())
			require.Equal(t, tt.status, r.StatusCode)
			require.Contains(t, string(body), tt.body)
			if tt.status == http.StatusUnauthorized {
				require.Equal(t, `Bearer realm="chatplatform"`, r.Header.Get("WWW-Authenticate"))
			}
		})
	}
}
