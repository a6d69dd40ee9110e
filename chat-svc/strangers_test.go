package chatsvc_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

// things are what the paths and bodies of requests name.
type things struct{ conversation, message, member, block string }

// An operation is one of the document, with a body where it needs one.
type operation struct {
	name         string // METHOD /path/{parameter}
	method, path string
	body         any
}

// operations are those of the document that take a token, made about things,
// but for the RPC family, to which the doors of events belong.
func operations(of things) []operation {
	bodies := map[string]any{
		"POST /api/messages":             object{"conversation_id": of.conversation, "content": "let me in"},
		"PUT /api/messages/{message_id}": object{"content": "let me in"},
		"POST /api/conversations":        object{"type": "group", "members": []string{}},
		"POST /api/blocks":               object{"type": "group", "target_id": of.conversation},

		"PUT /api/conversations/{conversation_id}":           object{"name": "Mine"},
		"POST /api/conversations/{conversation_id}/members":  object{"agent_id": of.member},
		"PUT /api/conversations/{conversation_id}/role":      object{"agent_id": of.member, "role": "admin"},
		"POST /api/conversations/{conversation_id}/transfer": object{"agent_id": of.member},
		"POST /api/conversations/{conversation_id}/read":     object{"up_to": of.message},
	}
	parts := strings.NewReplacer("{conversation_id}", of.conversation, "{message_id}", of.message, "{agent_id}", of.member, "{block_id}", of.block)
	var all []operation
	for _, name := range document.Operations() {
		method, pattern, _ := strings.Cut(name, " ")
		under := strings.TrimPrefix(pattern, "/api/")
		if _, rpc := methods("", "")[under]; pattern != "/health" && !rpc && !slices.Contains(eventPaths(), under) {
			all = append(all, operation{name, method, parts.Replace(pattern), bodies[name]})
		}
	}
	return all
}

// aboutSomething tells the operations that are about one conversation, message
// or block from those about the caller alone.
func (o operation) aboutSomething() bool {
	return strings.Contains(o.name, "{") || o.name == "POST /api/messages"
}

func TestOperationsTakeAToken(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	all := operations(things{conversation, p.ann.say(t, conversation, "between us").Text("message_id"), p.bob.id, p.ann.block(t, p.eve.id)})
	require.Len(t, all, 20)
	for _, o := range all {
		require.Equal(t, 401, p.ann.Call(t, o.method, o.path, o.body).Status, "%s without a token", o.name)
		require.Equal(t, 401, p.ann.Call(t, o.method, o.path, o.body, svctest.WithBearer(p.ann.token+"x")).Status, "%s with a broken token", o.name)
	}
}

// Who is no member of a conversation, or is one no more, is told of everything
// in it that it is not there, as of what is nowhere.
func TestStrangers(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	group := p.ann.group(t, p.bob.id)
	there := things{group, p.bob.say(t, group, "between us").Text("message_id"), p.ann.id, p.ann.block(t, p.eve.id)}
	former := p.bob.messages(t, "?limit=1")
	p.ann.want(t, 200, "DELETE", "/api/conversations/"+group+"/members/"+p.bob.id, nil)
	nowhere := things{
		"conv_00000000-0000-4000-8000-000000000000", nothingAt(there.message), p.ann.id, "blk_00000000000000000000",
	}
	for name, tt := range map[string]struct {
		who   person
		about things
		spare string // an operation that answers otherwise
	}{
		"who never was a member":     {p.eve, there, ""},
		"who was removed":            {p.bob, there, ""},
		"a member, of what is not":   {p.ann, nowhere, ""},
		"a member, of malformed ids": {p.ann, things{"conv_x", "msg_x", "bob", "blk_x"}, "POST /api/messages"}, // of a body: 400
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range operations(tt.about) {
				if !o.aboutSomething() || o.name == tt.spare {
					continue
				}
				answer := tt.who.want(t, 404, o.method, o.path, o.body, svctest.BadRequest())
				require.Equal(t, "NOT_FOUND", answer.Text("error.code"), o.name)
			}
		})
	}
	for _, who := range []person{p.bob, p.eve} {
		require.Empty(t, who.want(t, 200, "GET", "/api/conversations", nil).Get("conversations"))
		require.Empty(t, who.messages(t, "").Messages)
	}
	p.ann.say(t, group, "without bob")
	p.bob.want(t, 404, "GET", "/api/conversations/"+group+"/messages?after="+former.Next, nil)
	require.Empty(t, p.bob.messages(t, "?after="+former.Next).Messages)
}

// The document says of each operation which scopes let it pass, each alone.
func TestScopes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	of := things{conversation, p.ann.say(t, conversation, "x").Text("message_id"), p.bob.id, p.ann.block(t, p.eve.id)}
	named := regexp.MustCompile("`([a-z]+:[a-z]+)`")
	described := descriptions(t)
	callers := map[string]person{}
	for _, scope := range token.AllScopes() {
		callers[scope] = person{p.eve.Client, p.eve.id, p.auth.token(t, p.eve.id, scope)}
	}
	for _, o := range operations(of) {
		var pass []string
		for _, match := range named.FindAllStringSubmatch(described[o.name], -1) {
			pass = append(pass, match[1])
		}
		require.NotEmpty(t, pass, o.name)
		for scope, who := range callers {
			answer := who.ask(t, o.method, o.path, o.body)
			lacks := answer.Text("error.code") == "INSUFFICIENT_SCOPE"
			require.Equal(t, !slices.Contains(pass, scope), lacks, "%s with %s: %s", o.name, scope, answer.Body)
		}
	}
}

// descriptions are what the document says of its operations.
func descriptions(t *testing.T) map[string]string {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(chatsvc.OpenAPI, &document))
	all := map[string]string{}
	for path, item := range document.Paths {
		for method, raw := range item {
			var one struct{ Description string }
			if json.Unmarshal(raw, &one) == nil { // the parameters are a list
				all[strings.ToUpper(method)+" "+path] = one.Description
			}
		}
	}
	return all
}
