package authsvc_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/svctest"
)

func devTokens(c *authsvc.Config) { c.DevTokens = true }

func (d *door) user(t *testing.T, as agent, name string) *svctest.Response {
	t.Helper()
	return d.Call(t, http.MethodPost, "/api/getUser", map[string]any{"user_id": name}, as.bearer(), svctest.BadRequest())
}

func (d *door) users(t *testing.T, as agent, body any) *svctest.Response {
	t.Helper()
	return d.Call(t, http.MethodPost, "/api/getUsers", body, as.bearer(), svctest.BadRequest())
}

// refusedRPC holds an answer to a status and a word of the RPC family.
func refusedRPC(t *testing.T, r *svctest.Response, status int, word string) {
	t.Helper()
	require.Equal(t, status, r.Status, string(r.Body))
	require.EqualValues(t, status, r.Get("error_code"))
	require.True(t, strings.HasPrefix(r.Text("description"), word+": "), string(r.Body))
}

func TestGetMeAndGetUser(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a, human := d.newAgent(t, "presence:update"), d.register(t, map[string]any{"agent_name": newName(), "kind": "human"})
	require.Equal(t, http.StatusOK, d.Call(t, http.MethodPatch, a.path()+"/profile", map[string]any{"display_name": "Ä"}, a.bearer()).Status)

	me := d.Call(t, http.MethodPost, "/api/getMe", nil, a.bearer())
	require.Equal(t, map[string]any{"username": a.name, "kind": "agent", "display_name": "Ä", "agent_id": a.id}, me.Get("result"))
	require.Equal(t, me.Get("result"), d.user(t, a, strings.ToUpper(a.name)).Get("result"))
	require.Equal(t, map[string]any{"username": human.name, "kind": "human", "display_name": human.name, "agent_id": human.id},
		d.user(t, a, human.name).Get("result"))

	refusedRPC(t, d.user(t, a, "nobody-of-that-name"), http.StatusNotFound, "not_found")
	for _, name := range []string{"", "ab", "a_b", a.id, strings.Repeat("a", 51)} {
		refusedRPC(t, d.user(t, a, name), http.StatusBadRequest, "invalid_argument")
	}
	wrong := func(opts ...svctest.Option) *svctest.Response {
		return d.Call(t, http.MethodPost, "/api/getUser", nil, append(opts, a.bearer(), svctest.BadRequest())...)
	}
	refusedRPC(t, wrong(svctest.WithRaw("application/json", []byte(`{"user_id":`))), http.StatusBadRequest, "invalid_argument")
	refusedRPC(t, wrong(svctest.WithRaw("application/json", []byte(`{"user_id":1}`))), http.StatusBadRequest, "invalid_argument")
	refusedRPC(t, wrong(svctest.WithRaw("text/plain", []byte(`{}`))), http.StatusUnsupportedMediaType, "invalid_argument")
	refusedRPC(t, wrong(svctest.WithRaw("application/json", make([]byte, 3<<19))), http.StatusRequestEntityTooLarge, "invalid_argument")
}

func TestGetUsersInPages(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	var all, humans []string
	for i := range 7 {
		name, kind := fmt.Sprintf("User-%d", i), "agent"
		if i%2 == 0 {
			name, kind = fmt.Sprintf("user-%d", i), "human"
			humans = append(humans, name)
		}
		all = append(all, name)
		d.register(t, map[string]any{"agent_name": name, "kind": kind})
	}
	reader := d.register(t, map[string]any{"agent_name": "zz-reader"})
	_, reader.key = d.newKey(t, reader)
	reader.token = d.newToken(t, reader)
	gone := d.register(t, map[string]any{"agent_name": "user-gone"})
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, gone.path(), nil, gone.owner()).Status)
	all = append(all, reader.name)
	tests := map[string]struct {
		body map[string]any
		want []string
	}{
		"everybody at once":       {map[string]any{}, all},
		"one by one":              {map[string]any{"limit": 1}, all},
		"in threes":               {map[string]any{"limit": 3}, all},
		"in fours":                {map[string]any{"limit": 4}, all},
		"humans in twos":          {map[string]any{"limit": 2, "kind": "human"}, humans},
		"a limit over the most":   {map[string]any{"limit": 1 << 40}, all},
		"agents in twos":          {map[string]any{"limit": 2, "kind": "agent"}, slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(humans, name) })},
		"an empty cursor is none": {map[string]any{"cursor": ""}, all},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			var names []string
			for {
				r := d.users(t, reader, tt.body)
				require.Equal(t, http.StatusOK, r.Status, string(r.Body))
				items := r.Get("result.items").([]any)
				for _, item := range items {
					names = append(names, item.(map[string]any)["username"].(string))
				}
				next := r.Text("result.next_cursor")
				if next == "" {
					break
				}
				require.NotEmpty(t, items, "a page that has a next one is not empty")
				tt.body["cursor"] = next
			}
			require.Equal(t, tt.want, names)
		})
	}
	r := d.Call(t, http.MethodPost, "/api/getUsers", nil, reader.bearer())
	require.Len(t, r.Get("result.items"), len(all), "the body may be left out")
}

