package authsvc_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/svctest"
)

func (d *door) rotate(t *testing.T, a agent, keyID string, body any, credential svctest.Option) *svctest.Response {
	t.Helper()
	return d.Call(t, http.MethodPost, a.keyPath(keyID)+"/rotate", body, credential, svctest.BadRequest())
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	tests := map[string]struct {
		body     any
		byToken  bool
		oldLives bool
	}{
		"at once by default":      {nil, false, false},
		"at once by its token":    {nil, true, false},
		"at once when asked":      {map[string]any{"overlap_seconds": 0}, false, false},
		"an empty object":         {map[string]any{}, false, false},
		"with an overlap":         {map[string]any{"overlap_seconds": 60}, true, true},
		"with the longest":        {map[string]any{"overlap_seconds": 7 * 24 * 3600}, false, true},
		"unknown fields are free": {map[string]any{"name": "other"}, false, false},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			a := d.newAgent(t, "messages:read", "llm:chat")
			credential := a.owner()
			if tt.byToken {
				credential = a.bearer()
			}
			r := d.rotate(t, a, a.keyID, tt.body, credential)
			require.Equal(t, http.StatusCreated, r.Status, string(r.Body))
			require.NotEqual(t, a.keyID, r.Text("key_id"))
			require.Equal(t, "cli", r.Text("name"))
			require.Equal(t, []any{"messages:read", "llm:chat"}, r.Get("scopes"))
			require.Nil(t, r.Get("expires_at"))

			fresh := a
			fresh.key = r.Text("api_key")
			require.Equal(t, http.StatusOK, d.exchange(t, fresh).Status)
			want := http.StatusUnauthorized
			if tt.oldLives {
				want = http.StatusOK
			}
			require.Equal(t, want, d.exchange(t, a).Status)
			require.Equal(t, want, d.me(t, a.token))
		})
	}
}

func TestRotationKeepsTheLengthOfLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.register(t, map[string]any{"agent_name": newName()})
	made := d.Call(t, http.MethodPost, a.path(), map[string]any{"name": "month", "expires_in_days": 30}, a.owner())
	w.clock.Advance(10 * 24 * time.Hour)
	r := d.rotate(t, a, made.Text("key_id"), map[string]any{"overlap_seconds": 3600}, a.owner())
	require.Equal(t, http.StatusCreated, r.Status)
	require.Equal(t, 30*24*time.Hour, instant(t, r.Text("expires_at")).Sub(instant(t, r.Text("created_at"))))

	old := d.Call(t, http.MethodGet, a.path(), nil, a.owner()).Text("keys.1.expires_at")
	require.WithinDuration(t, w.clock.Now().Add(time.Hour), instant(t, old), time.Minute)
}

func TestRotatingAKeyThatIsEndingKeepsItsLength(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.register(t, map[string]any{"agent_name": newName()})
	for outcome, tt := range map[string]struct {
		body  map[string]any
		lives time.Duration // 0: without end
	}{
		"without end": {map[string]any{"name": "cli"}, 0},
		"a month":     {map[string]any{"name": "month", "expires_in_days": 30}, 30 * 24 * time.Hour},
	} {
		made := d.Call(t, http.MethodPost, a.path(), tt.body, a.owner())
		require.Equal(t, http.StatusCreated, made.Status, outcome)
		for range 2 {
			r := d.rotate(t, a, made.Text("key_id"), map[string]any{"overlap_seconds": 60}, a.owner())
			require.Equal(t, http.StatusCreated, r.Status, outcome)
			if tt.lives == 0 {
				require.Nil(t, r.Get("expires_at"), outcome)
				continue
			}
			require.Equal(t, tt.lives, instant(t, r.Text("expires_at")).Sub(instant(t, r.Text("created_at"))), outcome)
		}
	}
}

func TestRotationsHoldTheQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *authsvc.Config) { c.KeysPerAccount = 2 })
	d := w.open(t)
	a := d.newAgent(t)
	overlap := map[string]any{"overlap_seconds": 60}
	r := d.rotate(t, a, a.keyID, overlap, a.owner())
	require.Equal(t, http.StatusCreated, r.Status, string(r.Body))
	full := d.rotate(t, a, r.Text("key_id"), overlap, a.owner())
	refused(t, full, http.StatusForbidden, "QUOTA_EXCEEDED")
	require.Equal(t, "keys", full.Text("error.details.quota"))
	require.Equal(t, http.StatusCreated, d.rotate(t, a, r.Text("key_id"), nil, a.owner()).Status, "a replacement makes none more")
	w.clock.Advance(61 * time.Second)
	require.Equal(t, http.StatusCreated, d.Call(t, http.MethodPost, a.path(), map[string]any{"name": "next"}, a.owner()).Status, "the overlap has ended")
}

