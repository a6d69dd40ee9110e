package e2e_test

import (
	"encoding/base64"
	"io"
	"io/fs"
	"mime/quotedprintable"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoSecretIsLoggedOrCounted(t *testing.T) {
	t.Parallel()
	h := newHome(t, "LOG_LEVEL=DEBUG")
	s := h.start(t)
	w := &walk{site: s, home: h}
	w.everything(t)
	metrics := s.metrics(t)
	require.NoError(t, s.Stop())

	shown := s.Stdout() + s.Stderr() + metrics
	require.Contains(t, shown, w.known, "what is no secret is found, so a secret would be")
	require.Contains(t, metrics, "token_checks_total")
	require.Contains(t, s.Stderr(), "level=DEBUG")
	secrets := append(w.secrets, h.files(t)...)
	require.Greater(t, len(secrets), 15)
	for _, secret := range secrets {
		require.Greater(t, len(secret), 5)
		if at := strings.Index(shown, secret); at >= 0 {
			require.Fail(t, "a secret is shown", "%s…, in: %s", secret[:5], shown[max(0, at-200):at])
		}
	}
}

// metrics are those of all services, from their internal listeners.
func (s *site) metrics(t *testing.T) string {
	t.Helper()
	addresses := regexp.MustCompile(`msg="internal listener" .*address=(\S+)`).FindAllStringSubmatch(s.Stderr(), -1)
	require.Len(t, addresses, 2)
	all := new(strings.Builder)
	for _, match := range addresses {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+match[1]+"/metrics", nil)
		require.NoError(t, err)
		resp, err := s.http.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(all, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	return all.String()
}

// files are the secrets that local mode keeps, line by line.
func (h home) files(t *testing.T) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(filepath.Join(h.dir, "secrets"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for line := range strings.Lines(string(content)) {
			if line = strings.TrimSpace(line); len(line) > 30 || !strings.HasPrefix(line, "-----") {
				lines = append(lines, line)
			}
		}
		return err
	})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(lines), 3, "a signing key, a pepper and a credential")
	return lines
}

// A walk goes through everything that has to do with secrets, rightly and
// wrongly, and keeps each secret that it meets.
type walk struct {
	*site
	home    home
	secrets []string
	known   string // an id, which logs may show
}

func (w *walk) keep(secrets ...string) {
	w.secrets = append(w.secrets, secrets...)
}

// keepPair keeps a secret and the header that is made of it.
func (w *walk) keepPair(id, secret string) {
	w.keep(secret, base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
}

func (w *walk) everything(t *testing.T) {
	t.Helper()
	made := w.must(t, 201, "POST", "/api/auth/register", nobody, object{"agent_name": "careful", "email": "careful@example.com"})
	a := agent{id: made.text(t, "agent_id"), recovery: made.text(t, "recovery_key")}
	w.known = a.id
	w.keepPair(a.id, a.recovery)
	w.verify(t)
	a = w.keys(t, a)
	w.chat(t, a)
	w.mistakes(t, a)
	w.recoverByMail(t, a)
}

func (w *walk) verify(t *testing.T) {
	t.Helper()
	token := w.mailed(t, `#token=(\S+)`)
	w.keep(token)
	w.must(t, 200, "POST", "/api/auth/verify-email", nobody, object{"token": token})
	w.call(t, "POST", "/api/auth/verify-email", nobody, object{"token": token})
}

// mailed finds something in the newest mail.
func (w *walk) mailed(t *testing.T, pattern string) string {
	t.Helper()
	var found []string
	require.Eventually(t, func() bool {
		mails := w.home.mails(t)
		if len(mails) == 0 {
			return false
		}
		text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(mails[len(mails)-1])))
		require.NoError(t, err)
		found = regexp.MustCompile(pattern).FindStringSubmatch(string(text))
		return found != nil
	}, waitForMail, tick)
	return found[1]
}

