package chatsvc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/svckit/svctest"
)

// A cost is a request and what it asks of the database: the name and the
// collection of each command, in their order. A request is written as it is
// in the document; $words are what stands there, other ones for the repetition.
type cost struct {
	what    string
	request string // who METHOD /path/{parameter} {body}, or who/key with an idempotency key
	first   string // by a server that knows nothing yet of who asks
	again   string // the same once more, a list twice more; once where that makes no sense
}

const once = "-"

// A group of meters has ann as its owner, bob and cat as members and perhaps
// many more. eve is none of them, and blocks cat.
type metered struct {
	people map[string]person // on the server that is watched
	words  [2]*strings.Replacer
}

// A meter counts what one server asks of the database. What is there to be
// asked for was made on another: the first one has heard of it by its feed.
type meter struct {
	installation
	commands         *svctest.Commands
	registry         *prometheus.Registry
	watched, another *svctest.Client
	made             int    // groups so far
	heard            string // how far the watched server has told what was said
}

func newMeter(t *testing.T) *meter {
	t.Helper()
	m := &meter{installation: install(t), commands: &svctest.Commands{}}
	m.another = document.Client(t, m.server(t, unlimited, "SEND_BURST=1000").Handler())
	m.database.Monitors = append(m.database.Monitors, m.commands.Monitor())
	deps, _ := m.logged(t)
	m.registry = deps.Observer.Registry
	deps.Now, m.anyClock = newStopped().Now, true // on a busy machine neither the feed nor what is in memory grows old
	m.watched = document.Client(t, m.serverWith(t, deps, unlimited, "SEND_BURST=1000").Handler())
	p := place{installation: m.installation, ann: m.as(t, m.watched, 1)}
	p.trusted(t)
	m.heard = p.ann.messages(t, "").Next
	return m
}

// group makes one of a size, with a second one that bob is in, too. Where
// something was said the checkpoint writes the conversation a second later, and
// a transaction that changes it may have to be tried twice.
func (m *meter) group(t *testing.T, size int, speaks bool) metered {
	t.Helper()
	m.made++
	number := func(n int) int { return 10_000*m.made + n }
	there := func(n int) person { return m.as(t, m.another, number(n)) }
	g := metered{people: map[string]person{}}
	ids := map[string]string{}
	for n, name := range []string{"ann", "bob", "cat", "eve", "dan", "fay"} {
		g.people[name] = m.as(t, m.watched, number(n))
		ids[name] = g.people[name].id
	}
	ann, bob := there(0), there(1)
	members := []string{bob.id, ids["cat"]}
	for n := range size - 3 {
		members = append(members, agent(number(100+n)))
	}
	ann.group(t, bob.id)
	group := ann.group(t, members...)
	before := bob.messages(t, "").Next
	said := []string{"", ""}
	for n := range said {
		if speaks {
			said[n] = ann.say(t, group, "x").Text("message_id")
		}
	}
	blocks := []string{bob.block(t, ids["dan"]), bob.block(t, ids["fay"])}
	there(3).block(t, ids["cat"])
	for turn := range g.words {
		g.words[turn] = strings.NewReplacer(
			"{conversation_id}", group, "$group", group, "{message_id}", said[turn], "$message", said[turn],
			"{agent_id}", members[1-turn], "$bob", bob.id, "$cat", ids["cat"], "{block_id}", blocks[turn],
			"$stranger", []string{ids["dan"], ids["fay"]}[turn], "$eve", ids["eve"], "$turn", fmt.Sprint(turn), "$before", before,
			"$all", cursorOf(t, bob, "/api/messages", "cursor"), "$one", cursorOf(t, bob, "/api/conversations/"+group+"/messages", "cursor"),
			"$conversations", cursorOf(t, bob, "/api/conversations", "cursor"),
			"$members", cursorOf(t, bob, "/api/conversations/"+group+"/members", "cursor"),
			"$chat", strings.TrimPrefix(group, "conv_"), "$bare_message", strings.TrimPrefix(said[turn], "msg_"),
			"@bob", g.people["bob"].name(), "@eve", g.people["eve"].name(), "@stranger", g.people[[]string{"dan", "fay"}[turn]].name(),
			"$blocks", cursorOf(t, bob, "/api/blocks", "next_cursor"), "$next", bob.messages(t, "").Next,
		)
	}
	m.hear(t)
	return g
}

func cursorOf(t *testing.T, who person, path, field string) string {
	t.Helper()
	return who.want(t, 200, "GET", path+"?limit=1", nil).Text(field)
}

