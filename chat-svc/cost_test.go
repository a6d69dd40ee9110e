package chatsvc_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/svckit/svctest"
)

// watched is a place whose database commands are recorded.
func watched(t *testing.T, environ ...string) (place, *svctest.Commands) {
	t.Helper()
	i := install(t)
	commands := &svctest.Commands{}
	i.database.Monitors = append(i.database.Monitors, commands.Monitor())
	client := document.Client(t, i.server(t, environ...).Handler())
	// The look for closed conversations asks every shard, once a minute.
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(commands.Sent("find"), func(c svctest.Command) bool { return c.Collection == "conversations" })
	}, 10*time.Second, time.Millisecond)
	commands.Reset()
	return place{i, i.as(t, client, 1), i.as(t, client, 2), i.as(t, client, 3)}, commands
}

// names lists the commands sent since the last call, without read marks, which
// are written behind and together.
func names(commands *svctest.Commands) []string {
	var sent []string
	for _, command := range commands.Sent() {
		name := command.Name + " " + command.Collection
		if command.Name != "update" && command.Comment == "" && command.Collection != "" {
			sent = append(sent, name)
		}
	}
	commands.Reset()
	return sent
}

// settle lets the feed tell everything so far; after that the server knows of a
// member's rights, and reads them no more.
func (p person) settle(t *testing.T, conversation string) {
	t.Helper()
	next := p.messages(t, "").Next
	p.say(t, conversation, "settling")
	require.Eventually(t, func() bool {
		answer := p.do(t, "GET", "/api/messages?after="+next, nil)
		return answer.Status == 200 && len(answer.Get("messages").([]any)) > 0
	}, 20*time.Second, 5*time.Millisecond)
	p.say(t, conversation, "settled")
}

func TestASendCostsTheSameWhateverTheMembers(t *testing.T) {
	t.Parallel()
	p, commands := watched(t)
	many := make([]string, 499)
	for n := range many {
		many[n] = agent(1000 + n)
	}
	costs := map[string][]string{}
	for name, conversation := range map[string]string{"2 members": p.ann.group(t, p.bob.id), "500 members": p.ann.group(t, many...)} {
		p.ann.settle(t, conversation)
		names(commands)
		p.ann.say(t, conversation, "hello")
		costs[name] = names(commands)
	}
	require.Equal(t, []string{"insert messages"}, costs["2 members"])
	require.Equal(t, costs["2 members"], costs["500 members"])
}

func TestAPageIsOneQuery(t *testing.T) {
	t.Parallel()
	p, commands := watched(t)
	conversation := p.ann.group(t, p.bob.id)
	path := "/api/conversations/" + conversation + "/messages?limit=3&cursor="
	page := []string{"find messages"}
	for range 8 {
		p.ann.say(t, conversation, "x")
	}
	p.bob.settle(t, conversation)
	p.bob.want(t, 200, "GET", path, nil) // from now on bob's lists are in memory
	p.ann.say(t, conversation, "something new")
	names(commands)
	cursor := p.bob.want(t, 200, "GET", path, nil).Text("cursor")
	require.Equal(t, page, names(commands), "the first page")
	p.bob.want(t, 200, "GET", path+cursor, nil)
	require.Equal(t, page, names(commands), "a page by cursor")
	p.bob.want(t, 200, "GET", "/api/conversations", nil)
	p.bob.want(t, 200, "GET", "/api/messages", nil)
	names(commands)
	p.bob.want(t, 200, "GET", "/api/conversations", nil)
	require.Equal(t, []string{"find conversations"}, names(commands), "a list of conversations")
	p.ann.say(t, conversation, "something newer")
	names(commands)
	p.bob.want(t, 200, "GET", "/api/messages", nil)
	require.Equal(t, page, names(commands), "a page over all conversations, of which one is active")
	require.Eventually(t, func() bool { // once the feed, too, has told of what was said
		names(commands)
		p.bob.want(t, 200, "GET", "/api/messages", nil)
		return len(names(commands)) == 0
	}, 20*time.Second, 10*time.Millisecond, "an empty poll")
	next := p.bob.want(t, 200, "GET", "/api/messages", nil).Text("next")
	names(commands)
	p.bob.want(t, 200, "GET", "/api/messages?after="+next, nil)
	require.Empty(t, names(commands), "nothing new")
}

