package token

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// keysMaxAge is how long fetched keys are used without a look for newer
	// ones.
	keysMaxAge = time.Minute
	// keysMinAge bounds how often tokens that name unknown keys cause a fetch.
	keysMinAge   = time.Second
	keysMaxBytes = 64 << 10
	fetchTimeout = 3 * time.Second
)

// JWKS is the KeySource of services that are not auth-svc: its published key
// set (RFC 7517), fetched when needed and kept. With auth-svc away the keys
// known last stay in use.
type JWKS struct {
	url    string
	client *http.Client
	now    func() time.Time

	set      atomic.Pointer[keySet]
	fetching flight[*keySet]
}

// keySet is what the last fetch brought: keys are those of the last one that
// succeeded.
type keySet struct {
	keys  map[string]ed25519.PublicKey
	tried time.Time // when the fetch ended
	err   error
}

// NewJWKS reads keys from url with client.
func NewJWKS(url string, client *http.Client, now func() time.Time) *JWKS {
	j := &JWKS{url: url, client: client, now: now}
	j.set.Store(&keySet{})
	return j
}

// Key implements KeySource. A key it does not know makes it fetch the set, at
// most once a second, in one fetch for all who wait, none longer than its ctx;
// one it knows never waits for another caller's fetch.
func (j *JWKS) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	set := j.set.Load()
	key, known := set.keys[kid]
	age := refetchAfter(known)
	if j.now().Sub(set.tried) < age {
		return set.find(kid)
	}
	fetching, started := j.fetching.join(func() (*keySet, error) { return j.refresh(ctx, age), nil })
	if known && !started {
		return key, nil
	}
	set, err := fetching.wait(ctx)
	switch {
	case err == nil:
		return set.find(kid)
	case known:
		return key, nil
	}
	return nil, fmt.Errorf("wait for the signing keys: %w", err)
}

func (s *keySet) find(kid string) (ed25519.PublicKey, error) {
	if key, ok := s.keys[kid]; ok {
		return key, nil
	}
	if s.err != nil {
		return nil, s.err
	}
	return nil, ErrUnknownKey
}

func refetchAfter(known bool) time.Duration {
	if known {
		return keysMaxAge
	}
	return keysMinAge
}

// refresh fetches, unless a fetch ended since the caller looked. The age of
// what it brings counts from its end, so that a failure is remembered too.
func (j *JWKS) refresh(ctx context.Context, age time.Duration) *keySet {
	old := j.set.Load()
	if j.now().Sub(old.tried) < age {
		return old
	}
	keys, err := j.fetch(ctx)
	if err != nil {
		keys = old.keys
	}
	fresh := &keySet{keys: keys, tried: j.now(), err: err}
	j.set.Store(fresh)
	return fresh
}

func (j *JWKS) fetch(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch the signing keys: %w", err)
	}
	resp, err := j.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch the signing keys: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch the signing keys from %s: status %d", j.url, resp.StatusCode)
	}
	return ParseKeys(io.LimitReader(resp.Body, keysMaxBytes))
}

// ParseKeys reads the Ed25519 keys of a JSON Web Key Set (RFC 7517, RFC 8037),
// by key id. Keys of other kinds are passed over.
func ParseKeys(r io.Reader) (map[string]ed25519.PublicKey, error) {
	var set struct {
		Keys []struct {
			Kty, Crv, Kid, X string
		} `json:"keys"`
	}
	if err := json.NewDecoder(r).Decode(&set); err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	keys := make(map[string]ed25519.PublicKey, len(set.Keys))
	for _, k := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if k.Kty != "OKP" || k.Crv != "Ed25519" || err != nil || len(x) != ed25519.PublicKeySize {
			continue
		}
		keys[k.Kid] = x
	}
	return keys, nil
}