// hear waits until the watched server has heard of all that was made.
func (m *meter) hear(t *testing.T) {
	t.Helper()
	said := m.as(t, m.another, 1).want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": agent(2), "content": "x"})
	m.heard = m.as(t, m.watched, 1).hear(t, m.heard, said.Text("message_id"))
}

// distrusted counts the lists for which memory was not trusted so far.
func (m *meter) distrusted(t *testing.T) float64 {
	t.Helper()
	return metric(t, m.registry, "chat_poll_fallback_total")
}

// count makes a request and gives what it asks of the database.
func (m *meter) count(t *testing.T, g metered, turn int, request string) string {
	t.Helper()
	who, method, path, body := parts(g.words[turn].Replace(request))
	who, key, keyed := strings.Cut(who, "/")
	var opts []svctest.Option
	if body != "" {
		opts = append(opts, svctest.WithRaw("application/json", []byte(body)))
	}
	if keyed {
		opts = append(opts, svctest.WithHeader("Idempotency-Key", key))
	}
	m.commands.Reset()
	answer := g.people[who].ask(t, method, path, nil, opts...)
	require.Less(t, answer.Status, 500, "%s", answer.Body)
	var sent []string
	for _, c := range m.commands.Sent() {
		if c.Collection == "" || behind(c, g.people["bob"].id) { // the first is the end of a transaction
			continue
		}
		sent = append(sent, c.Name+" "+c.Collection)
		require.True(t, c.Carries(shardKey(c.Collection)...), "%s %s misses the shard key", c.Name, c.Collection)
	}
	return strings.Join(sent, ", ")
}

func parts(request string) (who, method, path, body string) {
	who, request, _ = strings.Cut(request, " ")
	method, request, _ = strings.Cut(request, " ")
	path, body, _ = strings.Cut(request, " ")
	return who, method, path, body
}

func shardKey(collection string) []string {
	for _, c := range mongostore.Schema().Collections {
		if c.Name == collection {
			return c.ShardKey
		}
	}
	return nil
}

// behind reports whether a command writes the read marks of senders, which
// happens after the answer, and not that of a reader.
func behind(c svctest.Command, reader string) bool {
	return c.Name == "update" && c.Collection == "memberships" && !slices.ContainsFunc(c.Filters, func(filter bson.Raw) bool {
		return filter.Lookup("a").StringValue() == reader
	})
}

// hold counts in groups of some sizes. When the machine is too slow for the
// feed to be trusted, which is counted too, a request is looked at again.
func (m *meter) hold(t *testing.T, tt cost, sizes ...int) {
	t.Helper()
	for _, size := range sizes {
		first, again := "", ""
		for range 5 {
			distrusted := m.distrusted(t)
			g := m.group(t, size, strings.Contains(tt.request, "message"))
			first, again = m.count(t, g, 0, tt.request), once
			if tt.again != once {
				again = m.count(t, g, 1, tt.request)
			}
			if strings.Contains(tt.request, " GET ") {
				again = m.count(t, g, 1, tt.request)
			}
			if m.distrusted(t) == distrusted {
				break
			}
		}
		require.Equal(t, tt.first, first, "first, among %d", size)
		require.Equal(t, tt.again, again, "again, among %d", size)
	}
}

// Whatever the members of a group, a request asks the same of the database,
// and every query goes to one shard.
func TestCosts(t *testing.T) {
	t.Parallel()
	m := newMeter(t)
	seen := map[string]bool{}
	for _, tt := range append(costs(), closing()) {
		t.Run(tt.what, func(t *testing.T) {
			switch tt {
			case closing(): // of larger ones most is done later
				m.hold(t, tt, 3)
			case listing(): // larger ones are looked at one by one
				m.hold(t, tt, 3)
				tt.first, tt.again = tt.first+", find members, find members", tt.again+", find members, find members"
				m.hold(t, tt, 520)
			default:
				m.hold(t, tt, 3, 520)
			}
		})
		for command := range strings.SplitSeq(tt.first, ", ") {
			_, collection, _ := strings.Cut(command, " ")
			seen[collection] = true
		}
		_, method, path, _ := parts(tt.request)
		path, _, _ = strings.Cut(path, "?")
		seen[method+" "+path] = true
	}
	for _, operation := range document.Operations() {
		require.True(t, seen[operation], "nothing counts %s", operation)
	}
	seen["feed"], seen["departures"] = true, true // no request asks them
	for _, c := range mongostore.Schema().Collections {
		require.True(t, seen[c.Name], "nothing asks %s", c.Name)
	}
}
