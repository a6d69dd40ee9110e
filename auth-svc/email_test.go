package authsvc_test

import (
	"io"
	"net/http"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/svctest"
)

var (
	linkToken    = regexp.MustCompile(`https://chat\.example\.com/api/auth/verify-email#token=(ev_[0-9A-Za-z]+)`)
	recoveryCode = regexp.MustCompile(`\b([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})\b`)
)

// mails gives the texts of the mails to an address, oldest first.
func (w *world) mails(t *testing.T, to string) []string {
	t.Helper()
	entries, err := os.ReadDir(w.config.Outbox)
	require.NoError(t, err)
	var texts []string
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".eml") {
			continue
		}
		file, err := os.Open(filepath.Join(w.config.Outbox, entry.Name()))
		require.NoError(t, err)
		message, err := netmail.ReadMessage(file)
		require.NoError(t, err)
		text, err := io.ReadAll(message.Body)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		if message.Header.Get("To") == "<"+to+">" {
			texts = append(texts, string(text))
		}
	}
	return texts
}

// mailed waits for the nth mail to an address and finds in it what a pattern
// names.
func (w *world) mailed(t *testing.T, to string, nth int, what *regexp.Regexp) string {
	t.Helper()
	var texts []string
	require.Eventually(t, func() bool {
		texts = w.mails(t, to)
		return len(texts) >= nth
	}, 30*time.Second, 20*time.Millisecond, "mail %d to %s", nth, to)
	found := what.FindStringSubmatch(texts[nth-1])
	require.NotNil(t, found, texts[nth-1])
	return found[1]
}

func newAddress() string { return newName() + "@example.com" }

func (d *door) verify(t *testing.T, token string) *svctest.Response {
	t.Helper()
	return d.Call(t, http.MethodPost, "/api/auth/verify-email", map[string]any{"token": token}, svctest.BadRequest())
}

// newVerified is an agent whose e-mail address is confirmed.
func (w *world) newVerified(t *testing.T, d *door) (a agent, address string) {
	t.Helper()
	address = newAddress()
	a = d.register(t, map[string]any{"agent_name": newName(), "email": address})
	require.Equal(t, http.StatusOK, d.verify(t, w.mailed(t, address, 1, linkToken)).Status)
	a.keyID, a.key = d.newKey(t, a)
	a.token = d.newToken(t, a)
	return a, address
}

func TestVerifyEmail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	address := newAddress()
	r := d.Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": newName(), "email": address})
	require.Equal(t, http.StatusCreated, r.Status)
	require.Equal(t, true, r.Get("email_verification_sent"))
	require.WithinDuration(t, w.clock.Now().Add(24*time.Hour), instant(t, r.Text("email_verification_expires_at")), time.Minute)

	link := w.mailed(t, address, 1, linkToken)
	page := d.Call(t, http.MethodGet, "/api/auth/verify-email", nil)
	require.Equal(t, http.StatusOK, page.Status)
	require.Equal(t, 1, w.count(t, "verifications"), "opening the link spends nothing")
	require.Equal(t, "verified", d.verify(t, link).Text("status"))
	refusedField(t, d.verify(t, link), "token")
	require.Zero(t, w.count(t, "verifications"))
}

func TestVerifyEmailRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	address := newAddress()
	d.register(t, map[string]any{"agent_name": newName(), "email": address})
	link := w.mailed(t, address, 1, linkToken)
	for outcome, body := range map[string]any{
		"no token":               map[string]any{},
		"an empty token":         map[string]any{"token": ""},
		"garbage":                map[string]any{"token": "garbage"},
		"a token with a typo":    map[string]any{"token": link[:len(link)-1] + "~"},
		"a token that is long":   map[string]any{"token": strings.Repeat("x", 10_000)},
		"a token that is a list": map[string]any{"token": []string{link}},
	} {
		r := d.Call(t, http.MethodPost, "/api/auth/verify-email", body, svctest.BadRequest())
		refusedField(t, r, "token")
		require.Equal(t, 1, w.count(t, "verifications"), outcome)
	}
	w.clock.Advance(24*time.Hour + time.Second)
	refusedField(t, d.verify(t, link), "token")
}

func TestResendVerification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	address := newAddress()
	a := d.register(t, map[string]any{"agent_name": newName(), "email": address})
	_, a.key = d.newKey(t, a)
	a.token = d.newToken(t, a)
	first := w.mailed(t, address, 1, linkToken)
	resend := func(a agent) *svctest.Response {
		return d.Call(t, http.MethodPost, "/api/auth/verify-email/resend", nil, a.bearer())
	}
	r := resend(a)
	require.Equal(t, http.StatusOK, r.Status, string(r.Body))
	require.Equal(t, true, r.Get("email_verification_sent"))
	refusedField(t, d.verify(t, first), "token")
	require.Equal(t, http.StatusOK, d.verify(t, w.mailed(t, address, 2, linkToken)).Status)

	refused(t, resend(a), http.StatusConflict, "CONFLICT")
	refused(t, resend(d.newAgent(t)), http.StatusConflict, "CONFLICT")
	require.Len(t, w.mails(t, address), 2)
	w.clock.Stop()
	for range 10 {
		r = resend(a)
	}
	refused(t, r, http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
	require.NotEmpty(t, r.Header.Get("Retry-After"))
}

func TestAMailThatCannotBeSentFollowsLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	// A file in the folder's place refuses even the superuser.
	aside := w.config.Outbox + "-aside"
	require.NoError(t, os.Rename(w.config.Outbox, aside))
	require.NoError(t, os.WriteFile(w.config.Outbox, nil, 0o600))
	address := newAddress()
	r := d.Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": newName(), "email": address})
	require.Equal(t, http.StatusCreated, r.Status)
	require.Equal(t, false, r.Get("email_verification_sent"))
	require.Nil(t, r.Get("email_verification_expires_at"))
	require.Equal(t, 1, w.count(t, "mails"))

	require.NoError(t, os.Remove(w.config.Outbox))
	require.NoError(t, os.Rename(aside, w.config.Outbox))
	require.Equal(t, http.StatusOK, d.verify(t, w.mailed(t, address, 1, linkToken)).Status)
	require.Eventually(t, func() bool { return w.count(t, "mails") == 0 }, 30*time.Second, 20*time.Millisecond)
	require.Len(t, w.mails(t, address), 1, "it is sent once")
}

func TestAnInstallationWithoutMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *authsvc.Config) { c.Outbox = "" })
	d := w.open(t)
	r := d.Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": newName(), "email": newAddress()})
	require.Equal(t, http.StatusCreated, r.Status)
	require.Equal(t, false, r.Get("email_verification_sent"))
	require.Zero(t, w.count(t, "mails"), "nothing waits for a relay that there is not")
}
