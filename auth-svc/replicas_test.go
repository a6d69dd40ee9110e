package authsvc_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func TestTwoServersAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.open(t), w.open(t)
	do := func(d *door, want int, method, path string, body any, credential svctest.Option) *svctest.Response {
		t.Helper()
		r := d.Call(t, method, path, body, credential)
		require.Equal(t, want, r.Status, string(r.Body))
		return r
	}
	t.Run("what one makes the other knows", func(t *testing.T) {
		t.Parallel()
		a := one.newAgent(t)
		require.Equal(t, http.StatusOK, two.me(t, a.token))
		require.Equal(t, http.StatusOK, two.me(t, two.newToken(t, a)))
		require.Equal(t, a.id, do(two, 200, "POST", "/api/getUser", map[string]any{"user_id": a.name}, a.bearer()).Text("result.agent_id"))
		refused(t, two.Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": a.name}), http.StatusConflict, "CONFLICT")
	})
	t.Run("what one ends the other refuses at once", func(t *testing.T) {
		t.Parallel()
		ends := map[string]func(a agent){
			"a token":    func(a agent) { do(one, 200, "POST", revokePath, nil, a.bearer()) },
			"a key":      func(a agent) { do(one, 204, "DELETE", a.keyPath(a.keyID), nil, a.owner()) },
			"a rotated":  func(a agent) { do(one, 201, "POST", a.keyPath(a.keyID)+"/rotate", nil, a.owner()) },
			"all keys":   func(a agent) { do(one, 201, "POST", recoverPath, map[string]any{"revoke_keys": true}, a.owner()) },
			"an account": func(a agent) { do(one, 204, "DELETE", a.path(), nil, a.owner()) },
		}
		for what, end := range ends {
			a := one.newAgent(t)
			require.Equal(t, http.StatusOK, two.me(t, a.token), "it is cached there")
			end(a)
			require.Equal(t, http.StatusUnauthorized, two.me(t, a.token), what)
		}
	})
	t.Run("a cursor of one is taken by the other", func(t *testing.T) {
		t.Parallel()
		a := one.newAgent(t)
		one.newAgent(t)
		cursor := one.users(t, a, map[string]any{"limit": 1}).Text("result.next_cursor")
		require.Equal(t, http.StatusOK, two.users(t, a, map[string]any{"limit": 1, "cursor": cursor}).Status)
	})
	t.Run("of two deletions one is the first", func(t *testing.T) {
		t.Parallel()
		a := one.newAgent(t)
		statuses := make([]int, 4)
		var racing sync.WaitGroup
		for i := range statuses {
			racing.Go(func() {
				statuses[i] = []*door{one, two}[i%2].Call(t, http.MethodDelete, a.path(), nil, a.owner()).Status
			})
		}
		racing.Wait()
		first := 0
		for _, status := range statuses {
			if status == http.StatusNoContent {
				first++
				continue
			}
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusNotFound}, status)
		}
		require.Equal(t, 1, first)
	})
	t.Run("of two rotations at once one is the first", func(t *testing.T) {
		t.Parallel()
		a := one.newAgent(t)
		statuses := make([]int, 4)
		var racing sync.WaitGroup
		for i := range statuses {
			racing.Go(func() { statuses[i] = []*door{one, two}[i%2].rotate(t, a, a.keyID, nil, a.owner()).Status })
		}
		racing.Wait()
		made := 0
		for _, status := range statuses {
			if status == http.StatusCreated {
				made++
				continue
			}
			require.Equal(t, http.StatusNotFound, status)
		}
		require.Equal(t, 1, made)
	})
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