func TestGetUsersRefuses(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a, other := d.newAgent(t), d.newAgent(t)
	cursor := d.users(t, a, map[string]any{"limit": 1}).Text("result.next_cursor")
	require.NotEmpty(t, cursor)
	foreign := newWorld(t).open(t)
	stranger := foreign.newAgent(t)
	foreign.newAgent(t)
	elsewhere := foreign.users(t, stranger, map[string]any{"limit": 1}).Text("result.next_cursor")
	tampered := []byte(cursor)
	tampered[len(tampered)/2] ^= 1
	for outcome, body := range map[string]any{
		"zero":                            map[string]any{"limit": 0},
		"a negative limit":                map[string]any{"limit": -1},
		"half an account":                 map[string]any{"limit": 1.5},
		"a limit that is a text":          map[string]any{"limit": "10"},
		"an unknown kind":                 map[string]any{"kind": "robot"},
		"a cursor of garbage":             map[string]any{"cursor": "garbage"},
		"a cursor that was tampered with": map[string]any{"cursor": string(tampered)},
		"a cursor cut short":              map[string]any{"cursor": cursor[:len(cursor)-4]},
		"a cursor of another kind":        map[string]any{"cursor": cursor, "kind": "agent"},
		"a cursor of another platform":    map[string]any{"cursor": elsewhere},
		"a very long cursor":              map[string]any{"cursor": strings.Repeat("A", 100_000)},
		"a cursor that is a number":       map[string]any{"cursor": 1},
		"a list in place of an object":    []any{},
	} {
		t.Run(outcome, func(t *testing.T) {
			refusedRPC(t, d.users(t, a, body), http.StatusBadRequest, "invalid_argument")
		})
	}
	refusedRPC(t, d.users(t, other, map[string]any{"cursor": cursor}), http.StatusBadRequest, "invalid_argument")
	require.Equal(t, http.StatusOK, d.users(t, a, map[string]any{"cursor": cursor}).Status)
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devTokens)
	d := w.open(t)
	human := d.register(t, map[string]any{"agent_name": "Maria-Lopez", "kind": "human"})
	program := d.register(t, map[string]any{"agent_name": newName()})
	signIn := func(name any) *svctest.Response {
		return d.Call(t, http.MethodPost, "/api/signIn", map[string]any{"username": name}, svctest.BadRequest())
	}
	r := signIn("maria-lopez")
	require.Equal(t, http.StatusOK, r.Status, string(r.Body))
	require.Equal(t, human.id, r.Text("result.account.agent_id"))
	require.EqualValues(t, 900, r.Get("result.expires_in"))
	human.token = r.Text("result.access_token")
	require.Equal(t, http.StatusOK, d.me(t, human.token))
	refused(t, d.Call(t, http.MethodPost, "/api/auth/refresh", nil, human.bearer()), http.StatusUnauthorized, "UNAUTHORIZED")

	refusedRPC(t, signIn(program.name), http.StatusForbidden, "permission_denied")
	refusedRPC(t, signIn("nobody-of-that-name"), http.StatusNotFound, "not_found")
	refusedRPC(t, signIn("a_b"), http.StatusNotFound, "not_found")
	refusedRPC(t, signIn(7), http.StatusBadRequest, "invalid_argument")
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, human.path(), nil, human.owner()).Status)
	refusedRPC(t, signIn("maria-lopez"), http.StatusNotFound, "not_found")
	require.Equal(t, http.StatusUnauthorized, d.me(t, human.token))
}

func TestDevelopmentTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devTokens)
	d := w.open(t)
	a := d.register(t, map[string]any{"agent_name": "mafold-ai"})
	require.Equal(t, a.id, d.Call(t, http.MethodPost, "/api/getMe", nil, svctest.WithBearer("dev:Mafold-AI")).Text("result.agent_id"))
	for _, raw := range []string{"dev:", "dev:nobody", "dev:a_b", "dev:" + a.id, "DEV:mafold-ai"} {
		require.Equal(t, http.StatusUnauthorized, d.me(t, raw), raw)
	}
	refused(t, d.Call(t, http.MethodPost, "/api/auth/refresh", nil, svctest.WithBearer("dev:mafold-ai")), http.StatusUnauthorized, "UNAUTHORIZED")
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, a.path(), nil, a.owner()).Status)
	require.Equal(t, http.StatusUnauthorized, d.me(t, "dev:mafold-ai"))
}

func TestDevelopmentTokensAreOffByDefault(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a := d.register(t, map[string]any{"agent_name": newName(), "kind": "human"})
	require.Equal(t, http.StatusUnauthorized, d.me(t, "dev:"+a.name))
	refusedRPC(t, d.Call(t, http.MethodPost, "/api/signIn", map[string]any{"username": a.name}), http.StatusNotFound, "not_found")
}

func TestATokenOfAPersonEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devTokens)
	d := w.open(t)
	d.register(t, map[string]any{"agent_name": "ops", "kind": "human"})
	token := d.Call(t, http.MethodPost, "/api/signIn", map[string]any{"username": "ops"}).Text("result.access_token")
	w.clock.Advance(16 * time.Minute)
	require.Equal(t, http.StatusUnauthorized, d.me(t, token))
}
