package authsvc_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

const recoverPath = "/api/auth/recover"

func (d *door) confirm(t *testing.T, id, code string) *svctest.Response {
	t.Helper()
	return d.Call(t, http.MethodPost, recoverPath+"/confirm", map[string]any{"agent_id": id, "code": code}, svctest.BadRequest())
}

func (d *door) requestCode(t *testing.T, id string) *svctest.Response {
	t.Helper()
	return d.Call(t, http.MethodPost, recoverPath, map[string]any{"agent_id": id})
}

func TestReplaceTheRecoveryKey(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	tests := map[string]struct {
		body     any
		keysLive bool
	}{
		"without a body":                   {nil, true},
		"with an empty object":             {map[string]any{}, true},
		"keys stay when that is said":      {map[string]any{"revoke_keys": false}, true},
		"keys end when that is said":       {map[string]any{"revoke_keys": true}, false},
		"another's agent_id is not looked": {map[string]any{"agent_id": "agt_00000000000000000000"}, true},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			a := d.newAgent(t)
			r := d.Call(t, http.MethodPost, recoverPath, tt.body, a.owner())
			require.Equal(t, http.StatusCreated, r.Status, string(r.Body))
			require.Equal(t, a.id, r.Text("agent_id"))
			require.NotEqual(t, a.recovery, r.Text("recovery_key"))

			refused(t, d.Call(t, http.MethodGet, a.path(), nil, a.owner()), http.StatusUnauthorized, "UNAUTHORIZED")
			fresh := a
			fresh.recovery = r.Text("recovery_key")
			require.Equal(t, http.StatusOK, d.Call(t, http.MethodGet, a.path(), nil, fresh.owner()).Status)
			want := http.StatusUnauthorized
			if tt.keysLive {
				want = http.StatusOK
			}
			require.Equal(t, want, d.exchange(t, a).Status)
			require.Equal(t, want, d.me(t, a.token))
		})
	}
}

func TestRacingReplacementsOfARecoveryKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	doors := []*door{w.open(t), w.open(t)}
	a := doors[0].newAgent(t)
	answers := make([]*svctest.Response, 6)
	var racing sync.WaitGroup
	for i := range answers {
		racing.Go(func() { answers[i] = doors[i%2].Call(t, http.MethodPost, recoverPath, nil, a.owner()) })
	}
	racing.Wait()
	var winners []string
	for _, r := range answers {
		if r.Status == http.StatusCreated {
			winners = append(winners, r.Text("recovery_key"))
		} else {
			refused(t, r, http.StatusUnauthorized, "UNAUTHORIZED")
		}
	}
	require.Len(t, winners, 1)
	a.recovery = winners[0]
	require.Equal(t, http.StatusOK, doors[1].Call(t, http.MethodGet, a.path(), nil, a.owner()).Status)
}

func TestRecoverByMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a, address := w.newVerified(t, d)
	r := d.requestCode(t, a.id)
	require.Equal(t, http.StatusAccepted, r.Status)
	require.Equal(t, "accepted", r.Text("status"))
	code := w.mailed(t, address, 2, recoveryCode)

	refused(t, d.confirm(t, a.id, "0000-0000-0000-0000"), http.StatusUnauthorized, "UNAUTHORIZED")
	refused(t, d.confirm(t, d.newAgent(t).id, code), http.StatusUnauthorized, "UNAUTHORIZED")
	require.Equal(t, http.StatusOK, d.me(t, a.token), "nothing has changed")

	typed := " " + strings.ToLower(strings.ReplaceAll(code, "-", " "))
	done := d.confirm(t, a.id, typed)
	require.Equal(t, http.StatusCreated, done.Status, string(done.Body))
	require.Equal(t, a.id, done.Text("agent_id"))
	require.Equal(t, http.StatusUnauthorized, d.me(t, a.token))
	refused(t, d.exchange(t, a), http.StatusUnauthorized, "UNAUTHORIZED")
	refused(t, d.Call(t, http.MethodGet, a.path(), nil, a.owner()), http.StatusUnauthorized, "UNAUTHORIZED")
	refused(t, d.confirm(t, a.id, code), http.StatusUnauthorized, "UNAUTHORIZED")
	a.recovery = done.Text("recovery_key")
	_, a.key = d.newKey(t, a)
	require.Equal(t, http.StatusOK, d.me(t, d.newToken(t, a)))
}

// settled waits until no mail waits to be sent.
func (w *world) settled(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return w.count(t, "mails") == 0 }, 30*time.Second, 20*time.Millisecond)
}

func TestARecoveryCodeEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a, address := w.newVerified(t, d)
	d.requestCode(t, a.id)
	first := w.mailed(t, address, 2, recoveryCode)
	w.settled(t)
	w.clock.Advance(15*time.Minute + time.Second)
	refused(t, d.confirm(t, a.id, first), http.StatusUnauthorized, "UNAUTHORIZED")
	d.requestCode(t, a.id)
	second := w.mailed(t, address, 3, recoveryCode)
	refused(t, d.confirm(t, a.id, first), http.StatusUnauthorized, "UNAUTHORIZED")
	require.Equal(t, http.StatusCreated, d.confirm(t, a.id, second).Status)
}

func TestStrangersCannotHinderARecovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Serving.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	d := w.open(t)
	a, address := w.newVerified(t, d)
	d.requestCode(t, a.id)
	code := w.mailed(t, address, 2, recoveryCode)
	w.settled(t)
	for i := range 3 {
		require.Equal(t, http.StatusAccepted, d.requestCode(t, a.id).Status, i)
		w.settled(t)
	}
	require.Len(t, w.mails(t, address), 2, "while a code lives no other is mailed")
	for i := range 110 {
		r := d.Call(t, http.MethodPost, recoverPath+"/confirm", map[string]any{"agent_id": a.id, "code": "0000-0000-0000-0000"},
			svctest.WithHeader("X-Forwarded-For", "192.0.2."+strconv.Itoa(i)))
		refused(t, r, http.StatusUnauthorized, "UNAUTHORIZED")
	}
	require.Equal(t, http.StatusCreated, d.confirm(t, a.id, code).Status, "the owner's code is as good as before")
}

func TestRequestingACodeTellsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	verified, address := w.newVerified(t, d)
	unverifiedAddress := newAddress()
	unverified := d.register(t, map[string]any{"agent_name": newName(), "email": unverifiedAddress})
	deleted, deletedAddress := w.newVerified(t, d)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, deleted.path(), nil, deleted.owner()).Status)

	var bodies []string
	for _, id := range []string{
		verified.id, unverified.id, deleted.id, d.newAgent(t).id, "agt_00000000000000000000",
	} {
		r := d.requestCode(t, id)
		require.Equal(t, http.StatusAccepted, r.Status)
		bodies = append(bodies, string(r.Body))
		wrong := d.confirm(t, id, "0000-0000-0000-0000")
		refused(t, wrong, http.StatusUnauthorized, "UNAUTHORIZED")
		require.Equal(t, "The code is wrong or has ended; ask for another.", wrong.Text("error.message"))
	}
	for _, body := range bodies {
		require.Equal(t, bodies[0], body)
	}
	w.mailed(t, address, 2, recoveryCode)
	require.Eventually(t, func() bool { return w.count(t, "mails") == 0 }, 30*time.Second, 50*time.Millisecond)
	require.Len(t, w.mails(t, unverifiedAddress), 1)
	require.Len(t, w.mails(t, deletedAddress), 1)
}

func TestRecoverRefuses(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a := d.newAgent(t)
	tests := map[string]struct {
		path, code string
		body       any
		status     int
		field      string
		opts       []svctest.Option
	}{
		"neither credential nor body":  {recoverPath, "INVALID_AGENT_ID", nil, 400, "agent_id", nil},
		"a malformed id":               {recoverPath, "INVALID_AGENT_ID", map[string]any{"agent_id": "x"}, 400, "agent_id", nil},
		"an id that is a number":       {recoverPath, "INVALID_REQUEST", map[string]any{"agent_id": 1}, 400, "agent_id", nil},
		"an API key":                   {recoverPath, "UNAUTHORIZED", nil, 401, "", []svctest.Option{a.program()}},
		"revoke_keys that is a text":   {recoverPath, "INVALID_REQUEST", map[string]any{"revoke_keys": "yes"}, 400, "revoke_keys", []svctest.Option{a.owner()}},
		"a form":                       {recoverPath, "UNSUPPORTED_MEDIA_TYPE", nil, 415, "", []svctest.Option{svctest.WithRaw("application/x-www-form-urlencoded", []byte("agent_id="+a.id))}},
		"a code without an id":         {recoverPath + "/confirm", "INVALID_AGENT_ID", map[string]any{"code": "x"}, 400, "agent_id", nil},
		"a code with a malformed id":   {recoverPath + "/confirm", "INVALID_AGENT_ID", map[string]any{"agent_id": "x", "code": "x"}, 400, "agent_id", nil},
		"no code":                      {recoverPath + "/confirm", "INVALID_REQUEST", map[string]any{"agent_id": a.id}, 400, "code", nil},
		"a long code":                  {recoverPath + "/confirm", "INVALID_REQUEST", map[string]any{"agent_id": a.id, "code": strings.Repeat("0", 65)}, 400, "code", nil},
		"a code that is a number":      {recoverPath + "/confirm", "INVALID_REQUEST", map[string]any{"agent_id": a.id, "code": 1}, 400, "code", nil},
		"a code of a wrong shape":      {recoverPath + "/confirm", "UNAUTHORIZED", map[string]any{"agent_id": a.id, "code": "123"}, 401, "", nil},
		"nothing at all":               {recoverPath + "/confirm", "UNSUPPORTED_MEDIA_TYPE", nil, 415, "", nil},
		"a list in place of an object": {recoverPath, "INVALID_REQUEST", []any{}, 400, "body", nil},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			r := d.Call(t, http.MethodPost, tt.path, tt.body, append(tt.opts, svctest.BadRequest())...)
			refused(t, r, tt.status, tt.code)
			require.Equal(t, tt.field, r.Text("error.details.field"))
		})
	}
	require.Equal(t, http.StatusOK, d.Call(t, http.MethodGet, a.path(), nil, a.owner()).Status, "the recovery key is the old one")
}
