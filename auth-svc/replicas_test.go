package authsvc_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// two are two servers of one installation.
func two(t *testing.T) (one, other *door) {
	t.Helper()
	w := newWorld(t)
	return w.open(t), w.open(t)
}

func TestWhatOneServerMakesTheOtherKnows(t *testing.T) {
	t.Parallel()
	one, other := two(t)
	a := one.newAgent(t)
	require.Equal(t, http.StatusOK, other.me(t, a.token))
	require.Equal(t, http.StatusOK, other.me(t, other.newToken(t, a)))
	require.Equal(t, a.id, other.user(t, a, a.name).Text("result.agent_id"))
	refused(t, other.Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": a.name}), http.StatusConflict, "CONFLICT")
	one.newAgent(t)
	cursor := one.users(t, a, map[string]any{"limit": 1}).Text("result.next_cursor")
	require.Equal(t, http.StatusOK, other.users(t, a, map[string]any{"limit": 1, "cursor": cursor}).Status, "a cursor of one is good at the other")
}

func TestWhatOneServerEndsTheOtherRefusesAtOnce(t *testing.T) {
	t.Parallel()
	one, other := two(t)
	ends := map[string]func(a agent) *svctest.Response{
		"a token": func(a agent) *svctest.Response { return one.Call(t, http.MethodPost, revokePath, nil, a.bearer()) },
		"a key": func(a agent) *svctest.Response {
			return one.Call(t, http.MethodDelete, a.keyPath(a.keyID), nil, a.owner())
		},
		"a rotated": func(a agent) *svctest.Response { return one.rotate(t, a, a.keyID, nil, a.owner()) },
		"all keys": func(a agent) *svctest.Response {
			return one.Call(t, http.MethodPost, recoverPath, map[string]any{"revoke_keys": true}, a.owner())
		},
		"an account": func(a agent) *svctest.Response { return one.Call(t, http.MethodDelete, a.path(), nil, a.owner()) },
	}
	for what, end := range ends {
		a := one.newAgent(t)
		require.Equal(t, http.StatusOK, other.me(t, a.token), "it is cached there")
		require.Less(t, end(a).Status, 300, what)
		require.Equal(t, http.StatusUnauthorized, other.me(t, a.token), what)
	}
}

func TestOfSeveralAtOnceOneIsTheFirst(t *testing.T) {
	t.Parallel()
	one, other := two(t)
	tests := map[string]struct {
		call  func(d *door, a agent) *svctest.Response
		first int
		later []int
	}{
		"deletions": {func(d *door, a agent) *svctest.Response {
			return d.Call(t, http.MethodDelete, a.path(), nil, a.owner())
		},
			http.StatusNoContent, []int{http.StatusUnauthorized, http.StatusNotFound}},
		"rotations": {func(d *door, a agent) *svctest.Response { return d.rotate(t, a, a.keyID, nil, a.owner()) },
			http.StatusCreated, []int{http.StatusNotFound}},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := one.newAgent(t)
			statuses := make([]int, 4)
			var racing sync.WaitGroup
			for i := range statuses {
				racing.Go(func() { statuses[i] = tt.call([]*door{one, other}[i%2], a).Status })
			}
			racing.Wait()
			firsts := 0
			for _, status := range statuses {
				if status == tt.first {
					firsts++
					continue
				}
				require.Contains(t, tt.later, status)
			}
			require.Equal(t, 1, firsts)
		})
	}
}

func TestForgedTokensAtBothDoors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a, victim := d.newAgent(t), d.newAgent(t)
	service := w.callAs(t, d)
	pieces, stolen := strings.Split(a.token, "."), strings.Split(victim.token, ".")
	forgeries := map[string]string{
		"another's claims":            pieces[0] + "." + stolen[1] + "." + pieces[2],
		"another's signature":         pieces[0] + "." + pieces[1] + "." + stolen[2],
		"no algorithm":                "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + stolen[1] + ".",
		"HMAC in the header":          "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9." + stolen[1] + "." + pieces[2],
		"no signature":                pieces[0] + "." + pieces[1] + ".",
		"cut short":                   a.token[:len(a.token)/2],
		"a service's claims":          pieces[0] + "." + strings.Split(service, ".")[1] + "." + pieces[2],
		"a token of another issuer":   newWorld(t).open(t).newAgent(t).token,
		"a key in place of a token":   a.key,
		"a very long token":           strings.Repeat("a.", 2500),
		"a token with a dot too many": a.token + ".",
	}
	for outcome, raw := range forgeries {
		require.Equal(t, http.StatusUnauthorized, d.me(t, raw), outcome)
		refused(t, send(t, http.MethodGet, d.internal+"/internal/changes?after=0", nil, bearer(raw)), http.StatusUnauthorized, "UNAUTHORIZED")
	}
	require.Equal(t, http.StatusUnauthorized, d.me(t, service), "a service's token at the public door")
	refused(t, send(t, http.MethodGet, d.internal+"/internal/changes?after=0", nil, bearer(a.token)), http.StatusUnauthorized, "UNAUTHORIZED")
	require.Equal(t, http.StatusOK, d.me(t, a.token))
}