func (w *walk) keys(t *testing.T, a agent) agent {
	t.Helper()
	key := w.must(t, 201, "POST", "/api/agents/"+a.id, basic(a.id, a.recovery), object{"name": "cli"})
	a.keyID, a.key = key.text(t, "key_id"), key.text(t, "api_key")
	w.keepPair(a.id, a.key)
	rotated := w.must(t, 201, "POST", "/api/agents/"+a.id+"/keys/"+a.keyID+"/rotate", basic(a.id, a.recovery), object{"overlap_seconds": 60})
	a.keyID, a.key = rotated.text(t, "key_id"), rotated.text(t, "api_key")
	w.keepPair(a.id, a.key)
	first := w.exchange(t, a)
	a.token = w.must(t, 200, "POST", "/api/auth/refresh", bearer(first), nil).text(t, "access_token")
	w.keep(first, a.token)
	w.must(t, 200, "POST", "/api/auth/revoke", basic(a.id, a.key), object{"token": first})
	signedIn := w.must(t, 200, "POST", "/api/signIn", nobody, object{"username": "ops"})
	w.keep(signedIn.text(t, "result.access_token"))
	return a
}

func (w *walk) chat(t *testing.T, a agent) {
	t.Helper()
	const content = "between the two of us: the treasure is under the third palm"
	w.keep(content)
	conversation := w.newGroup(t, a)
	w.send(t, a, conversation, content)
	w.must(t, 200, "GET", "/api/conversations/"+conversation+"/messages", bearer(a.token), nil)
}

// mistakes puts secrets where they do not belong.
func (w *walk) mistakes(t *testing.T, a agent) {
	t.Helper()
	for i, wrong := range []struct {
		method, path string
		who          credential
		body         any
	}{
		{"POST", "/api/auth/token", basic(a.recovery, a.key), object{"grant_type": "client_credentials"}},
		{"POST", "/api/auth/token", basic(a.id, a.recovery), object{"grant_type": "client_credentials"}},
		{"POST", "/api/auth/token", basic(a.id, a.key+"x"), object{"grant_type": a.key}},
		{"POST", "/api/agents/" + a.id, basic(a.id, a.key), object{"name": "cli"}},
		{"GET", "/api/agents/" + a.key, bearer(a.token), nil},
		{"GET", "/api/agents/" + a.id, bearer(a.key), nil},
		{"GET", "/api/agents/" + a.id, bearer(a.token + "x"), nil},
		{"POST", "/api/getUser", bearer(a.token), object{"user_id": a.key}},
		{"POST", "/api/signIn", nobody, object{"username": a.token}},
		{"POST", "/api/" + a.key, bearer(a.token), nil},
		{"GET", "/nowhere/" + a.token, nobody, nil},
		{"GET", "/api/conversations?cursor=" + a.token, bearer(a.token), nil},
		{"GET", "/api/conversations/" + a.key, bearer(a.token), nil},
		{"POST", "/api/messages", bearer(a.token), object{"conversation_id": a.key, "content": a.token}},
		{"POST", "/api/auth/register", nobody, object{"agent_name": a.recovery, "email": a.key}},
		{"POST", "/api/auth/recover/confirm", nobody, object{"agent_id": a.id, "code": a.recovery}},
	} {
		got := w.call(t, wrong.method, wrong.path, wrong.who, wrong.body)
		require.GreaterOrEqual(t, got.status, 400, "mistake %d: %s", i, got.body)
		require.Less(t, got.status, 500, "mistake %d: %s", i, got.body)
	}
}

func (w *walk) recoverByMail(t *testing.T, a agent) {
	t.Helper()
	w.must(t, 202, "POST", "/api/auth/recover", nobody, object{"agent_id": a.id})
	code := w.mailed(t, `"code":"([^"]+)"`)
	w.keep(code)
	recovered := w.must(t, 201, "POST", "/api/auth/recover/confirm", nobody, object{"agent_id": a.id, "code": code})
	w.keepPair(a.id, recovered.text(t, "recovery_key"))
	w.must(t, 204, "DELETE", "/api/agents/"+a.id, basic(a.id, recovered.text(t, "recovery_key")), nil)
}
