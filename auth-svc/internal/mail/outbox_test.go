package mail_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/auth-svc/internal/mail"
	"chatplatform.io/auth-svc/internal/secret"
)

func newOutbox(t *testing.T, keep int) (*mail.Outbox, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "outbox")
	now := clock()
	outbox, err := mail.NewOutbox(dir, "noreply@example.com", keep, func() time.Time {
		now = now.Add(time.Second)
		return now
	}, rand.Reader)
	require.NoError(t, err)
	return outbox, dir
}

func read(t *testing.T, dir string) []*netmail.Message {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	require.NoError(t, err)
	var mails []*netmail.Message
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		message, err := netmail.ReadMessage(strings.NewReader(string(content)))
		require.NoError(t, err)
		mails = append(mails, message)
	}
	return mails
}

func TestOutboxKeepsTheNewestMails(t *testing.T) {
	t.Parallel()
	outbox, dir := newOutbox(t, 3)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a note"), nil, 0o600))
	for i := range 5 {
		require.NoError(t, outbox.Send(t.Context(), mail.Message{To: "ada@example.org", Subject: fmt.Sprint("mail ", i), Text: "x\n"}))
	}
	var subjects []string
	for _, message := range read(t, dir) {
		subjects = append(subjects, message.Header.Get("Subject"))
	}
	require.Equal(t, []string{"mail 2", "mail 3", "mail 4"}, subjects)

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 4, "only mails are removed, and no temporary file stays")
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func TestOutboxWritesBothFormsOfAMail(t *testing.T) {
	t.Parallel()
	outbox, dir := newOutbox(t, 0)
	require.NoError(t, outbox.Send(t.Context(), mail.Message{To: "ada@example.org", Subject: "both", Text: "plain\n", HTML: "<p>rich</p>\n"}))
	mails := read(t, dir)
	require.Len(t, mails, 1)
	kind, parameters, err := mime.ParseMediaType(mails[0].Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	parts := multipart.NewReader(mails[0].Body, parameters["boundary"])
	for _, want := range []string{"plain\r\n", "<p>rich</p>\r\n"} {
		part, err := parts.NextPart()
		require.NoError(t, err)
		body, err := io.ReadAll(part)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(want), strings.TrimSpace(string(body)))
	}
}

func TestOutboxRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]mail.Message{
		"a header in the recipient":     {To: "ada@example.org\r\nBcc: eve@example.org", Subject: "x"},
		"two recipients":                {To: "ada@example.org, eve@example.org", Subject: "x"},
		"a name before the address":     {To: "Ada <ada@example.org>", Subject: "x"},
		"no recipient":                  {Subject: "x"},
		"a header in the subject":       {To: "ada@example.org", Subject: "x\r\nBcc: eve@example.org"},
		"a bare newline in the subject": {To: "ada@example.org", Subject: "x\nBcc: eve@example.org"},
	}
	for name, message := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outbox, dir := newOutbox(t, 0)
			require.ErrorIs(t, outbox.Send(t.Context(), message), mail.ErrRefused)
			require.Empty(t, read(t, dir))
		})
	}
}

func TestOutboxEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	outbox, dir := newOutbox(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, outbox.Send(ctx, hello()), context.Canceled)
	require.Empty(t, read(t, dir))
}

