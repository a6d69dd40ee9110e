package mail_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"io"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chatplatform.io/auth-svc/internal/mail"
	"chatplatform.io/auth-svc/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func clock() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func settingsFor(port int) mail.Settings {
	return mail.Settings{
		Host: "127.0.0.1", Port: port, TLS: mail.NoTLS,
		From: "ChatPlatform <noreply@example.com>", Timeout: 30 * time.Second,
	}
}

func hello() mail.Message {
	return mail.Message{To: "ada@example.org", Subject: "Grüße", Text: "Hello,\n.a line with a dot\n\nBye\n"}
}

func send(t *testing.T, settings mail.Settings, m mail.Message) error {
	t.Helper()
	sender, err := mail.NewSMTP(settings, clock, rand.Reader)
	require.NoError(t, err)
	return sender.Send(t.Context(), m)
}

func TestSendHandsTheMailOver(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	users := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(users, []byte("robot:pass-word\n"), 0o600))
	cases := map[string]struct {
		flags  []string
		adjust func(*mail.Settings)
	}{
		"without encryption": {nil, func(*mail.Settings) {}},
		"with STARTTLS and a login": {
			[]string{"--smtp-tls-cert", cert, "--smtp-tls-key", key, "--smtp-require-starttls", "--smtp-auth-file", users},
			func(s *mail.Settings) {
				s.TLS, s.CAFile, s.Username, s.Password = mail.StartTLS, cert, "robot", secret.From("pass-word")
			},
		},
		"encrypted from the first byte, with a login": {
			[]string{"--smtp-tls-cert", cert, "--smtp-tls-key", key, "--smtp-require-tls", "--smtp-auth-file", users},
			func(s *mail.Settings) {
				s.TLS, s.CAFile, s.Username, s.Password = mail.Implicit, cert, "robot", secret.From("pass-word")
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startMailpit(t, tc.flags...)
			settings := settingsFor(server.port)
			tc.adjust(&settings)
			require.NoError(t, send(t, settings, hello()))

			raw := server.mails(t)
			require.Len(t, raw, 1)
			got, err := netmail.ReadMessage(strings.NewReader(raw[0]))
			require.NoError(t, err)
			require.Equal(t, `"ChatPlatform" <noreply@example.com>`, got.Header.Get("From"))
			require.Equal(t, "<ada@example.org>", got.Header.Get("To"))
			require.Equal(t, "=?UTF-8?q?Gr=C3=BC=C3=9Fe?=", got.Header.Get("Subject"))
			require.Equal(t, "Fri, 02 Jan 2026 03:04:05 +0000", got.Header.Get("Date"))
			require.Equal(t, "auto-generated", got.Header.Get("Auto-Submitted"))
			require.Regexp(t, `^<[0-9a-f]{32}@example.com>$`, got.Header.Get("Message-Id"))
			require.Equal(t, "text/plain; charset=UTF-8", got.Header.Get("Content-Type"))
			body, err := io.ReadAll(got.Body)
			require.NoError(t, err)
			require.Equal(t, hello().Text, strings.ReplaceAll(string(body), "\r\n", "\n"))
		})
	}
}

func TestSendFails(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	encrypted := []string{"--smtp-tls-cert", cert, "--smtp-tls-key", key}
	users := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(users, []byte("robot:pass-word\n"), 0o600))
	cases := map[string]struct {
		flags   []string
		adjust  func(*mail.Settings)
		want    string
		refused bool
	}{
		"when the password is wrong": {
			append([]string{"--smtp-auth-file", users}, encrypted...),
			func(s *mail.Settings) {
				s.TLS, s.CAFile, s.Username, s.Password = mail.StartTLS, cert, "robot", secret.From("not-the-password")
			},
			"535", false,
		},
		"when the certificate is not trusted (STARTTLS)": {
			encrypted, func(s *mail.Settings) { s.TLS = mail.StartTLS }, "certificate", false,
		},
		"when the certificate is not trusted (implicit)": {
			append([]string{"--smtp-require-tls"}, encrypted...), func(s *mail.Settings) { s.TLS = mail.Implicit }, "certificate", false,
		},
		"when the relay cannot encrypt": {
			nil, func(s *mail.Settings) { s.TLS = mail.StartTLS }, "STARTTLS", false,
		},
		"for good when the relay refuses the recipient": {
			[]string{"--smtp-allowed-recipients", "@example.com$"}, func(*mail.Settings) {}, "status 550", true,
		},
		"for now when the relay is busy": {
			[]string{"--chaos-triggers", "Recipient:451:100"}, func(*mail.Settings) {}, "status 451", false,
		},
		"for now when the relay refuses the sender": {
			[]string{"--chaos-triggers", "Sender:550:100"}, func(*mail.Settings) {}, "status 550", false,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startMailpit(t, tc.flags...)
			settings := settingsFor(server.port)
			tc.adjust(&settings)
			err := send(t, settings, hello())
			require.ErrorContains(t, err, tc.want)
			if tc.refused {
				require.ErrorIs(t, err, mail.ErrRefused)
			} else {
				require.NotErrorIs(t, err, mail.ErrRefused)
			}
			for _, private := range []string{"ada@", "Hello", "not-the-password"} {
				require.NotContains(t, err.Error(), private)
			}
			require.Empty(t, server.mails(t))
		})
	}
}

