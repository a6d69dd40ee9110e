package chatsvc_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/svckit/svctest"
)

// A cost is a request and what it asks of the database: the name and the
// collection of each command, in their order.
type cost struct {
	what     string
	commands string
	call     func(g costly) *svctest.Response
}

// A costly group is one of ann's with bob and others, two or many. Somebody
// who is in none of them blocks cat.
type costly struct {
	place
	id, path string
	cat      person
	first    string // the id of its first message
}

// count makes each request in a small and in a large group: that makes no
// difference, and every query goes to one shard.
func count(t *testing.T, costs []cost) {
	t.Helper()
	p, commands := watched(t)
	shards := map[string][]string{}
	for _, c := range mongostore.Schema().Collections {
		shards[c.Name] = c.ShardKey
	}
	for n, size := range []int{1, 700} {
		members := []string{p.bob.id}
		for m := range size {
			members = append(members, agent(1000*(n+1)+m))
		}
		g := costly{place: p, id: p.ann.group(t, members...), cat: p.as(t, p.ann.Client, 1000*(n+1))}
		g.path, g.first = "/api/conversations/"+g.id, p.ann.say(t, g.id, "first").Text("message_id")
		p.eve.block(t, g.cat.id)
		p.ann.settle(t, g.id)
		p.saved(t, g.id, 3)
		for _, tt := range costs {
			commands.Reset()
			answer := tt.call(g)
			require.Less(t, answer.Status, 500, tt.what)
			var sent []string
			for _, c := range commands.Sent() {
				if c.Collection == "" || c.Comment != "" || behind(c, p.bob.id) { // the first is the end of a transaction
					continue
				}
				sent = append(sent, c.Name+" "+c.Collection)
				require.True(t, c.Carries(shards[c.Collection]...), "%s: %s of %s misses the shard key", tt.what, c.Name, c.Collection)
			}
			require.Equal(t, tt.commands, strings.Join(sent, ", "), "%s among %d: %s", tt.what, size, answer.Body)
		}
	}
}

// saved waits until a conversation's document has its last message: a
// transaction that changes the same document meets no other writer then.
func (p place) saved(t *testing.T, conversation string, last int64) {
	t.Helper()
	c, err := id.ParseConversation(conversation)
	require.NoError(t, err)
	conversations := svctest.Open(t, p.database).Collection("conversations")
	require.Eventually(t, func() bool {
		n, err := conversations.CountDocuments(t.Context(), bson.D{{Key: "_id", Value: bson.Binary{Subtype: 4, Data: c[:]}}, {Key: "last_seq", Value: last}})
		return err == nil && n == 1
	}, 20*time.Second, 20*time.Millisecond)
}

// behind reports whether a command writes the read marks of senders, which
// happens after the answer, and not that of a reader.
func behind(c svctest.Command, reader string) bool {
	return c.Name == "update" && c.Collection == "memberships" && !slices.ContainsFunc(c.Filters, func(filter bson.Raw) bool {
		return filter.Lookup("a").StringValue() == reader
	})
}

func TestWhatSendsCost(t *testing.T) {
	t.Parallel()
	count(t, []cost{
		{"a first send", "find members, find barriers, find members, insert messages", func(g costly) *svctest.Response {
			return g.cat.do(t, "POST", "/api/messages", object{"conversation_id": g.id, "content": "x"})
		}},
		{"the next", "find members, insert messages", func(g costly) *svctest.Response {
			return g.cat.do(t, "POST", "/api/messages", object{"conversation_id": g.id, "content": "x"})
		}},
		{"of whom nobody blocks", "insert messages", func(g costly) *svctest.Response {
			return g.ann.do(t, "POST", "/api/messages", object{"conversation_id": g.id, "content": "x"})
		}},
	})
}

func TestWhatChangesCost(t *testing.T) {
	t.Parallel()
	count(t, []cost{
		{"update", "find members, findAndModify conversations, find members, update conversations", func(g costly) *svctest.Response {
			return g.ann.do(t, "PUT", g.path, object{"name": "x"})
		}},
		{"invite", "find members, find members, aggregate memberships, findAndModify conversations, find members, " +
			"find messages, insert members, insert memberships, update conversations", func(g costly) *svctest.Response {
			return g.ann.do(t, "POST", g.path+"/members", object{"agent_id": g.eve.id})
		}},
		{"invite a member", "find members, find members, findAndModify conversations, find members", func(g costly) *svctest.Response {
			return g.ann.do(t, "POST", g.path+"/members", object{"agent_id": g.eve.id})
		}},
		{"role", "find members, findAndModify conversations, find members, update members, update conversations", func(g costly) *svctest.Response {
			return g.ann.do(t, "PUT", g.path+"/role", object{"agent_id": g.eve.id, "role": "admin"})
		}},
		{"transfer", "find members, findAndModify conversations, find members, update members, update members, update conversations", func(g costly) *svctest.Response {
			return g.ann.do(t, "POST", g.path+"/transfer", object{"agent_id": g.bob.id})
		}},
		{"remove", "find members, findAndModify conversations, find members, delete members, delete memberships, update conversations", func(g costly) *svctest.Response {
			return g.bob.do(t, "DELETE", g.path+"/members/"+g.eve.id, nil)
		}},
		{"leave", "find members, findAndModify conversations, find members, delete members, delete memberships, update conversations", func(g costly) *svctest.Response {
			return g.ann.do(t, "POST", g.path+"/leave", nil)
		}},
		{"a stranger's change", "find members", func(g costly) *svctest.Response { return g.ann.do(t, "POST", g.path+"/leave", nil) }},
		{"members", "find members, find members", func(g costly) *svctest.Response { return g.bob.do(t, "GET", g.path+"/members", nil) }},
		{"read", "aggregate memberships, update memberships", func(g costly) *svctest.Response {
			return g.bob.do(t, "POST", g.path+"/read", object{"up_to": g.first})
		}},
	})
}

func TestWhatBlocksCost(t *testing.T) {
	t.Parallel()
	var block string
	count(t, []cost{
		{"block", "insert blocks, insert barriers", func(g costly) *svctest.Response {
			made := g.bob.do(t, "POST", "/api/blocks", object{"target_id": g.ann.id})
			block = made.Text("block_id")
			return made
		}},
		{"blocks", "find blocks", func(g costly) *svctest.Response { return g.bob.do(t, "GET", "/api/blocks", nil) }},
		{"unblock", "findAndModify blocks, delete barriers", func(g costly) *svctest.Response {
			return g.bob.do(t, "DELETE", "/api/blocks/"+block, nil)
		}},
	})
}
