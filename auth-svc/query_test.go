package authsvc_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/internal/mongostore"
	"chatplatform.io/svckit/svctest"
)

// hot are the calls that happen all day, with the commands that each sends.
func (d *door) hot(a agent) map[string]struct {
	call func(t *testing.T) *svctest.Response
	want []string
} {
	type hot = struct {
		call func(t *testing.T) *svctest.Response
		want []string
	}
	return map[string]hot{
		"a key for a token": {func(t *testing.T) *svctest.Response { return d.exchange(t, a) }, []string{"find keys"}},
		"a refreshed token": {func(t *testing.T) *svctest.Response {
			return d.Call(t, http.MethodPost, "/api/auth/refresh", nil, a.bearer())
		}, []string{"find revoked_tokens", "find keys", "find keys"}},
		"who am I": {func(t *testing.T) *svctest.Response {
			return d.Call(t, http.MethodPost, "/api/getMe", nil, a.bearer())
		}, []string{"find revoked_tokens", "find keys", "find accounts"}},
		"who is that": {func(t *testing.T) *svctest.Response { return d.user(t, a, a.name) },
			[]string{"find revoked_tokens", "find keys", "find names", "find accounts"}},
		"a profile": {func(t *testing.T) *svctest.Response { return d.profile(t, a, a) },
			[]string{"find revoked_tokens", "find keys", "find accounts"}},
		"the keys": {func(t *testing.T) *svctest.Response {
			return d.Call(t, http.MethodGet, a.path(), nil, a.owner())
		}, []string{"find accounts", "find keys", "find keys"}}, // the live ones, and some that ended
	}
}

func TestHotQueriesAreFewAndCarryTheirShardKey(t *testing.T) {
	t.Parallel()
	shardKeys := map[string][]string{}
	for _, collection := range mongostore.Schema().Collections {
		shardKeys[collection.Name] = collection.ShardKey
	}
	w := newWorld(t)
	var commands svctest.Commands
	w.config.Outbox = "" // the mail loop looks for work by itself
	w.config.MongoDB.Monitors = append(w.config.MongoDB.Monitors, commands.Monitor())
	d := w.open(t)
	a := d.newAgent(t)
	for outcome, hot := range d.hot(a) {
		t.Run(outcome, func(t *testing.T) {
			commands.Reset()
			require.Equal(t, http.StatusOK, hot.call(t).Status)
			var sent []string
			for _, command := range commands.Sent() {
				if command.Name == "update" { // the last use of a key, which is written behind
					continue
				}
				sent = append(sent, command.Name+" "+command.Collection)
				require.True(t, command.Carries(shardKeys[command.Collection]...), "%s %v", command.Collection, command.Filters)
			}
			require.Equal(t, hot.want, sent)
		})
	}
}

func TestSchemaCanBeSharded(t *testing.T) {
	t.Parallel()
	require.NoError(t, mongostore.Schema().Validate())
}
