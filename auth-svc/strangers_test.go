package authsvc_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	authsvc "chatplatform.io/auth-svc"
	"chatplatform.io/svckit/svctest"
)

// An operation is one of the OpenAPI document and the kinds of credential that
// it takes, each by its name there.
type operation struct {
	method, path string
	credentials  []string
	body         bool
}

// operations lists those of the document that want a credential.
func operations(t *testing.T) []operation {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(authsvc.OpenAPI, &document))
	var found []operation
	for path, item := range document.Paths {
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			var described struct {
				Security    []map[string][]string
				RequestBody json.RawMessage
			}
			require.NoError(t, json.Unmarshal(raw, &described), "%s %s", method, path)
			require.NotNil(t, described.Security, "%s %s says nothing of credentials", method, path)
			o := operation{method: strings.ToUpper(method), path: path, body: described.RequestBody != nil}
			for _, choice := range described.Security {
				o.credentials = slices.AppendSeq(o.credentials, maps.Keys(choice))
			}
			if len(o.credentials) > 0 {
				found = append(found, o)
			}
		}
	}
	return found
}

func TestStrangersAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	all := operations(t)
	require.NotEmpty(t, all)
	for _, o := range all {
		t.Run(o.method+" "+o.path, func(t *testing.T) {
			t.Parallel()
			owner, stranger := d.newAgent(t), d.newAgent(t)
			path := strings.NewReplacer("{agent_id}", owner.id, "{key_id}", owner.keyID).Replace(o.path)
			call := func(credential svctest.Option) *svctest.Response {
				var body any
				if o.body {
					body = map[string]any{}
				}
				return d.Call(t, o.method, path, body, credential, svctest.BadRequest())
			}
			for outcome, credential := range noCredentials(owner, stranger) {
				r := call(credential)
				if open := slices.Contains(o.credentials, "recoveryKey") && o.path == recoverPath && isNotBasic(outcome); open {
					require.Equal(t, http.StatusBadRequest, r.Status, "a caller without a credential asks for a code")
					continue
				}
				require.Equal(t, http.StatusUnauthorized, r.Status, "%s: %s", outcome, r.Body)
				require.NotEmpty(t, r.Header.Get("WWW-Authenticate"), outcome)
			}
			for outcome, credential := range wrongCredentials(o, owner, stranger) {
				r := call(credential)
				require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, r.Status, "%s: %s", outcome, r.Body)
			}
			require.Equal(t, http.StatusOK, d.me(t, owner.token), "nothing was changed")
			require.Equal(t, http.StatusOK, d.Call(t, http.MethodGet, owner.path(), nil, owner.owner()).Status)
		})
	}
}

// noCredentials prove nobody, whatever is called.
func noCredentials(owner, stranger agent) map[string]svctest.Option {
	return map[string]svctest.Option{
		"nothing":                          svctest.WithHeader("X-Nothing", "1"),
		"an empty header":                  svctest.WithHeader("Authorization", ""),
		"a garbage scheme":                 svctest.WithHeader("Authorization", "Digest username=x"),
		"a garbage token":                  svctest.WithBearer("garbage"),
		"a token that is long":             svctest.WithBearer(strings.Repeat("x", 5000)),
		"a token in pieces":                svctest.WithBearer(owner.token + "x"),
		"a secret as a token":              svctest.WithBearer(owner.recovery),
		"basic garbage":                    svctest.WithHeader("Authorization", "Basic !!!"),
		"basic without a colon":            svctest.WithHeader("Authorization", "Basic eHh4"),
		"basic with an empty secret":       svctest.WithBasic(owner.id, ""),
		"basic with the other's secret":    svctest.WithBasic(owner.id, stranger.recovery),
		"basic with the other's key":       svctest.WithBasic(owner.id, stranger.key),
		"basic with the name for the id":   svctest.WithBasic(owner.name, owner.recovery),
		"basic with a token as the secret": svctest.WithBasic(owner.id, owner.token),
	}
}

func isNotBasic(outcome string) bool { return !strings.HasPrefix(outcome, "basic") }

// wrongCredentials are good ones that do not open this operation: of a kind
// that it does not take, or a stranger's where it is about the owner.
func wrongCredentials(o operation, owner, stranger agent) map[string]svctest.Option {
	wrong := map[string]svctest.Option{}
	if !slices.Contains(o.credentials, "bearer") && o.path != recoverPath {
		wrong["a token"] = owner.bearer()
	}
	if !slices.Contains(o.credentials, "apiKey") {
		wrong["an API key"] = owner.program()
	}
	if !slices.Contains(o.credentials, "recoveryKey") {
		wrong["the recovery key"] = owner.owner()
	}
	if strings.Contains(o.path, "{agent_id}") && o.path+o.method != "/api/agents/{agent_id}/profileGET" {
		wrong["a stranger's token"] = stranger.bearer()
		wrong["a stranger's recovery key"] = stranger.owner()
		wrong["a stranger's API key"] = stranger.program()
	}
	return wrong
}
