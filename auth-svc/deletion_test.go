package authsvc_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func TestDeleteAccount(t *testing.T) {
	t.Parallel()
	for outcome, query := range map[string]string{
		"messages stay by default": "", "messages stay": "?content=keep", "messages are erased": "?content=erase",
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := w.open(t)
			a, address := w.newVerified(t, d)
			witness := d.newAgent(t)
			d.requestCode(t, a.id)
			code := w.mailed(t, address, 2, recoveryCode)
			r := d.Call(t, http.MethodDelete, a.path()+query, nil, a.owner())
			require.Equal(t, http.StatusNoContent, r.Status, string(r.Body))

			require.Equal(t, http.StatusUnauthorized, d.me(t, a.token))
			refused(t, d.exchange(t, a), http.StatusUnauthorized, "UNAUTHORIZED")
			refused(t, d.Call(t, http.MethodGet, a.path(), nil, a.owner()), http.StatusUnauthorized, "UNAUTHORIZED")
			refused(t, d.Call(t, http.MethodDelete, a.path(), nil, a.owner()), http.StatusUnauthorized, "UNAUTHORIZED")
			refused(t, d.confirm(t, a.id, code), http.StatusUnauthorized, "UNAUTHORIZED")
			refused(t, d.profile(t, a, witness), http.StatusNotFound, "NOT_FOUND")
			require.Equal(t, http.StatusNotFound, d.user(t, witness, a.name).Status)
			refused(t, d.Call(t, http.MethodPost, registerPath, map[string]any{"agent_name": a.name}), http.StatusConflict, "CONFLICT")

			tomb := w.tombstone(t, a.id)
			require.NotContains(t, tomb, address, "a tombstone keeps nothing of the person")
			for _, gone := range []string{"email", "recovery", "about", "display_name"} {
				require.NotContains(t, tomb, `"`+gone+`"`)
			}
		})
	}
}

func TestDeleteAccountRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a, stranger := d.newAgent(t), d.newAgent(t)
	tests := map[string]struct {
		path       string
		credential svctest.Option
		status     int
		code       string
	}{
		"a token":                   {a.path(), a.bearer(), 401, "UNAUTHORIZED"},
		"an API key":                {a.path(), a.program(), 401, "UNAUTHORIZED"},
		"a stranger's recovery key": {a.path(), stranger.owner(), 403, "FORBIDDEN"},
		"nobody's account":          {"/api/agents/agt_00000000000000000000", a.owner(), 403, "FORBIDDEN"},
		"a malformed id":            {"/api/agents/agt_", a.owner(), 404, "NOT_FOUND"},
		"another content":           {a.path() + "?content=sell", a.owner(), 400, "INVALID_REQUEST"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			refused(t, d.Call(t, http.MethodDelete, tt.path, nil, tt.credential, svctest.BadRequest()), tt.status, tt.code)
		})
	}
	require.Equal(t, http.StatusOK, d.me(t, a.token))
	require.Zero(t, w.count(t, "changes"))
}
