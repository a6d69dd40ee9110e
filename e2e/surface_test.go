package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mails are the contents of the outbox, the oldest first.
func (h home) mails(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(h.dir, "outbox", "*.eml"))
	require.NoError(t, err)
	mails := make([]string, len(paths))
	for i, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		mails[i] = string(content)
	}
	return mails
}

func TestWhatThePublicPortShows(t *testing.T) {
	t.Parallel()
	s := newHome(t).start(t)
	tests := map[string]struct {
		status int
		path   string
		shows  string
	}{
		"health":                {200, "/health", `"status":"healthy"`},
		"readiness":             {200, "/readyz", `"checks":{"auth-svc":"ok","chat-svc":"ok"}`},
		"the page of documents": {200, "/docs", "/openapi/chat-svc.json"},
		"auth-svc's document":   {200, "/openapi/auth-svc.json", `"/api/auth/register"`},
		"chat-svc's document":   {200, "/openapi/chat-svc.json", `"/api/messages"`},
		"the signing keys":      {200, "/.well-known/jwks.json", `"Ed25519"`},
		"server metadata":       {200, "/.well-known/oauth-authorization-server", `"issuer"`},
		"no metrics":            {404, "/metrics", "NOT_FOUND"},
		"no internal door":      {404, "/internal/changes", "NOT_FOUND"},
		"no liveness":           {404, "/livez", "NOT_FOUND"},
		"no way by an escape":   {404, "/%2e%2e/metrics", "NOT_FOUND"},
		"nor beneath a service": {404, "/api/auth/%2e%2e/%2e%2e/internal/changes", "NOT_FOUND"},
		"nor by a slash":        {404, "//internal/changes", "NOT_FOUND"},
		"nor by an escaped one": {404, "/api/auth%2f..%2f..%2fmetrics", "NOT_FOUND"},
		"nor by dots":           {404, "/api/auth/../../metrics", "NOT_FOUND"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.raw(t, tt.path)
			require.Equal(t, tt.status, got.status, got.body)
			require.Contains(t, got.body, tt.shows)
		})
	}
}

// raw asks for a path as it is written; clients clean it.
func (s *site) raw(t *testing.T, path string) answer {
	t.Helper()
	address := strings.TrimPrefix(s.URL, "http://")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body := new(strings.Builder)
	_, err = bufio.NewReader(resp.Body).WriteTo(body)
	require.NoError(t, err)
	return answer{status: resp.StatusCode, header: resp.Header, body: body.String()}
}

func TestAccountsMadeInAdvance(t *testing.T) {
	t.Parallel()
	s := newHome(t).start(t)

	me := s.must(t, 200, "POST", "/api/getMe", bearer("dev:ops"), nil)
	require.Equal(t, "ops", me.text(t, "result.username"))
	require.Equal(t, "human", me.text(t, "result.kind"))
	require.Equal(t, "Ops", me.text(t, "result.display_name"))

	page := s.must(t, 200, "POST", "/api/getUsers", bearer("dev:claude"), object{})
	items, err := json.Marshal(page.at(t, "result.items"))
	require.NoError(t, err)
	for _, name := range []string{"ops", "mafold-ai", "claude"} {
		require.Contains(t, string(items), `"username":"`+name+`"`)
	}

	signedIn := s.must(t, 200, "POST", "/api/signIn", nobody, object{"username": "ops"})
	token := signedIn.text(t, "result.access_token")
	claude := s.must(t, 200, "POST", "/api/getUser", bearer(token), object{"user_id": "claude"})
	sent := s.must(t, 201, "POST", "/api/messages", bearer("dev:ops"),
		object{"recipient_agent_id": claude.text(t, "result.agent_id"), "content": "Are you there?"})
	s.must(t, 200, "GET", "/api/conversations/"+sent.text(t, "conversation_id")+"/messages", bearer("dev:claude"), nil)

	require.Equal(t, 401, s.call(t, "POST", "/api/getMe", bearer("dev:nobody-here"), nil).status)
	require.Equal(t, 401, s.call(t, "GET", "/api/conversations", bearer("dev:nobody-here"), nil).status)
}

func TestDevelopmentIsForThisMachine(t *testing.T) {
	t.Parallel()
	s := newHome(t).start(t)
	as := func(host string) credential {
		return func(r *http.Request) {
			r.Host = host
			r.Header.Set("Authorization", "Bearer dev:ops")
		}
	}
	for _, host := range []string{"localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"} {
		s.must(t, 200, "POST", "/api/getMe", as(host), nil)
	}
	for _, host := range []string{"chat.example.com", "localhost.example.com:8080", "192.0.2.7"} {
		refused := s.must(t, 403, "POST", "/api/getMe", as(host), nil)
		require.Contains(t, refused.text(t, "error.message"), "PUBLIC_URL")
	}
}

func TestOpenAddressHasNoWayInByName(t *testing.T) {
	t.Parallel()
	s := newHome(t).start(t, "LISTEN=0.0.0.0:0")
	require.Contains(t, s.Stdout(), "are off, and registration is limited, because 0.0.0.0:0 is not a loopback address.\n")
	require.NotContains(t, s.Stdout(), "dev:ops")

	require.Equal(t, 401, s.call(t, "POST", "/api/getMe", bearer("dev:ops"), nil).status)
	require.Equal(t, 401, s.call(t, "GET", "/api/conversations", bearer("dev:ops"), nil).status)
	require.Equal(t, 404, s.call(t, "POST", "/api/signIn", nobody, object{"username": "ops"}).status)
	s.register(t, "first-one")
	refused := 0
	for i := range 30 {
		if s.call(t, "POST", "/api/auth/register", nobody, object{"agent_name": fmt.Sprintf("another-%d", i)}).status == 429 {
			refused++
		}
	}
	require.Positive(t, refused)
}

func TestRegistrationOnLoopbackIsUnlimited(t *testing.T) {
	t.Parallel()
	s := newHome(t).start(t)
	for i := range 50 {
		s.must(t, 201, "POST", "/api/auth/register", nobody, object{"agent_name": fmt.Sprintf("bot-%d", i)})
	}
}