// Whatever stands in the fields, the mail has the headers we gave it and no
// others.
func TestNoFieldAddsAHeader(t *testing.T) {
	t.Parallel()
	outbox, dir := newOutbox(t, 1)
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z@.\r\n:<>, ]{0,80}`), rapid.StringMatching(`[a-z.+é]{1,20}@[a-z.é]{1,20}`))
		message := mail.Message{
			To: text.Draw(r, "to"), Subject: text.Draw(r, "subject"),
			Text: text.Draw(r, "text"),
		}
		if err := outbox.Send(t.Context(), message); err != nil {
			require.ErrorIs(r, err, mail.ErrRefused)
			return
		}
		mails := read(t, dir)
		require.Len(r, mails, 1)
		for name, values := range mails[0].Header {
			require.Contains(r, []string{
				"From", "To", "Subject", "Date", "Message-Id", "Auto-Submitted",
				"Mime-Version", "Content-Type", "Content-Transfer-Encoding",
			}, name)
			require.Len(r, values, 1)
		}
		to, err := mails[0].Header.AddressList("To")
		require.NoError(r, err)
		require.Len(r, to, 1)
		require.Equal(r, message.To, to[0].Address)
		body := mails[0].Body
		if mails[0].Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(body)
		}
		got, err := io.ReadAll(body)
		require.NoError(r, err)
		lines := strings.NewReplacer("\r\n", "\n", "\r", "\n")
		require.Equal(r, lines.Replace(message.Text), lines.Replace(string(got)))
	})
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		address string
		want    bool
	}{
		"plain":               {"ada@example.org", true},
		"with a plus":         {"ada+chat@example.org", true},
		"of this machine":     {"root@localhost", true},
		"beyond ASCII":        {"jürgen@exämple.org", true},
		"the longest":         {strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 61), true},
		"one byte too long":   {strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 62), false},
		"empty":               {"", false},
		"without a domain":    {"ada", false},
		"without a person":    {"@example.org", false},
		"with a name":         {"Ada <ada@example.org>", false},
		"in brackets":         {"<ada@example.org>", false},
		"quoted":              {`"ada l"@example.org`, false},
		"an address literal":  {"ada@[127.0.0.1]", false},
		"two":                 {"ada@example.org,eve@example.org", false},
		"with a space behind": {"ada@example.org ", false},
		"with a newline":      {"ada@example.org\n", false},
		"with a NUL":          {"ada\x00@example.org", false},
		"turning the writing": {"ada\u202e@example.org", false},
		"not UTF-8":           {"ada\xff@example.org", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, mail.CheckAddress(tc.address))
		})
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 1, 3, 4, 5, 0, 0, time.FixedZone("", 3600))
	cases := map[string]struct {
		message mail.Message
		want    []string
	}{
		"verification": {
			mail.Verification("ada@example.org", "https://chat.example.com/", "my-agent", secret.From("ev_Token"), until),
			[]string{"\nhttps://chat.example.com/api/auth/verify-email#token=ev_Token\n", `"my-agent"`, "3 January 2026, 03:05 UTC"},
		},
		"recovery": {
			mail.Recovery("ada@example.org", "https://chat.example.com", "agt_x", "my-agent", secret.From("0123-4567-89AB-CDEF"), until),
			[]string{"\n    0123-4567-89AB-CDEF\n", `"my-agent"`, "POST https://chat.example.com/api/auth/recover/confirm\n",
				`{"agent_id":"agt_x","code":"0123-4567-89AB-CDEF"}`, "3 January 2026, 03:05 UTC"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, "ada@example.org", tc.message.To)
			outbox, dir := newOutbox(t, 0)
			require.NoError(t, outbox.Send(t.Context(), tc.message))
			body, err := io.ReadAll(read(t, dir)[0].Body)
			require.NoError(t, err)
			// The raw mail holds the link whole, for whoever copies it from there.
			require.NotContains(t, strings.ReplaceAll(string(body), "\r\n", ""), "\n")
			for _, want := range tc.want {
				require.Contains(t, strings.ReplaceAll(string(body), "\r\n", "\n"), want)
			}
			var shown strings.Builder
			fmt.Fprintf(&shown, "%v %+v %#v %s %q", tc.message, tc.message, tc.message, tc.message, tc.message)
			slog.New(slog.NewJSONHandler(&shown, nil)).Info("sent", "mail", tc.message)
			require.NotContains(t, shown.String(), "Token")
			require.NotContains(t, shown.String(), "89AB")
			require.NotContains(t, shown.String(), "ada@")
		})
	}
}
