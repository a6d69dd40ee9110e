package authsvc_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/svctest"
)

// put writes a file of a mounted folder, whole or not at all.
func put(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	fresh := filepath.Join(dir, ".put-"+name)
	require.NoError(t, os.WriteFile(fresh, content, 0o600))
	require.NoError(t, os.Rename(fresh, filepath.Join(dir, name)))
}

// addKey adds a signing key; without a file active, the last name signs.
func (w *world) addKey(t *testing.T, kid string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	put(t, w.config.SigningKeysDir, kid+".pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// kids are the keys in the folder.
func (w *world) kids(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(w.config.SigningKeysDir)
	require.NoError(t, err)
	var kids []string
	for _, entry := range entries {
		if kid, ok := strings.CutSuffix(entry.Name(), ".pem"); ok {
			kids = append(kids, kid)
		}
	}
	return kids
}

// published are the keys in a server's key set.
func (d *door) published(t *testing.T) []string {
	t.Helper()
	var kids []string
	for _, key := range d.Call(t, http.MethodGet, "/.well-known/jwks.json", nil).Get("keys").([]any) {
		kids = append(kids, key.(map[string]any)["kid"].(string))
	}
	return kids
}

// signs is the key that signs a server's tokens now.
func (d *door) signs(t *testing.T, a agent) string {
	t.Helper()
	kid, _ := parts(t, d.newToken(t, a))["kid"].(string)
	return kid
}

// parts are the header and the claims of a token in one map.
func parts(t *testing.T, raw string) map[string]any {
	t.Helper()
	both := map[string]any{}
	for _, part := range strings.Split(raw, ".")[:2] {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(decoded, &both))
	}
	return both
}

// underLoad runs programs that exchange and use tokens all the time, against
// both servers, while change happens, and holds that none was ever refused.
func underLoad(t *testing.T, doors []*door, change func()) {
	t.Helper()
	const programs = 4
	var refusals, uses atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	for i := range programs {
		a := doors[0].newAgent(t)
		running.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				issuer, user := doors[(i+round)%len(doors)], doors[(i+round+1)%len(doors)]
				r := issuer.exchange(t, a)
				a.token = r.Text("access_token")
				statuses := []int{
					r.Status, user.me(t, a.token), issuer.me(t, a.token),
					user.Call(t, http.MethodPost, "/api/auth/refresh", nil, a.bearer()).Status,
				}
				uses.Add(1)
				for _, status := range statuses {
					if status != http.StatusOK {
						refusals.Add(1)
					}
				}
			}
		})
	}
	change()
	stop()
	running.Wait()
	require.Zero(t, refusals.Load())
	require.Greater(t, uses.Load(), int64(20))
	t.Logf("%d rounds, no refusal", uses.Load())
}

func TestSigningKeysRotateUnderLoad(t *testing.T) {
	t.Parallel()
	const life = 3 * time.Second
	w := newWorld(t, func(c *authsvc.Config) { c.TokenTTL = life })
	doors := []*door{w.open(t), w.open(t)}
	f := w.follow(t, doors[1].internal)
	a := doors[0].newAgent(t)
	everywhere := func(what string, so func(d *door) bool) {
		t.Helper()
		soon(t, what, func() bool { return so(doors[0]) && so(doors[1]) })
	}
	first := w.kids(t)[0]
	underLoad(t, doors, func() {
		put(t, w.config.SigningKeysDir, "active", []byte(first))
		everywhere("the first key signs by name", func(d *door) bool { return d.signs(t, a) == first })
		w.addKey(t, "z-second")
		everywhere("both keys are published", func(d *door) bool { return len(d.published(t)) == 2 })
		require.Equal(t, first, doors[0].signs(t, a), "a key that was added does not sign yet")
		last := doors[0].newToken(t, a)
		require.True(t, f.takes(t, last))

		put(t, w.config.SigningKeysDir, "active", []byte("z-second\n"))
		everywhere("the second key signs", func(d *door) bool { return d.signs(t, a) == "z-second" })
		require.Equal(t, http.StatusOK, doors[1].me(t, doors[0].newToken(t, a)))
		soon(t, "another service takes it", func() bool { return f.takes(t, doors[0].newToken(t, a)) })

		soon(t, "the last token of the first key has ended", func() bool { return doors[0].me(t, last) == http.StatusUnauthorized })
		require.NoError(t, os.Remove(filepath.Join(w.config.SigningKeysDir, first+".pem")))
		everywhere("the first key is gone", func(d *door) bool { return !slices.Contains(d.published(t), first) })
	})
}

func TestTokensEndWithTheirSigningKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.newAgent(t)
	first := w.kids(t)[0]
	w.addKey(t, "z-second")
	soon(t, "the second key signs", func() bool { return d.signs(t, a) == "z-second" })
	require.Equal(t, http.StatusOK, d.me(t, a.token))
	require.NoError(t, os.Remove(filepath.Join(w.config.SigningKeysDir, first+".pem")))
	soon(t, "a token of a key that was taken away is refused", func() bool { return d.me(t, a.token) == http.StatusUnauthorized })
}

func TestABrokenFolderOfKeysIsNotTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.newAgent(t)
	put(t, w.config.SigningKeysDir, "z-broken.pem", []byte("-----BEGIN PRIVATE KEY-----\nSECRETLOOKING\n-----END PRIVATE KEY-----\n"))
	soon(t, "the refusal is counted", func() bool {
		return strings.Contains(string(send(t, http.MethodGet, d.internal+"/metrics", nil).Body),
			`auth_secret_reloads_total{folder="signing_keys",result="refused"} 1`)
	})
	require.Equal(t, http.StatusOK, d.me(t, d.newToken(t, a)))
	require.False(t, w.logs.Contains("SECRETLOOKING"))
}

func TestPeppersRotateUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	doors := []*door{w.open(t), w.open(t)}
	before := doors[0].newAgent(t)
	reloaded := func(n string) func() bool {
		return func() bool {
			for _, d := range doors {
				if !strings.Contains(string(send(t, http.MethodGet, d.internal+"/metrics", nil).Body),
					`auth_secret_reloads_total{folder="peppers",result="taken"} `+n) {
					return false
				}
			}
			return true
		}
	}
	var between agent
	underLoad(t, doors, func() {
		// The new pepper reaches every server before the first hash needs it.
		put(t, w.config.PeppersDir, "active", []byte("1"))
		soon(t, "the first pepper is named", reloaded("1"))
		put(t, w.config.PeppersDir, "2", []byte(strings.Repeat("p", 32)))
		soon(t, "the second pepper is known", reloaded("2"))
		put(t, w.config.PeppersDir, "active", []byte("2"))
		soon(t, "the second pepper is used", reloaded("3"))
		between = doors[0].newAgent(t)
	})
	for _, a := range []agent{before, between} {
		require.Equal(t, http.StatusOK, doors[1].exchange(t, a).Status)
		require.Equal(t, http.StatusOK, doors[1].Call(t, http.MethodGet, a.path(), nil, a.owner()).Status)
	}
	require.NoError(t, os.Remove(filepath.Join(w.config.PeppersDir, "1")))
	soon(t, "the first pepper is gone", reloaded("4"))
	require.Equal(t, http.StatusOK, doors[1].exchange(t, between).Status)
	refused(t, doors[1].exchange(t, before), http.StatusUnauthorized, "UNAUTHORIZED")
}

func TestServiceCredentialsRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	old, fresh := w.credential(t, caller), strings.Repeat("n", 40)
	body := map[string]any{"grant_type": "client_credentials", "audience": "auth-svc"}
	works := func(secret string) func() bool {
		return func() bool { return d.serviceToken(t, body, basic(caller, secret)).Status == http.StatusOK }
	}
	put(t, w.config.ServiceCredentialsDir, caller, []byte(old+"\n"+fresh+"\n"))
	soon(t, "the new credential works", works(fresh))
	require.True(t, works(old)(), "the old one still does")
	put(t, w.config.ServiceCredentialsDir, caller, []byte(fresh))
	soon(t, "the old one does not", func() bool { return !works(old)() })
	require.True(t, works(fresh)())
}

func TestTokensSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.newAgent(t, "messages:read", "llm:chat")
	said := parts(t, a.token)
	require.Equal(t, "EdDSA", said["alg"])
	require.Equal(t, "at+jwt", said["typ"])
	require.Equal(t, w.kids(t)[0], said["kid"])
	require.Equal(t, w.config.Issuer, said["iss"])
	require.Equal(t, []any{w.config.Audience}, said["aud"])
	require.Equal(t, a.id, said["sub"])
	require.Equal(t, a.keyID, said["client_id"])
	require.Equal(t, "messages:read llm:chat", said["scope"])
	require.NotEmpty(t, said["jti"])
	require.NotEqual(t, said["jti"], parts(t, d.newToken(t, a))["jti"])
	require.Equal(t, said["iat"], said["nbf"])
	require.Equal(t, said["iat"], said["auth_time"])
	require.EqualValues(t, 900, said["exp"].(float64)-said["iat"].(float64))

	w.clock.Advance(time.Minute)
	r := d.Call(t, http.MethodPost, "/api/auth/refresh", nil, svctest.WithBearer(a.token))
	fresh := parts(t, r.Text("access_token"))
	require.Equal(t, said["auth_time"], fresh["auth_time"], "a renewal keeps when the key was presented")
	require.Greater(t, fresh["iat"], said["iat"])
}
