package authsvc_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/svckit/svctest"
)

// credential is a service's own secret.
func (w *world) credential(t *testing.T, service string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(w.config.ServiceCredentialsDir, service))
	require.NoError(t, err)
	return strings.TrimSpace(string(content))
}

func basic(name, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, secret) }
}

func (d *door) serviceToken(t *testing.T, body any, opts ...func(*http.Request)) *svctest.Response {
	t.Helper()
	return send(t, http.MethodPost, d.internal+"/internal/token", body, opts...)
}

// callAs is a token by which chat-svc calls the internal door.
func (w *world) callAs(t *testing.T, d *door) string {
	t.Helper()
	r := d.serviceToken(t, map[string]any{"grant_type": "client_credentials", "audience": accounts.Audience}, basic(caller, w.credential(t, caller)))
	require.Equal(t, http.StatusOK, r.Status, string(r.Body))
	return r.Text("access_token")
}

func TestServiceTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	good := basic(caller, w.credential(t, caller))
	a := d.newAgent(t)
	body := map[string]any{"grant_type": "client_credentials", "audience": "auth-svc"}
	tests := map[string]struct {
		body       any
		credential func(*http.Request)
		status     int
		code       string
	}{
		"the right credential":            {body, good, 200, ""},
		"for another service":             {map[string]any{"grant_type": "client_credentials", "audience": "agent-llm-svc"}, good, 200, ""},
		"a wrong secret":                  {body, basic(caller, strings.Repeat("x", 32)), 401, "UNAUTHORIZED"},
		"an unknown service":              {body, basic("other-svc", w.credential(t, caller)), 401, "UNAUTHORIZED"},
		"an agent's key":                  {body, basic(a.id, a.key), 401, "UNAUTHORIZED"},
		"no credential":                   {body, func(*http.Request) {}, 401, "UNAUTHORIZED"},
		"a token":                         {body, bearer(a.token), 401, "UNAUTHORIZED"},
		"another grant type":              {map[string]any{"grant_type": "password", "audience": "auth-svc"}, good, 400, "INVALID_REQUEST"},
		"no audience":                     {map[string]any{"grant_type": "client_credentials"}, good, 400, "INVALID_REQUEST"},
		"the audience of agents' tokens":  {map[string]any{"grant_type": "client_credentials", "audience": "chatplatform"}, good, 400, "INVALID_REQUEST"},
		"an audience that nobody answers": {map[string]any{"grant_type": "client_credentials", "audience": "other-svc"}, good, 400, "INVALID_REQUEST"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			r := d.serviceToken(t, tt.body, tt.credential)
			require.Equal(t, tt.status, r.Status, string(r.Body))
			require.Equal(t, tt.code, r.Text("error.code"))
			if tt.status == http.StatusOK {
				require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
				require.Equal(t, http.StatusUnauthorized, d.me(t, r.Text("access_token")), "the public door does not take it")
			}
		})
	}
}

func TestTheInternalDoorTakesServicesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.newAgent(t)
	other := d.serviceToken(t, map[string]any{"grant_type": "client_credentials", "audience": "chat-svc"}, basic(caller, w.credential(t, caller))).Text("access_token")
	for _, path := range []string{"POST /internal/introspect", "POST /internal/accounts", "GET /internal/changes?after=0"} {
		method, path, _ := strings.Cut(path, " ")
		for outcome, credential := range map[string]func(*http.Request){
			"nothing": func(*http.Request) {}, "garbage": bearer("garbage"), "an agent's token": bearer(a.token),
			"a token for another service": bearer(other), "the credential itself": basic(caller, w.credential(t, caller)),
			"a development token": bearer("dev:" + a.name),
		} {
			t.Run(path+" with "+outcome, func(t *testing.T) {
				r := send(t, method, d.internal+path, map[string]any{}, credential)
				refused(t, r, http.StatusUnauthorized, "UNAUTHORIZED")
				require.Contains(t, r.Header.Get("WWW-Authenticate"), "Bearer")
			})
		}
	}
}