// A change to a message is one look at it and one write, and a repeat or a
// refusal no more than the look.
func TestAChangeIsALookAndAWrite(t *testing.T) {
	t.Parallel()
	p, commands := watched(t)
	conversation := p.ann.group(t, p.bob.id)
	sent := p.ann.say(t, conversation, "x")
	tests := []struct {
		name    string
		who     person
		method  string
		body    any
		written bool
	}{
		{"an edit", p.ann, "PUT", object{"content": "y"}, true},
		{"a second edit", p.ann, "PUT", object{"content": "z"}, true},
		{"an edit that changes nothing", p.ann, "PUT", object{"content": "z"}, false},
		{"an edit of another's", p.bob, "PUT", object{"content": "y"}, false},
		{"a deletion of another's", p.bob, "DELETE", nil, false},
		{"a deletion", p.ann, "DELETE", nil, true},
		{"a second deletion", p.ann, "DELETE", nil, false},
		{"a withdrawal", p.ann, "DELETE", withdrawal(), true},
		{"a second withdrawal", p.ann, "DELETE", withdrawal(), false},
		{"an edit of nothing", p.ann, "PUT", object{"content": "y"}, false},
	}
	for _, tt := range tests {
		commands.Reset()
		answer := tt.who.do(t, tt.method, messagePath(sent), tt.body)
		var names []string
		for _, command := range commands.Sent("find", "update", "findAndModify", "insert", "delete", "aggregate") {
			if command.Collection == "messages" {
				names = append(names, command.Name)
			}
		}
		want := []string{"find"}
		if tt.written {
			want = append(want, "update")
		}
		require.Equal(t, want, names, "%s: %d", tt.name, answer.Status)
	}
}

// Every command but those of transactions' ends and sessions names the shard
// key of its collection.
func TestEveryQueryCarriesTheShardKey(t *testing.T) {
	t.Parallel()
	p, commands := watched(t)
	key := svctest.WithHeader("Idempotency-Key", "k")
	body := object{"type": "group", "members": []string{p.bob.id}}
	conversation := p.ann.want(t, 201, "POST", "/api/conversations", body, key).Text("conversation_id")
	p.ann.want(t, 201, "POST", "/api/conversations", body, key)
	p.ann.want(t, 400, "POST", "/api/conversations", object{"type": "group", "members": []string{nobody()}}, svctest.WithHeader("Idempotency-Key", "r"))
	many := make([]string, 1200)
	for n := range many {
		many[n] = agent(1000 + n)
	}
	crowd := p.ann.group(t, many...)
	p.ann.unblock(t, p.ann.block(t, p.eve.id))
	first := p.ann.say(t, conversation, "one", key).Text("message_id")
	p.ann.say(t, conversation, "one", key)
	p.bob.want(t, 201, "POST", "/api/messages", object{
		"conversation_id": conversation, "content": "two", "in_reply_to": first, "mention": []string{p.ann.id},
	})
	p.bob.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.ann.id, "content": "three"})
	p.ann.want(t, 200, "PUT", "/api/messages/"+first, object{"content": "edited"})
	p.ann.want(t, 200, "DELETE", "/api/messages/"+first, nil)
	p.ann.want(t, 200, "DELETE", "/api/messages/"+first, withdrawal())
	p.ann.want(t, 400, "POST", "/api/messages", object{"conversation_id": conversation, "content": "x", "in_reply_to": first}, svctest.WithHeader("Idempotency-Key", "new"))
	for _, path := range []string{"", "?limit=1", "/" + conversation, "/" + crowd, "/" + conversation + "/messages"} {
		p.ann.want(t, 200, "GET", "/api/conversations"+path, nil)
	}

	keys := map[string][]string{}
	for _, collection := range mongostore.Schema().Collections {
		keys[collection.Name] = collection.ShardKey
	}
	delete(keys, "feed") // no request asks it
	seen := map[string]bool{}
	for _, command := range commands.Sent() {
		shardKey, ours := keys[command.Collection]
		if ours {
			seen[command.Collection] = true
			require.True(t, command.Carries(shardKey...), "%s %s: %s", command.Name, command.Collection, command.Filters)
		}
	}
	require.Len(t, seen, len(keys), "every collection was used: %v", seen)
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
