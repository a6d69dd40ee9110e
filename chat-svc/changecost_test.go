package chatsvc_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/svckit/svctest"
)

// What a request costs does not depend on the size of the group, and every
// query goes to one shard.
func TestWhatRequestsCost(t *testing.T) {
	t.Parallel()
	p, commands := watched(t)
	ann, bob, eve := p.ann, p.bob, p.eve
	var block, first string
	var cat person // whom somebody blocks who is no member

	var crowd []string
	for n := range 700 {
		crowd = append(crowd, agent(1000+n))
	}
	shards := map[string][]string{}
	for _, c := range mongostore.Schema().Collections {
		shards[c.Name] = c.ShardKey
	}
	tests := []struct {
		what     string
		commands string // name and collection of each, in their order
		call     func(path string) *svctest.Response
	}{
		{"a first send", "find members, find barriers, find members, insert messages", func(path string) *svctest.Response {
			return cat.do(t, "POST", "/api/messages", object{"conversation_id": path[len("/api/conversations/"):], "content": "x"})
		}},
		{"the next", "find members, insert messages", func(path string) *svctest.Response {
			return cat.do(t, "POST", "/api/messages", object{"conversation_id": path[len("/api/conversations/"):], "content": "x"})
		}},
		{"of whom nobody blocks", "insert messages", func(path string) *svctest.Response {
			return ann.do(t, "POST", "/api/messages", object{"conversation_id": path[len("/api/conversations/"):], "content": "x"})
		}},
		{"update", "find members, findAndModify conversations, find members, update conversations", func(path string) *svctest.Response {
			return ann.do(t, "PUT", path, object{"name": "x"})
		}},
		{"invite", "find members, find members, aggregate memberships, findAndModify conversations, find members, " +
			"find messages, insert members, insert memberships, update conversations", func(path string) *svctest.Response {
			return ann.do(t, "POST", path+"/members", object{"agent_id": eve.id})
		}},
		{"invite a member", "find members, find members, findAndModify conversations, find members", func(path string) *svctest.Response {
			return ann.do(t, "POST", path+"/members", object{"agent_id": eve.id})
		}},
		{"role", "find members, findAndModify conversations, find members, update members, update conversations", func(path string) *svctest.Response {
			return ann.do(t, "PUT", path+"/role", object{"agent_id": eve.id, "role": "admin"})
		}},
		{"transfer", "find members, findAndModify conversations, find members, update members, update members, update conversations", func(path string) *svctest.Response {
			return ann.do(t, "POST", path+"/transfer", object{"agent_id": bob.id})
		}},
		{"remove", "find members, findAndModify conversations, find members, delete members, delete memberships, update conversations", func(path string) *svctest.Response {
			return bob.do(t, "DELETE", path+"/members/"+eve.id, nil)
		}},
		{"leave", "find members, findAndModify conversations, find members, delete members, delete memberships, update conversations", func(path string) *svctest.Response {
			return ann.do(t, "POST", path+"/leave", nil)
		}},
		{"a stranger's change", "find members", func(path string) *svctest.Response {
			ann.want(t, 404, "POST", path+"/leave", nil)
			return ann.Call(t, "GET", "/health", nil)
		}},
		{"members", "find members, find members", func(path string) *svctest.Response { return bob.do(t, "GET", path+"/members", nil) }},
		{"read", "aggregate memberships, update memberships", func(path string) *svctest.Response {
			return bob.do(t, "POST", path+"/read", object{"up_to": first})
		}},
		{"block", "insert blocks, insert barriers", func(string) *svctest.Response {
			made := bob.do(t, "POST", "/api/blocks", object{"target_id": ann.id})
			block = made.Text("block_id")
			return made
		}},
		{"blocks", "find blocks", func(string) *svctest.Response { return bob.do(t, "GET", "/api/blocks", nil) }},
		{"unblock", "findAndModify blocks, delete barriers", func(string) *svctest.Response {
			return bob.do(t, "DELETE", "/api/blocks/"+block, nil)
		}},
	}
	for _, members := range [][]string{crowd[:1], crowd[1:]} {
		cat = person{ann.Client, members[0], p.auth.token(t, members[0])}
		eve.block(t, cat.id)
		path := "/api/conversations/" + ann.group(t, append([]string{bob.id}, members...)...)
		first = ann.say(t, path[len("/api/conversations/"):], "first").Text("message_id")
		for _, tt := range tests {
			commands.Reset()
			require.Less(t, tt.call(path).Status, 300, tt.what)
			var sent []string
			for _, c := range commands.Sent() {
				if c.Collection == "" || behind(c, ann.id, cat.id) { // the first is the end of a transaction
					continue
				}
				sent = append(sent, c.Name+" "+c.Collection)
				require.True(t, c.Carries(shards[c.Collection]...), "%s: %s of %s misses the shard key", tt.what, c.Name, c.Collection)
			}
			require.Equal(t, tt.commands, strings.Join(sent, ", "), "%s among %d", tt.what, len(members))
		}
	}
}

// behind reports whether a command writes the read mark of a sender, which
// happens after the answer.
func behind(c svctest.Command, senders ...string) bool {
	if c.Name != "update" || c.Collection != "memberships" {
		return false
	}
	for _, filter := range c.Filters {
		if a, _ := filter.Lookup("a").StringValueOK(); !slices.Contains(senders, a) {
			return false
		}
	}
	return true
}
