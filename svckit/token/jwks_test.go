package token_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

// A publisher serves a key set and counts how often it was fetched.
type publisher struct {
	*httptest.Server
	fetches atomic.Int64
	status  atomic.Int64
	mu      sync.Mutex
	body    string
	hold    chan struct{} // when set, a fetch waits for it
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{}
	p.status.Store(http.StatusOK)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		p.mu.Lock()
		body, hold := p.body, p.hold
		p.mu.Unlock()
		if hold != nil {
			<-hold
		}
		w.WriteHeader(int(p.status.Load()))
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) publish(keys map[string]ed25519.PublicKey) {
	var set []map[string]string
	for kid, key := range keys {
		set = append(set, map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64.RawURLEncoding.EncodeToString(key)})
	}
	raw, err := json.Marshal(map[string]any{"keys": set})
	if err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body = string(raw)
}

func TestKeysAreFetchedWhenNeeded(t *testing.T) {
	t.Parallel()
	m, p := newMint(t), newPublisher(t)
	p.publish(map[string]ed25519.PublicKey{"first": m.keys.known["first"]})
	clock := svctest.NewClock()
	source := token.NewJWKS(p.URL, p.Client(), clock.Now)
	require.Zero(t, p.fetches.Load(), "nothing is fetched before it is needed")

	for range 10 {
		key, err := source.Key(t.Context(), "first")
		require.NoError(t, err)
		require.Equal(t, m.keys.known["first"], key)
	}
	require.EqualValues(t, 1, p.fetches.Load())

	for range 10 {
		_, err := source.Key(t.Context(), "second")
		require.ErrorIs(t, err, token.ErrUnknownKey)
	}
	require.EqualValues(t, 1, p.fetches.Load(), "unknown keys cause a fetch once a second at most")

	p.publish(m.keys.known)
	clock.Advance(time.Second)
	_, err := source.Key(t.Context(), "second")
	require.NoError(t, err, "a key that was published meanwhile is found")
	require.EqualValues(t, 2, p.fetches.Load())

	p.publish(map[string]ed25519.PublicKey{"second": m.keys.known["second"]})
	clock.Advance(time.Minute)
	_, err = source.Key(t.Context(), "first")
	require.ErrorIs(t, err, token.ErrUnknownKey, "a key that was taken back is forgotten within a minute")
}

func TestKeysStayWhenThePublisherIsAway(t *testing.T) {
	t.Parallel()
	for outcome, fail := range map[string]func(p *publisher){
		"an error status": func(p *publisher) { p.status.Store(http.StatusServiceUnavailable) },
		"no server":       func(p *publisher) { p.Close() },
		"no JSON": func(p *publisher) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.body = "<html>"
		},
		"an answer without end": func(p *publisher) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.body = `{"keys":[` + strings.Repeat(" ", 1<<20)
		},
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			m, p := newMint(t), newPublisher(t)
			p.publish(m.keys.known)
			clock := svctest.NewClock()
			source := token.NewJWKS(p.URL, p.Client(), clock.Now)
			_, err := source.Key(t.Context(), "first")
			require.NoError(t, err)
			fail(p)
			for range 3 {
				clock.Advance(time.Hour)
				_, err = source.Key(t.Context(), "first")
				require.NoError(t, err)
				_, err = source.Key(t.Context(), "third")
				require.Error(t, err)
				require.NotErrorIs(t, err, token.ErrUnknownKey, "whether it exists cannot be known")
			}
		})
	}
}

func TestKnownKeysDoNotWaitForAFetch(t *testing.T) {
	t.Parallel()
	m, p := newMint(t), newPublisher(t)
	p.publish(m.keys.known)
	clock := svctest.NewClock()
	source := token.NewJWKS(p.URL, p.Client(), clock.Now)
	_, err := source.Key(t.Context(), "first")
	require.NoError(t, err)

	hold := make(chan struct{})
	p.mu.Lock()
	p.hold = hold
	p.mu.Unlock()
	clock.Advance(2 * time.Second)
	waited := make(chan error)
	go func() {
		_, err := source.Key(t.Context(), "third")
		waited <- err
	}()
	require.Eventually(t, func() bool { return p.fetches.Load() == 2 }, 30*time.Second, time.Millisecond)
	clock.Advance(time.Hour)
	_, err = source.Key(t.Context(), "first")
	require.NoError(t, err)
	close(hold)
	require.ErrorIs(t, <-waited, token.ErrUnknownKey)
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	tests := map[string]struct {
		set  string
		kids []string
		bad  bool
	}{
		"one key":                  {`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"` + x + `"}]}`, []string{"a"}, false},
		"no key":                   {`{"keys":[]}`, nil, false},
		"other kinds are left out": {`{"keys":[{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","kid":"e","x":"` + x + `"},{"kty":"OKP","crv":"X25519","kid":"x","x":"` + x + `"}]}`, nil, false},
		"a short key is left out":  {`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AQAB"}]}`, nil, false},
		"bad base64 is left out":   {`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"!"}]}`, nil, false},
		"no JSON":                  {`<html>`, nil, true},
		"JSON that breaks off":     {`{"keys":[`, nil, true},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			keys, err := token.ParseKeys(strings.NewReader(tt.set))
			require.Equal(t, tt.bad, err != nil)
			var kids []string
			for kid := range keys {
				kids = append(kids, kid)
			}
			require.Equal(t, tt.kids, kids)
		})
	}
}