func TestAnOverlapEndsTheOldKeyAndItsTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.newAgent(t)
	require.Equal(t, http.StatusCreated, d.rotate(t, a, a.keyID, map[string]any{"overlap_seconds": 60}, a.owner()).Status)
	r := d.exchange(t, a)
	require.LessOrEqual(t, r.Get("expires_in"), 60.0, "a token does not outlive its key")
	w.clock.Advance(61 * time.Second)
	refused(t, d.exchange(t, a), http.StatusUnauthorized, "UNAUTHORIZED")
	require.Equal(t, http.StatusUnauthorized, d.me(t, a.token), "nor does one from before the rotation")
}

func TestAnOverlapDoesNotLengthenALife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.register(t, map[string]any{"agent_name": newName()})
	made := d.Call(t, http.MethodPost, a.path(), map[string]any{"name": "day", "expires_in_days": 1}, a.owner())
	r := d.rotate(t, a, made.Text("key_id"), map[string]any{"overlap_seconds": 7 * 24 * 3600}, a.owner())
	require.Equal(t, http.StatusCreated, r.Status)
	for _, key := range d.Call(t, http.MethodGet, a.path(), nil, a.owner()).Get("keys").([]any) {
		expires := instant(t, key.(map[string]any)["expires_at"].(string))
		require.WithinDuration(t, w.clock.Now().Add(24*time.Hour), expires, time.Minute)
	}
}

func TestRotateKeyRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a, stranger := d.newAgent(t), d.newAgent(t)
	other, _ := d.newKey(t, a)
	ended, _ := d.newKey(t, a)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, a.keyPath(ended), nil, a.owner()).Status)
	expired := d.Call(t, http.MethodPost, a.path(), map[string]any{"name": "day", "expires_in_days": 1}, a.owner()).Text("key_id")
	w.clock.Advance(25 * time.Hour)
	a.token, stranger.token = d.newToken(t, a), d.newToken(t, stranger)
	before := w.count(t, "keys")
	tests := map[string]struct {
		keyID      string
		body       any
		credential svctest.Option
		status     int
		code       string
	}{
		"another key by a token":       {other, nil, a.bearer(), 403, "FORBIDDEN"},
		"a stranger's token":           {a.keyID, nil, stranger.bearer(), 403, "FORBIDDEN"},
		"a stranger's recovery key":    {a.keyID, nil, stranger.owner(), 403, "FORBIDDEN"},
		"an API key":                   {a.keyID, nil, a.program(), 401, "UNAUTHORIZED"},
		"a revoked key":                {ended, nil, a.owner(), 404, "NOT_FOUND"},
		"an expired key":               {expired, nil, a.owner(), 404, "NOT_FOUND"},
		"an expired key's overlap":     {expired, map[string]any{"overlap_seconds": 60}, a.owner(), 404, "NOT_FOUND"},
		"somebody else's key":          {stranger.keyID, nil, a.owner(), 404, "NOT_FOUND"},
		"a malformed id":               {"nonsense", nil, a.owner(), 404, "NOT_FOUND"},
		"a negative overlap":           {other, map[string]any{"overlap_seconds": -1}, a.owner(), 400, "INVALID_REQUEST"},
		"an overlap of over a week":    {other, map[string]any{"overlap_seconds": 7*24*3600 + 1}, a.owner(), 400, "INVALID_REQUEST"},
		"an overlap that is a text":    {other, map[string]any{"overlap_seconds": "60"}, a.owner(), 400, "INVALID_REQUEST"},
		"a list in place of an object": {other, []any{}, a.owner(), 400, "INVALID_REQUEST"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			refused(t, d.rotate(t, a, tt.keyID, tt.body, tt.credential), tt.status, tt.code)
		})
	}
	require.Equal(t, before, w.count(t, "keys"))
}
