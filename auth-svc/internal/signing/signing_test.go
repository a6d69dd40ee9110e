package signing_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chatplatform.io/auth-svc/internal/folder"
	"chatplatform.io/auth-svc/internal/signing"
	"chatplatform.io/svckit/token"
)

const soon = 30 * time.Second // generous: reached only when a test fails

var quick = folder.Options{Logger: slog.New(slog.DiscardHandler), Every: time.Millisecond}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// private is the key of a name, the same every time.
func private(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func encode(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		require.NoError(t, folder.Replace(dir, name, []byte(content)))
	}
}

func open(t *testing.T, dir string) *signing.Keys {
	t.Helper()
	keys, err := signing.Open(dir, "SIGNING_KEYS_DIR", quick)
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	return keys
}

// kidOf signs and tells, after verifying against the published key, the kid.
func kidOf(t *testing.T, keys *signing.Keys) string {
	t.Helper()
	raw, err := keys.Sign(jwt.RegisteredClaims{Subject: "agt_x"})
	require.NoError(t, err)
	published, err := token.ParseKeys(strings.NewReader(string(keys.JWKS().Body)))
	require.NoError(t, err)
	parsed, err := jwt.Parse(raw, func(t *jwt.Token) (any, error) {
		return published[t.Header["kid"].(string)], nil
	}, jwt.WithValidMethods([]string{"EdDSA"}))
	require.NoError(t, err)
	require.Equal(t, "at+jwt", parsed.Header["typ"])
	subject, err := parsed.Claims.GetSubject()
	require.NoError(t, err)
	require.Equal(t, "agt_x", subject)
	return parsed.Header["kid"].(string)
}

func TestTheRightKeySigns(t *testing.T) {
	t.Parallel()
	a, b := encode(t, private("a")), encode(t, private("b"))
	cases := map[string]struct {
		files map[string]string
		want  string
	}{
		"the only one":          {map[string]string{"a.pem": a}, "a"},
		"the last name":         {map[string]string{"a.pem": a, "b.pem": b}, "b"},
		"the one in active":     {map[string]string{"a.pem": a, "b.pem": b, "active": "a\n"}, "a"},
		"a kid with every sign": {map[string]string{"2026-11.x_1.pem": a}, "2026-11.x_1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lay(t, dir, tc.files)
			require.Equal(t, tc.want, kidOf(t, open(t, dir)))
		})
	}
}