func TestIntrospect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	as := bearer(w.callAs(t, d))
	introspect := func(token string) *svctest.Response {
		return send(t, http.MethodPost, d.internal+"/internal/introspect", nil, as, func(r *http.Request) {
			form := url.Values{"token": {token}}.Encode()
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Body, r.ContentLength = readCloser(form), int64(len(form))
		})
	}
	inactive := map[string]any{"active": false}
	live, revoked, keyless, deleted := d.newAgent(t, "llm:chat"), d.newAgent(t), d.newAgent(t), d.newAgent(t)
	require.Equal(t, http.StatusOK, d.Call(t, http.MethodPost, revokePath, nil, revoked.bearer()).Status)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, keyless.keyPath(keyless.keyID), nil, keyless.owner()).Status)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, deleted.path(), nil, deleted.owner()).Status)

	r := introspect(live.token)
	require.Equal(t, http.StatusOK, r.Status, string(r.Body))
	require.Equal(t, true, r.Get("active"))
	require.Equal(t, live.id, r.Text("sub"))
	require.Equal(t, live.keyID, r.Text("client_id"))
	require.Equal(t, "llm:chat", r.Text("scope"))
	require.InDelta(t, 900, r.Get("exp").(float64)-r.Get("iat").(float64), 1)
	for outcome, token := range map[string]string{
		"nothing": "", "garbage": "garbage", "a revoked token": revoked.token, "a token of a revoked key": keyless.token,
		"a token of a deleted account": deleted.token, "an API key": live.key, "a service's token": w.callAs(t, d),
	} {
		r := introspect(token)
		require.Equal(t, http.StatusOK, r.Status, outcome)
		var body map[string]any
		r.Into(t, &body)
		require.Equal(t, inactive, body, outcome)
	}
}

func TestLookUpAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	as := bearer(w.callAs(t, d))
	a, gone := d.newAgent(t), d.newAgent(t)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, gone.path(), nil, gone.owner()).Status)
	lookUp := func(body any) *svctest.Response {
		return send(t, http.MethodPost, d.internal+"/internal/accounts", body, as)
	}
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("agt_%020d", i)
	}
	tests := map[string]struct {
		body  any
		found []string
	}{
		"nothing":                      {map[string]any{}, nil},
		"by id":                        {map[string]any{"ids": []string{a.id}}, []string{a.id}},
		"by name in any case":          {map[string]any{"names": []string{strings.ToUpper(a.name)}}, []string{a.id}},
		"once for id and name":         {map[string]any{"ids": []string{a.id, a.id}, "names": []string{a.name}}, []string{a.id}},
		"a tombstone too":              {map[string]any{"ids": []string{a.id, gone.id}}, []string{a.id, gone.id}},
		"a tombstone by name":          {map[string]any{"names": []string{gone.name}}, []string{gone.id}},
		"what does not exist is left":  {map[string]any{"ids": []string{"agt_x", a.id}, "names": []string{"nobody"}}, []string{a.id}},
		"a thousand at once are taken": {map[string]any{"ids": many}, nil},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			r := lookUp(tt.body)
			require.Equal(t, http.StatusOK, r.Status, string(r.Body))
			var answer accounts.LookupAnswer
			r.Into(t, &answer)
			var found []string
			for _, account := range answer.Accounts {
				found = append(found, account.ID)
				require.Equal(t, account.ID == gone.id, account.Deleted)
			}
			require.ElementsMatch(t, tt.found, found)
		})
	}
	refusedField(t, lookUp(map[string]any{"ids": many, "names": []string{a.name}}), "ids")
	refusedField(t, lookUp(map[string]any{"ids": a.id}), "ids")
	refusedField(t, lookUp([]string{a.id}), "body")
}

func (d *door) changes(t *testing.T, as func(*http.Request), query string) accounts.ChangesAnswer {
	t.Helper()
	r := send(t, http.MethodGet, d.internal+"/internal/changes?"+query, nil, as)
	require.Equal(t, http.StatusOK, r.Status, string(r.Body))
	var answer accounts.ChangesAnswer
	require.NoError(t, json.Unmarshal(r.Body, &answer))
	return answer
}

func TestChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	as := bearer(w.callAs(t, d))
	require.Empty(t, d.changes(t, as, "after=0").Changes)
	a := d.newAgent(t)
	require.Empty(t, d.changes(t, as, "after=0").Changes, "a new account concerns nobody yet")

	status := func(method, path string, body any, credential svctest.Option) {
		r := d.Call(t, method, path, body, credential)
		require.Less(t, r.Status, 300, string(r.Body))
	}
	status(http.MethodPost, revokePath, nil, a.bearer())
	w.clock.Advance(time.Minute)
	between := w.clock.Now()
	a.token = d.newToken(t, a)
	status(http.MethodPatch, a.path()+"/profile", map[string]any{"display_name": "New"}, a.bearer())
	status(http.MethodPost, a.keyPath(a.keyID)+"/rotate", nil, a.bearer())
	second, _ := d.newKey(t, a)
	status(http.MethodDelete, a.path()+"?content=erase", nil, a.owner())

	all := d.changes(t, as, "after=0")
	var kinds []string
	for i, change := range all.Changes {
		require.EqualValues(t, i+1, change.Position)
		require.Equal(t, a.id, change.AccountID)
		kinds = append(kinds, change.Kind)
	}
	require.Equal(t, []string{accounts.TokenRevoked, accounts.AccountUpdated, accounts.KeysRevoked, accounts.KeysRevoked, accounts.AccountDeleted}, kinds)
	require.EqualValues(t, len(kinds), all.Position)
	require.NotEmpty(t, all.Changes[0].TokenID)
	require.Equal(t, []string{a.keyID}, all.Changes[2].KeyIDs)
	require.Contains(t, all.Changes[3].KeyIDs, second)
	require.NotContains(t, all.Changes[3].KeyIDs, a.keyID, "it had ended before")
	require.Equal(t, "erase", all.Changes[4].Content)

	require.Equal(t, all.Changes[3:], d.changes(t, as, "after=3").Changes)
	require.Equal(t, all.Changes[1:], d.changes(t, as, "since="+url.QueryEscape(between.UTC().Format(time.RFC3339Nano))).Changes)
	require.Empty(t, d.changes(t, as, "since="+url.QueryEscape(w.clock.Now().Add(time.Hour).UTC().Format(time.RFC3339))).Changes)
	end := d.changes(t, as, "after=5")
	require.Empty(t, end.Changes)
	require.EqualValues(t, 5, end.Position, "a reader goes on from where it was")
}

func TestChangesAreWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, other := w.open(t), w.open(t)
	as := bearer(w.callAs(t, d))
	a := d.newAgent(t)
	var heard accounts.ChangesAnswer
	var reading sync.WaitGroup
	reading.Go(func() { heard = d.changes(t, as, "after=0&wait=30") })
	require.Equal(t, http.StatusOK, other.Call(t, http.MethodPost, revokePath, nil, a.bearer()).Status)
	start := time.Now()
	reading.Wait()
	require.Len(t, heard.Changes, 1)
	require.Less(t, time.Since(start), 25*time.Second, "long before the wait would have ended")

	start = time.Now()
	require.Empty(t, d.changes(t, as, "after=1&wait=1").Changes)
	require.GreaterOrEqual(t, time.Since(start), time.Second)
}

func TestChangesAfterARestoredBackup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	as := bearer(w.callAs(t, d))
	a := d.newAgent(t)
	require.Equal(t, http.StatusOK, d.Call(t, http.MethodPost, revokePath, nil, a.bearer()).Status)
	ask := func(query string) *svctest.Response {
		return send(t, http.MethodGet, d.internal+"/internal/changes?"+query, nil, as)
	}
	epoch := d.changes(t, as, "after=0").Epoch
	require.NotEmpty(t, epoch)
	require.Equal(t, http.StatusOK, ask("after=1&epoch="+epoch).Status)
	for _, query := range []string{"after=2", "after=2&wait=20&epoch=" + epoch, "after=0&epoch=another"} {
		refused(t, ask(query), http.StatusBadRequest, "INVALID_CURSOR")
	}

	// What a backup from before the revocation holds.
	for _, collection := range []string{"changes", "counters"} {
		_, err := w.db.Collection(collection).DeleteMany(t.Context(), bson.D{})
		require.NoError(t, err)
	}
	refused(t, ask("after=1&epoch="+epoch), http.StatusBadRequest, "INVALID_CURSOR")
	require.Zero(t, d.changes(t, as, "after=0&epoch="+epoch).Position, "the feed begins anew")
}

func TestChangesRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	as := bearer(w.callAs(t, d))
	for query, field := range map[string]string{
		"": "after", "after=": "after", "after=-1": "after", "after=x": "after", "after=1.5": "after",
		"since=yesterday": "since", "since=2026-11-24": "since", "after=0&wait=31": "wait", "after=0&wait=-1": "wait", "after=0&wait=x": "wait",
	} {
		refusedField(t, send(t, http.MethodGet, d.internal+"/internal/changes?"+query, nil, as), field)
	}
}

func TestWaitingReadersDoNotHoldUpALeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var commands svctest.Commands
	w.config.MongoDB.Monitors = append(w.config.MongoDB.Monitors, commands.Monitor())
	w.config.Serving.Grace = 30 * time.Second
	stop, url := serving(t, w.server(t))
	d := w.open(t)
	as := bearer(w.callAs(t, d))
	var reading sync.WaitGroup
	reading.Go(func() {
		require.Equal(t, http.StatusOK, send(t, http.MethodGet, url+"/internal/changes?after=0&wait=30", nil, as).Status)
	})
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(commands.Sent("find"), func(c svctest.Command) bool { return c.Collection == "changes" })
	}, 30*time.Second, 10*time.Millisecond, "the reader waits")
	start := time.Now()
	stop()
	require.Less(t, time.Since(start), 25*time.Second, "the drain did not wait for the reader")
	reading.Wait()
}