func TestSendFailsAtOnceWhenTheRelayIsDown(t *testing.T) {
	t.Parallel()
	err := send(t, settingsFor(1), hello()) // tcpmux: nobody serves it
	require.ErrorContains(t, err, "connection refused")
	require.NotErrorIs(t, err, mail.ErrRefused)
}

// hangingRelay answers the first lines it is sent, one for each reply, and then
// says no more. It reports when the client has gone.
func hangingRelay(t *testing.T, replies ...string) (port int, gone <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() }) // the goroutine ends with it
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for i, reply := range replies {
			if i > 0 {
				_, _ = in.ReadString('\n') // its end shows below
			}
			_, _ = io.WriteString(conn, reply) // likewise
		}
		_, _ = io.Copy(io.Discard, in)
	}()
	return ln.Addr().(*net.TCPAddr).Port, closed
}

func TestSendEndsWhenTheRelayHangs(t *testing.T) {
	t.Parallel()
	greeting, ok := "220 relay\r\n", "250 ok\r\n"
	cases := map[string]struct {
		tls     string
		replies []string
	}{
		"before its greeting":            {mail.NoTLS, nil},
		"in the middle of its answer":    {mail.NoTLS, []string{greeting, "250-relay\r\n250-"}},
		"at the encryption":              {mail.StartTLS, []string{greeting, "250-relay\r\n250 STARTTLS\r\n", "220 go\r\n"}},
		"at the encryption first of all": {mail.Implicit, nil},
		"at the recipient":               {mail.NoTLS, []string{greeting, ok, ok}},
		"after the content":              {mail.NoTLS, []string{greeting, ok, ok, ok, "354 go\r\n"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port, gone := hangingRelay(t, tc.replies...)
			settings := settingsFor(port)
			settings.TLS, settings.Timeout = tc.tls, 300*time.Millisecond
			err := send(t, settings, hello())
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, mail.ErrRefused)
			requireGone(t, gone)
		})
	}
}

func TestSendEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	port, gone := hangingRelay(t)
	sender, err := mail.NewSMTP(settingsFor(port), clock, rand.Reader)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, sender.Send(ctx, hello()), context.DeadlineExceeded)
	requireGone(t, gone)
}

func TestSendLeavesNoConnectionOpenAfterAFailedHandshake(t *testing.T) {
	t.Parallel()
	// It offers no STARTTLS, so the client gives up.
	port, gone := hangingRelay(t, "220 relay\r\n", "250 ok\r\n")
	settings := settingsFor(port)
	settings.TLS = mail.StartTLS
	require.ErrorContains(t, send(t, settings, hello()), "STARTTLS")
	requireGone(t, gone)
}

func requireGone(t *testing.T, gone <-chan struct{}) {
	t.Helper()
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		require.Fail(t, "the connection was left open")
	}
}

func TestSettingsThatAreNoGood(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		adjust func(*mail.Settings)
		want   string
	}{
		"no relay":                      {func(s *mail.Settings) { s.Host = "" }, "SMTP_HOST"},
		"port zero":                     {func(s *mail.Settings) { s.Port = 0 }, "SMTP_PORT"},
		"an unknown mode":               {func(s *mail.Settings) { s.TLS = "ssl" }, "SMTP_TLS"},
		"a password without encryption": {func(s *mail.Settings) { s.Username, s.Password = "robot", secret.From("hidden-content") }, "SMTP_TLS"},
		"a user without a password":     {func(s *mail.Settings) { s.TLS, s.Username = mail.StartTLS, "robot" }, "SMTP_PASSWORD"},
		"a password without a user":     {func(s *mail.Settings) { s.Password = secret.From("hidden-content") }, "SMTP_USERNAME"},
		"a sender that is no address":   {func(s *mail.Settings) { s.From = "nobody" }, "MAIL_FROM"},
		"no deadline":                   {func(s *mail.Settings) { s.Timeout = 0 }, "SMTP_TIMEOUT"},
		"no file of authorities":        {func(s *mail.Settings) { s.CAFile = "/nowhere" }, "SMTP_CA_FILE"},
		"no authority in the file":      {func(s *mail.Settings) { s.CAFile = "/dev/null" }, "SMTP_CA_FILE"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := settingsFor(25)
			tc.adjust(&settings)
			_, err := mail.NewSMTP(settings, clock, rand.Reader)
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "hidden-content")
		})
	}
}