func TestKeySetDocument(t *testing.T) {
	t.Parallel()
	// The key of RFC 8037 appendix A.
	seed := []byte{
		0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
		0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
	}
	dir := t.TempDir()
	lay(t, dir, map[string]string{"one.pem": encode(t, ed25519.NewKeyFromSeed(seed))})
	keys := open(t, dir)
	document := keys.JWKS()
	require.JSONEq(t, `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"one",
		"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, string(document.Body))
	require.Regexp(t, `^"[A-Za-z0-9_-]{22}"$`, document.ETag)
	require.Equal(t, document, keys.JWKS())

	key, err := keys.Key(t.Context(), "one")
	require.NoError(t, err)
	require.Equal(t, ed25519.NewKeyFromSeed(seed).Public(), key)
	_, err = keys.Key(t.Context(), "two")
	require.ErrorIs(t, err, token.ErrUnknownKey)
}

func TestRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"a.pem": encode(t, private("a")), "active": "a"})
	keys := open(t, dir)
	before := keys.JWKS()

	lay(t, dir, map[string]string{"b.pem": encode(t, private("b"))})
	require.Eventually(t, func() bool { return keys.JWKS().ETag != before.ETag }, soon, time.Millisecond)
	require.Equal(t, "a", kidOf(t, keys), "a key is published before it signs")

	lay(t, dir, map[string]string{"active": "b"})
	require.Eventually(t, func() bool { return kidOf(t, keys) == "b" }, soon, time.Millisecond)
	_, err := keys.Key(t.Context(), "a")
	require.NoError(t, err, "the old key must verify until it is taken away")

	require.NoError(t, os.Remove(filepath.Join(dir, "a.pem")))
	require.Eventually(t, func() bool {
		_, err := keys.Key(t.Context(), "a")
		return err != nil
	}, soon, time.Millisecond)
}

func TestBrokenFolderIsRefusedAndTheLastGoodStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"a.pem": encode(t, private("a"))})
	refused := make(chan error, 1)
	options := quick
	options.Reloaded = func(err error) { refused <- err }
	keys, err := signing.Open(dir, "SIGNING_KEYS_DIR", options)
	require.NoError(t, err)
	t.Cleanup(keys.Close)

	lay(t, dir, map[string]string{"b.pem": "garbage"})
	select {
	case err := <-refused:
		require.ErrorContains(t, err, `"b.pem"`)
	case <-time.After(soon):
		require.Fail(t, "the broken key was not told of")
	}
	require.Equal(t, "a", kidOf(t, keys))
}

func TestFolderThatIsNoGood(t *testing.T) {
	t.Parallel()
	good := encode(t, private("a"))
	elliptic256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	many := map[string]string{}
	for i := range 17 {
		many[strconv.Itoa(i)+".pem"] = good
	}
	cases := map[string]struct {
		files map[string]string
		want  string
	}{
		"empty":              {nil, "openssl genpkey -algorithm ed25519"},
		"only active":        {map[string]string{"active": "a"}, "openssl genpkey"},
		"not PEM":            {map[string]string{"a.pem": "hidden-content"}, `"a.pem": no PEM block`},
		"a public key":       {map[string]string{"a.pem": strings.ReplaceAll(good, "PRIVATE", "PUBLIC")}, "no PEM block"},
		"a broken block":     {map[string]string{"a.pem": "-----BEGIN PRIVATE KEY-----\naGlkZGVu\n-----END PRIVATE KEY-----\n"}, "not a PKCS#8"},
		"another algorithm":  {map[string]string{"a.pem": encode(t, elliptic256)}, "Ed25519 is needed"},
		"two keys in a file": {map[string]string{"a.pem": good + good}, "more than one"},
		"another file":       {map[string]string{"a.pem": good, "notes.txt": "hidden-content"}, `"notes.txt"`},
		"a bad kid":          {map[string]string{"a b.pem": good}, `"a b.pem"`},
		"too long a kid":     {map[string]string{"-----------------------------------------------------------------.pem": good}, "neither"},
		"active names none":  {map[string]string{"a.pem": good, "active": "hidden-content"}, "active"},
		"too many keys":      {many, "more than 16 keys"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lay(t, dir, tc.files)
			_, err := signing.Open(dir, "SIGNING_KEYS_DIR", quick)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "SIGNING_KEYS_DIR="+dir)
			require.NotContains(t, err.Error(), "hidden-content")
		})
	}
	_, err = signing.Open("/nowhere/at/all", "SIGNING_KEYS_DIR", quick)
	require.ErrorContains(t, err, "SIGNING_KEYS_DIR=/nowhere/at/all")
	require.ErrorContains(t, err, "openssl genpkey")
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	require.NoError(t, signing.Generate(dir, rand.Reader, now))
	first := kidOf(t, open(t, dir))
	require.Regexp(t, `^20260102T020405Z-[0-9a-f]{8}$`, first)

	require.NoError(t, signing.Generate(dir, rand.Reader, now.Add(time.Hour)))
	files, err := folder.Read(dir)
	require.NoError(t, err)
	require.Equal(t, []string{first + ".pem"}, files.Names(), "a second start must not add a key")
	info, err := os.Stat(filepath.Join(dir, first+".pem"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.Error(t, signing.Generate(t.TempDir(), strings.NewReader("short"), now))
}

func FuzzFolder(f *testing.F) {
	f.Add("a.pem", encode(f, private("a")), "a")
	f.Add("a.pem", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", "")
	f.Add(".pem", "", "x")
	f.Fuzz(func(t *testing.T, name, content, active string) {
		dir := t.TempDir()
		if os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(content), 0o600) != nil {
			return // no file can have that name
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "active"), []byte(active), 0o600))
		keys, err := signing.Open(dir, "SIGNING_KEYS_DIR", quick)
		if err != nil {
			return
		}
		defer keys.Close()
		kidOf(t, keys)
		require.True(t, json.Valid(keys.JWKS().Body))
	})
}
