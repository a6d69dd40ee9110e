package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What ends at auth-svc ends at chat-svc soon, long before the tokens would.
func TestRevocationReachesChat(t *testing.T) {
	t.Parallel()
	s := newHome(t).start(t)
	tests := map[string]func(t *testing.T, a agent){
		"of a token": func(t *testing.T, a agent) {
			s.must(t, 200, "POST", "/api/auth/revoke", bearer(a.token), object{})
		},
		"of its key": func(t *testing.T, a agent) {
			s.must(t, 204, "DELETE", "/api/agents/"+a.id+"/keys/"+a.keyID, basic(a.id, a.recovery), nil)
		},
		"of a key that was replaced": func(t *testing.T, a agent) {
			s.must(t, 201, "POST", "/api/agents/"+a.id+"/keys/"+a.keyID+"/rotate", basic(a.id, a.recovery), object{})
		},
		"of all keys": func(t *testing.T, a agent) {
			s.must(t, 201, "POST", "/api/auth/recover", basic(a.id, a.recovery), object{"revoke_keys": true})
		},
		"of the account": func(t *testing.T, a agent) {
			s.must(t, 204, "DELETE", "/api/agents/"+a.id, basic(a.id, a.recovery), nil)
		},
	}
	names := map[string]string{
		"of a token": "token-loser", "of its key": "key-loser", "of a key that was replaced": "rotator",
		"of all keys": "recoverer", "of the account": "leaver",
	}
	for name, revoke := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := s.register(t, names[name])
			witness := s.register(t, "witness-"+names[name])
			s.must(t, 200, "GET", "/api/conversations", bearer(a.token), nil)

			revoke(t, a)
			began := time.Now()
			require.Equal(t, 401, s.call(t, "GET", "/api/agents/"+a.id, bearer(a.token), nil).status, "auth-svc itself knows at once")
			require.Eventually(t, func() bool {
				return s.call(t, "GET", "/api/conversations", bearer(a.token), nil).status == 401
			}, 30*time.Second, 5*time.Millisecond)
			t.Logf("chat-svc refused the token after %s", time.Since(began).Round(time.Millisecond))

			require.Equal(t, 401, s.call(t, "POST", "/api/messages", bearer(a.token), object{"recipient_agent_id": witness.id, "content": "x"}).status)
			s.must(t, 200, "GET", "/api/conversations", bearer(witness.token), nil)
		})
	}
}
