package chatsvc_test

import (
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/svckit/token"
)

const issuer = "https://chat.test"

// An auth answers as auth-svc's internal door does: services are built and
// deployed apart, so chat-svc's tests cannot open the real one. Every account
// id exists but those that begin with agt_9; those that begin with agt_8 were
// deleted. The others are called name- and the digits of their id.
type auth struct {
	*httptest.Server
	secretFile string
	key        ed25519.PrivateKey
	issued     atomic.Int64
	lookups    atomic.Int64  // calls that asked for accounts
	life       time.Duration // of the tokens
	away       atomic.Bool
	slow       atomic.Pointer[chan struct{}] // what those wait for, when it is set

	mu      sync.Mutex
	changes []accounts.Change
	shown   map[string]string // the display names that were chosen, by id
	epoch   string
	told    chan struct{} // closed when there is another change
}

func newAuth(t *testing.T) *auth {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	a := &auth{
		key: key, life: 15 * time.Minute, secretFile: filepath.Join(t.TempDir(), "secret"), shown: map[string]string{}, epoch: "first", told: make(chan struct{}),
	}
	require.NoError(t, os.WriteFile(a.secretFile, []byte("secret"), 0o600))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/jwks.json", a.serveKeys)
	mux.HandleFunc("POST /internal/token", a.serveToken)
	mux.HandleFunc("POST /internal/accounts", a.serveAccounts)
	mux.HandleFunc("GET /internal/changes", a.serveChanges)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.away.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *auth) serveKeys(w http.ResponseWriter, _ *http.Request) {
	x := base64.RawURLEncoding.EncodeToString(a.key.Public().(ed25519.PublicKey))
	_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":%q}]}`, x)
}

func (a *auth) serveToken(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprint(w, `{"access_token":"service","expires_in":900}`)
}

func (a *auth) serveAccounts(w http.ResponseWriter, r *http.Request) {
	var asked accounts.LookupRequest
	if json.NewDecoder(r.Body).Decode(&asked) != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	a.lookups.Add(1)
	if slow := a.slow.Load(); slow != nil {
		<-*slow
	}
	ids := asked.IDs
	for _, name := range asked.Names {
		if number, ok := strings.CutPrefix(name, "name-"); ok {
			ids = append(ids, "agt_"+number)
		}
	}
	answer := accounts.LookupAnswer{}
	for _, id := range ids {
		if !strings.HasPrefix(id, "agt_9") {
			name := "name-" + id[4:]
			answer.Accounts = append(answer.Accounts, accounts.Account{
				ID: id, Name: name, Kind: "agent", DisplayName: cmp.Or(a.chosen(id), name), Deleted: strings.HasPrefix(id, "agt_8"),
			})
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *auth) chosen(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shown[id]
}

// rename has an account choose a display name.
func (a *auth) rename(id, display string) {
	a.mu.Lock()
	a.shown[id] = display
	a.mu.Unlock()
	a.tell(accounts.Change{Kind: accounts.AccountUpdated, AccountID: id})
}

// serveChanges has a feed of positions from 1 on, all of them lately.
func (a *auth) serveChanges(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	wait, _ := strconv.Atoi(query.Get("wait"))
	after, _ := strconv.Atoi(query.Get("after")) // none with since
	deadline := time.After(time.Duration(wait) * time.Second)
	for {
		a.mu.Lock()
		told, refused := a.told, after > len(a.changes) || query.Get("epoch") != "" && query.Get("epoch") != a.epoch
		a.mu.Unlock()
		if refused {
			http.Error(w, `{"error":{"code":"INVALID_CURSOR"}}`, http.StatusBadRequest)
			return
		}
		if answer := a.after(after); len(answer.Changes) > 0 || wait == 0 {
			_ = json.NewEncoder(w).Encode(answer)
			return
		}
		select {
		case <-told:
		case <-deadline:
			wait = 0
		case <-r.Context().Done():
			return
		}
	}
}

func (a *auth) after(position int) accounts.ChangesAnswer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return accounts.ChangesAnswer{Epoch: a.epoch, Changes: slices.Clone(a.changes[position:]), Position: int64(len(a.changes))}
}

// tell appends a change to the feed.
func (a *auth) tell(change accounts.Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change.Position, change.At = int64(len(a.changes)+1), time.Now()
	a.changes = append(a.changes, change)
	close(a.told)
	a.told = make(chan struct{})
}

// restore begins a feed of another epoch.
func (a *auth) restore() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes, a.epoch = nil, "second"
}

// token signs an access token; without scopes it has those of a default key.
func (a *auth) token(t *testing.T, account string, scopes ...string) string {
	t.Helper()
	if len(scopes) == 0 {
		scopes = token.DefaultScopes()
	}
	now := time.Now()
	before := now.Add(-time.Hour).Unix() // tests put clocks back, and stop them
	signed := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": issuer, "aud": "chatplatform", "sub": account, "client_id": "aky_" + account[4:],
		"scope": strings.Join(scopes, " "), "jti": fmt.Sprint(a.issued.Add(1)),
		"iat": before, "nbf": before, "exp": now.Add(a.life).Unix(),
	})
	signed.Header["typ"], signed.Header["kid"] = token.Type, "k1"
	raw, err := signed.SignedString(a.key)
	require.NoError(t, err)
	return raw
}
