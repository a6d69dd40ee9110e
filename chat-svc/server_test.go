package chatsvc_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/observe"
	"chatplatform.io/svckit/program"
	"chatplatform.io/svckit/settings"
	"chatplatform.io/svckit/svctest"
)

// document adds up what all tests of the package call.
var document *svctest.Document

func TestMain(m *testing.M) {
	var err error
	if document, err = svctest.ParseDocument(chatsvc.OpenAPI); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := svctest.Run(m)
	if uncalled := document.Uncovered(); code == 0 && len(uncalled) > 0 {
		fmt.Fprintln(os.Stderr, "no test calls", uncalled)
		code = 1
	}
	os.Exit(code)
}

// An installation is a database with an auth-svc, for as many servers as a
// test wants.
type installation struct {
	auth     *auth
	database mongodb.Settings
	anyClock bool // servers serve whatever their clock shows
}

func install(t *testing.T) installation {
	t.Helper()
	i := installation{auth: newAuth(t), database: svctest.Settings(t)}
	require.NoError(t, migrate(t, i))
	return i
}

func migrate(t *testing.T, i installation) error {
	deps, _ := i.logged(t)
	return chatsvc.Migrate(t.Context(), i.config(t), deps)
}

func (i installation) config(t *testing.T, environ ...string) chatsvc.Config {
	t.Helper()
	config, err := settings.Load[chatsvc.Config](append([]string{
		"ISSUER=" + issuer, "AUTH_INTERNAL_URL=" + i.auth.URL, "SERVICE_SECRET_FILE=" + i.auth.secretFile,
		"MONGODB_URI=" + i.database.URI, "MONGODB_DATABASE=" + i.database.Database, "MONGODB_TIMEOUT=" + i.database.Timeout.String(),
		"REQUEST_TIMEOUT=" + patience.String(), "POLL_BURST=100000", "CREATION_BURST=100000", "SEND_BURST=100000", // tests do not wait
	}, environ...))
	require.NoError(t, err)
	config.MongoDB.Monitors, config.MongoDB.Silence = i.database.Monitors, i.database.Silence
	if i.anyClock {
		config.ClockOffset = 100 * 365 * 24 * time.Hour
	}
	return config
}

// logged gives what a server is given from outside, and its log.
func (i installation) logged(t *testing.T) (program.Deps, *svctest.LogBuffer) {
	t.Helper()
	_, logs := svctest.Logs(t)
	observer, err := observe.Open(t.Context(), chatsvc.Name, "test", observe.Settings{}, logs)
	require.NoError(t, err)
	return program.Deps{Observer: observer, Version: "test", Now: time.Now}, logs
}

// server opens one server, until the test ends.
func (i installation) server(t *testing.T, environ ...string) *chatsvc.Server {
	t.Helper()
	deps, _ := i.logged(t)
	return i.serverWith(t, deps, environ...)
}

func (i installation) serverWith(t *testing.T, deps program.Deps, environ ...string) *chatsvc.Server {
	t.Helper()
	server, err := chatsvc.Open(t.Context(), i.config(t, environ...), deps)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(context.Background())) })
	return server
}

// A person calls a server as one account.
type person struct {
	*svctest.Client
	id    string
	token string
}

// as gives somebody with a token of the default scopes.
func (i installation) as(t *testing.T, client *svctest.Client, n int) person {
	t.Helper()
	id := agent(n)
	return person{client, id, i.auth.token(t, id)}
}

func agent(n int) string { return fmt.Sprintf("agt_%020d", n) }

// nobody is the id of an account that does not exist.
func nobody() string { return "agt_99999999999999999999" }

func (p person) do(t *testing.T, method, path string, body any, opts ...svctest.Option) *svctest.Response {
	t.Helper()
	return p.Call(t, method, path, body, append([]svctest.Option{svctest.WithBearer(p.token)}, opts...)...)
}

// patience is how long a machine that stands still is waited for.
const patience = 30 * time.Second

// ask is do as an obedient client does it: a GET that is answered 503 with
// Retry-After, as where a feed is behind on a busy machine, is made again. What
// is answered so for long, and every other request, is answered as it is.
func (p person) ask(t *testing.T, method, path string, body any, opts ...svctest.Option) *svctest.Response {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for begun := time.Now(); ; <-again.C {
		answer := p.do(t, method, path, body, opts...)
		retry := answer.Status == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != ""
		if method != http.MethodGet || !retry || time.Since(begun) > patience {
			return answer
		}
	}
}

// want is ask for an answer that must have a status, and do for one that must
// be 503.
func (p person) want(t *testing.T, status int, method, path string, body any, opts ...svctest.Option) *svctest.Response {
	t.Helper()
	call := p.ask
	if status == http.StatusServiceUnavailable {
		call = p.do
	}
	answer := call(t, method, path, body, opts...)
	require.Equal(t, status, answer.Status, "%s %s: %s", method, path, answer.Body)
	return answer
}

type object map[string]any

func (p person) group(t *testing.T, members ...string) string {
	t.Helper()
	if members == nil {
		members = []string{}
	}
	return p.want(t, 201, "POST", "/api/conversations", object{"type": "group", "name": "Team", "members": members}).Text("conversation_id")
}

func (p person) say(t *testing.T, conversation, text string, opts ...svctest.Option) *svctest.Response {
	t.Helper()
	return p.want(t, 201, "POST", "/api/messages", object{"conversation_id": conversation, "content": text}, opts...)
}

// place is two people on a server of their own.
type place struct {
	installation
	ann, bob, eve person // eve is a member of nothing
}

func newPlace(t *testing.T, environ ...string) place {
	t.Helper()
	i := install(t)
	client := document.Client(t, i.server(t, environ...).Handler())
	return place{i, i.as(t, client, 1), i.as(t, client, 2), i.as(t, client, 3)}
}

func TestRoutesAreTheDocuments(t *testing.T) {
	t.Parallel()
	routes := chatsvc.Routes(install(t).server(t))
	for n, route := range routes {
		for strings.Contains(route, ":") {
			before, rest, _ := strings.Cut(route, ":")
			parameter, after, more := strings.Cut(rest, "/")
			route = before + "{" + parameter + "}"
			if more {
				route += "/" + after
			}
		}
		routes[n] = route
	}
	slices.Sort(routes)
	require.Equal(t, document.Operations(), routes)
}
