package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/e2e/platform"
)

// Conditions are looked at this often, for this long at most.
const (
	tick        = 20 * time.Millisecond
	waitForMail = 30 * time.Second
)

// A site is a running platform and a client to it.
type site struct {
	*platform.Platform
	http *http.Client
}

func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: time.Minute, Transport: transport}
}

// An answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// text is the string at a path of names, separated by dots, in the JSON body.
func (a answer) text(t *testing.T, path string) string {
	t.Helper()
	value, ok := a.at(t, path).(string)
	require.True(t, ok, "%s is no text in %s", path, a.body)
	return value
}

func (a answer) at(t *testing.T, path string) any {
	t.Helper()
	var value any
	require.NoError(t, json.Unmarshal([]byte(a.body), &value), a.body)
	for _, name := range strings.Split(path, ".") {
		object, ok := value.(map[string]any)
		require.True(t, ok, "%s is not there in %s", path, a.body)
		value = object[name]
	}
	return value
}

type credential func(*http.Request)

func bearer(token string) credential {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func basic(id, secret string) credential {
	return func(r *http.Request) { r.SetBasicAuth(id, secret) }
}

func nobody(*http.Request) {}

// call sends a request whose body is JSON; nil sends none. A GET that is
// answered 503 with Retry-After is sent again, as an obedient client does.
func (s *site) call(t *testing.T, method, path string, who credential, body any) answer {
	t.Helper()
	var a answer
	obeyed := func() bool {
		a = s.once(t, method, path, who, body)
		return method != http.MethodGet || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == ""
	}
	if !obeyed() {
		require.Eventually(t, obeyed, 30*time.Second, time.Second, "%s %s", method, path)
	}
	return a
}

func (s *site) once(t *testing.T, method, path string, who credential, body any) answer {
	t.Helper()
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, content)
	require.NoError(t, err)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	who(req)
	resp, err := s.http.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	read, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(read)}
}

// must is call for a request that is to succeed with a status.
func (s *site) must(t *testing.T, status int, method, path string, who credential, body any) answer {
	t.Helper()
	a := s.call(t, method, path, who, body)
	require.Equal(t, status, a.status, "%s %s: %s", method, path, a.body)
	return a
}

type object = map[string]any

// An agent is somebody with a key and a token.
type agent struct {
	id, recovery, keyID, key, token string
}

func (s *site) register(t *testing.T, name string) agent {
	t.Helper()
	made := s.must(t, 201, "POST", "/api/auth/register", nobody, object{"agent_name": name})
	a := agent{id: made.text(t, "agent_id"), recovery: made.text(t, "recovery_key")}
	key := s.must(t, 201, "POST", "/api/agents/"+a.id, basic(a.id, a.recovery), object{"name": "cli"})
	a.keyID, a.key = key.text(t, "key_id"), key.text(t, "api_key")
	a.token = s.exchange(t, a)
	return a
}

func (s *site) exchange(t *testing.T, a agent) string {
	t.Helper()
	return s.must(t, 200, "POST", "/api/auth/token", basic(a.id, a.key), object{"grant_type": "client_credentials"}).text(t, "access_token")
}

func (s *site) newGroup(t *testing.T, a agent) string {
	t.Helper()
	return s.must(t, 201, "POST", "/api/conversations", bearer(a.token), object{"type": "group", "name": "Harbour", "members": []string{}}).text(t, "conversation_id")
}

func (s *site) send(t *testing.T, a agent, conversation, content string) answer {
	t.Helper()
	return s.must(t, 201, "POST", "/api/messages", bearer(a.token), object{"conversation_id": conversation, "content": content})
}
