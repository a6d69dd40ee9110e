package authsvc_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/svctest"
)

// behindLoadBalancer trusts the loopback address as a proxy, so that a test can
// come from anywhere.
func behindLoadBalancer(c *authsvc.Config) {
	c.Serving.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

func from(address string) svctest.Option { return svctest.WithHeader("X-Forwarded-For", address) }

// guess presents a wrong key until it is refused without a check, and gives
// the number of tries that were checked.
func (d *door) guess(t *testing.T, a agent, address string, most int) int {
	t.Helper()
	wrong := svctest.WithBasic(a.id, "sk_00000000000000000000000000000")
	for i := range most {
		r := d.Call(t, http.MethodPost, tokenPath, map[string]any{"grant_type": "client_credentials"}, wrong, from(address))
		if r.Status == http.StatusTooManyRequests {
			require.NotEmpty(t, r.Header.Get("Retry-After"))
			return i
		}
		refused(t, r, http.StatusUnauthorized, "UNAUTHORIZED")
	}
	return most
}

func TestGuessersAreSlowedAndOwnersAreNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, behindLoadBalancer)
	d := w.open(t)
	a, other := d.newAgent(t), d.newAgent(t)
	exchange := func(a agent, address string) *svctest.Response {
		return d.Call(t, http.MethodPost, tokenPath, map[string]any{"grant_type": "client_credentials"}, a.program(), from(address))
	}
	w.clock.Stop()
	require.LessOrEqual(t, d.guess(t, a, "203.0.113.1", 50), 12)
	refused(t, exchange(a, "203.0.113.1"), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
	require.Equal(t, http.StatusOK, exchange(a, "203.0.113.2").Status, "the owner comes from elsewhere")
	require.Equal(t, http.StatusOK, exchange(other, "203.0.113.1").Status, "another account of the same address")
	require.Equal(t, http.StatusOK, d.me(t, a.token), "tokens are not slowed")
	refused(t, d.Call(t, http.MethodGet, a.path(), nil, a.owner(), from("203.0.113.1")), http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
	require.Equal(t, http.StatusOK, d.Call(t, http.MethodGet, a.path(), nil, a.owner(), from("203.0.113.2")).Status)
	w.clock.Advance(time.Minute)
	require.Equal(t, http.StatusOK, exchange(a, "203.0.113.1").Status, "guesses are forgiven")
}

func TestAnAddressThatGuessesAtManyIsSlowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, behindLoadBalancer)
	d := w.open(t)
	honest := d.newAgent(t)
	w.clock.Stop()
	tries := 0
	for i := range 40 {
		victim := agent{id: fmt.Sprintf("agt_%020d", i)}
		tries += d.guess(t, victim, "2001:db8::1", 5)
	}
	require.LessOrEqual(t, tries, 110)
	next := d.Call(t, http.MethodPost, tokenPath, map[string]any{"grant_type": "client_credentials"}, honest.program(), from("2001:db8::2"))
	refused(t, next, http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
	other := d.Call(t, http.MethodPost, tokenPath, map[string]any{"grant_type": "client_credentials"}, honest.program(), from("2001:db8:0:1::1"))
	require.Equal(t, http.StatusOK, other.Status, "another network is another address")
}

func TestWhoseFailureItWasIsBelievedOfProxiesOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		trusted   bool
		forwarded func(i int) string
	}{
		"a header from a client that is no proxy": {false, func(i int) string { return fmt.Sprintf("203.0.113.%d", i) }},
		"what the client wrote before the proxy":  {true, func(i int) string { return fmt.Sprintf("203.0.113.%d, 198.51.100.1", i) }},
		"garbage":                                 {true, func(i int) string { return fmt.Sprintf("nonsense-%d", i) }},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *authsvc.Config) {
				if tt.trusted {
					behindLoadBalancer(c)
				}
			})
			d := w.open(t)
			a := d.newAgent(t)
			w.clock.Stop()
			limited := false
			for i := range 20 {
				limited = limited || d.guess(t, a, tt.forwarded(i), 1) == 0
			}
			require.True(t, limited, "all came from one address")
		})
	}
}

func TestOtherGuessesAreSlowedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a, other := d.newAgent(t), d.newAgent(t)
	w.clock.Stop()
	for outcome, guess := range map[string]func() *svctest.Response{
		"a recovery code": func() *svctest.Response { return d.confirm(t, a.id, "0000-0000-0000-0000") },
		"a mailed link":   func() *svctest.Response { return d.verify(t, "garbage") },
		"a recovery key": func() *svctest.Response {
			return d.Call(t, http.MethodGet, other.path(), nil, svctest.WithBasic(other.id, a.recovery))
		},
	} {
		t.Run(outcome, func(t *testing.T) {
			var r *svctest.Response
			for range 15 {
				r = guess()
			}
			refused(t, r, http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED")
			require.NotEmpty(t, r.Header.Get("Retry-After"))
		})
	}
}

func TestRegistrationsAndMailsAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *authsvc.Config) {
		behindLoadBalancer(c)
		c.UnlimitedLoopback = true
	})
	d := w.open(t)
	w.clock.Stop()
	until := func(call func(address string) *svctest.Response) int {
		for i := range 40 {
			if call("203.0.113.9").Status == http.StatusTooManyRequests {
				require.NotEqual(t, http.StatusTooManyRequests, call("203.0.113.10").Status, "another address is not concerned")
				return i
			}
		}
		return 40
	}
	require.Equal(t, 20, until(func(address string) *svctest.Response {
		return d.Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": newName()}, from(address))
	}))
	require.Equal(t, 5, until(func(address string) *svctest.Response {
		return d.Call(t, http.MethodPost, recoverPath, map[string]any{"agent_id": "agt_00000000000000000000"}, from(address))
	}))
	for range 40 {
		r := d.Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": newName()}, from("::1"))
		require.Equal(t, http.StatusCreated, r.Status, "this machine is not limited, whichever its address")
	}
}

func TestUnknownAgentsAndWrongKeysLookAlike(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a, other, gone := d.newAgent(t), d.newAgent(t), d.newAgent(t)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, gone.path(), nil, gone.owner()).Status)
	ended, secret := d.newKey(t, a)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, a.keyPath(ended), nil, a.owner()).Status)
	same := func(method, path string, body any, credentials map[string]svctest.Option) {
		var first map[string]any
		for outcome, credential := range credentials {
			r := d.Call(t, method, path, body, credential)
			require.Equal(t, http.StatusUnauthorized, r.Status, outcome)
			var got map[string]any
			require.NoError(t, json.Unmarshal(r.Body, &got))
			delete(got["error"].(map[string]any), "request_id")
			if first == nil {
				first = got
			}
			require.Equal(t, first, got, outcome)
		}
	}
	const nobody = "agt_00000000000000000000"
	same(http.MethodPost, tokenPath, map[string]any{"grant_type": "client_credentials"}, map[string]svctest.Option{
		"an unknown agent": svctest.WithBasic(nobody, a.key), "another's key": svctest.WithBasic(a.id, other.key),
		"a revoked key": svctest.WithBasic(a.id, secret), "a deleted agent": svctest.WithBasic(gone.id, gone.key),
		"a deleted agent's wrong key": svctest.WithBasic(gone.id, other.key),
	})
	same(http.MethodGet, a.path(), nil, map[string]svctest.Option{
		"an unknown agent": svctest.WithBasic(nobody, a.recovery), "another's key": svctest.WithBasic(a.id, other.recovery),
		"a deleted agent": svctest.WithBasic(gone.id, gone.recovery),
	})
}
