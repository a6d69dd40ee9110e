package secret_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/internal/folder"
	"chatplatform.io/auth-svc/internal/secret"
)

const soon = 30 * time.Second // generous: reached only when a test fails

var quick = folder.Options{Logger: slog.New(slog.DiscardHandler), Every: time.Millisecond}

func pepperText(version int) string { return strings.Repeat(strconv.Itoa(version), 32) }

func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		require.NoError(t, folder.Replace(dir, name, []byte(content)))
	}
}

func openPeppers(t *testing.T, dir string) *secret.Peppers {
	t.Helper()
	peppers, err := secret.OpenPeppers(dir, "PEPPER_DIR", quick)
	require.NoError(t, err)
	t.Cleanup(peppers.Close)
	return peppers
}

func TestHashIsHMACUnderTheRightPepper(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		files       map[string]string
		wantVersion int
		wantKey     string
	}{
		"one version":                    {map[string]string{"1": pepperText(1)}, 1, pepperText(1)},
		"the highest, not the last name": {map[string]string{"9": pepperText(9), "10": pepperText(10)}, 10, pepperText(10)},
		"the one that active names":      {map[string]string{"1": pepperText(1), "2": pepperText(2), "active": "1\n"}, 1, pepperText(1)},
		"one newline is trimmed":         {map[string]string{"1": pepperText(1) + "\n\n"}, 1, pepperText(1) + "\n"},
		"any bytes":                      {map[string]string{"1": strings.Repeat("\x00\xff", 16)}, 1, strings.Repeat("\x00\xff", 16)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lay(t, dir, tc.files)
			got := openPeppers(t, dir).Hash(secret.From("sk_x"))
			mac := hmac.New(sha256.New, []byte(tc.wantKey))
			mac.Write([]byte("sk_x"))
			require.Equal(t, secret.Hashed{Hash: mac.Sum(nil), Version: tc.wantVersion}, got)
		})
	}
}

func TestPepperRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"1": pepperText(1)})
	peppers := openPeppers(t, dir)
	s := secret.From("rk_x")
	old := peppers.Hash(s)

	lay(t, dir, map[string]string{"2": pepperText(2)})
	require.Eventually(t, func() bool { return peppers.Hash(s).Version == 2 }, soon, time.Millisecond)
	require.True(t, peppers.Verify(s, old), "an older version must still verify")
	newest := peppers.Hash(s)
	require.Equal(t, 2, newest.Version)
	require.Equal(t, []secret.Hashed{newest, old}, peppers.Candidates(s))

	require.NoError(t, os.Remove(filepath.Join(dir, "1")))
	require.Eventually(t, func() bool { return !peppers.Verify(s, old) }, soon, time.Millisecond)
	require.Equal(t, []secret.Hashed{newest}, peppers.Candidates(s))
}

func TestVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"1": pepperText(1), "2": pepperText(2)})
	peppers := openPeppers(t, dir)
	s := secret.From("sk_right")
	right := peppers.Hash(s)
	cases := map[string]struct {
		given  secret.Secret
		stored secret.Hashed
		want   bool
	}{
		"the right secret":         {s, right, true},
		"another secret":           {secret.From("sk_wrong"), right, false},
		"nothing":                  {secret.Secret{}, right, false},
		"the hash of no account":   {s, secret.Hashed{}, false},
		"a version that is gone":   {s, secret.Hashed{Hash: right.Hash, Version: 7}, false},
		"another version's number": {s, secret.Hashed{Hash: right.Hash, Version: 1}, false},
		"a hash cut short":         {s, secret.Hashed{Hash: right.Hash[:31], Version: 2}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, peppers.Verify(tc.given, tc.stored))
		})
	}
}

func TestPepperFolderThatIsNoGood(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		files map[string]string
		want  []string
	}{
		"empty":                  {nil, []string{"PEPPER_DIR", "holds no file", "openssl rand -hex 32"}},
		"too short":              {map[string]string{"1": "hidden-content"}, []string{"pepper 1 has 14 bytes", "at least 32"}},
		"name with leading zero": {map[string]string{"01": pepperText(1)}, []string{`"01"`, "version"}},
		"version zero":           {map[string]string{"0": pepperText(1)}, []string{"version"}},
		"not a number":           {map[string]string{"pepper.txt": pepperText(1)}, []string{`"pepper.txt"`}},
		"active names none":      {map[string]string{"1": pepperText(1), "active": "hidden-content"}, []string{"active"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lay(t, dir, tc.files)
			_, err := secret.OpenPeppers(dir, "PEPPER_DIR", quick)
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "hidden-content")
		})
	}
	_, err := secret.OpenPeppers("/nowhere/at/all", "PEPPER_DIR", quick)
	require.ErrorContains(t, err, "PEPPER_DIR=/nowhere/at/all")
	require.ErrorContains(t, err, "openssl rand")
}

func TestGeneratePepper(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pepper")
	require.NoError(t, secret.GeneratePepper(dir, rand.Reader))
	made, err := folder.Read(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"1"}, made.Names())
	openPeppers(t, dir)

	require.NoError(t, secret.GeneratePepper(dir, rand.Reader))
	again, err := folder.Read(dir)
	require.NoError(t, err)
	require.Equal(t, made, again, "a second start must not change the pepper")

	require.Error(t, secret.GeneratePepper(t.TempDir(), strings.NewReader("short")))
}
