package chatsvc_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// exposed gives the labels of every metric of a server, but for those of the
// runtime and the process.
func exposed(registry *prometheus.Registry) map[string][]string {
	described := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(described)
		close(described)
	}()
	parts := regexp.MustCompile(`fqName: "([^"]*)", .*constLabels: {(.*)}, variableLabels: {(.*)}}`)
	labels := map[string][]string{}
	for d := range described {
		match := parts.FindStringSubmatch(d.String())
		name := match[1]
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		labels[name] = []string{}
		for _, label := range regexp.MustCompile(`(\w+)(?:="[^"]*")?`).FindAllStringSubmatch(match[2]+","+match[3], -1) {
			labels[name] = append(labels[name], label[1])
		}
	}
	return labels
}

// listed gives what the README lists under "Metrics".
func listed(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(text), "\n## Metrics\n")
	section, _, _ = strings.Cut(section, "\n## ")
	labels := map[string][]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		for _, name := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(cells[1], -1) {
			require.NotContains(t, labels, name[1], "listed twice")
			require.NotEmpty(t, strings.TrimSpace(cells[3]), "what %s means", name[1])
			labels[name[1]] = []string{}
			for label := range strings.SplitSeq(cells[2], ";") {
				if label, _, _ = strings.Cut(strings.TrimSpace(label), ":"); label != "" {
					labels[name[1]] = append(labels[name[1]], label)
				}
			}
		}
	}
	return labels
}

func TestTheReadmeListsEveryMetric(t *testing.T) {
	t.Parallel()
	i := install(t)
	deps, _ := i.logged(t)
	i.serverWith(t, deps)
	found := exposed(deps.Observer.Registry)
	require.Contains(t, found, "chat_messages_sent_total")
	require.Contains(t, found, "http_requests_total")
	require.Contains(t, found, "mongodb_command_duration_seconds")
	require.Equal(t, listed(t), found)
}

// messageCounts reads the counters of messages.
func messageCounts(t *testing.T, registry *prometheus.Registry) counts {
	t.Helper()
	all := counts{}
	for _, name := range []string{"sent", "edited", "deleted", "withdrawn", "delivered"} {
		all[name] = metric(t, registry, "chat_messages_"+name+"_total")
	}
	return all
}

type counts map[string]float64

// A step is something done, and the counters that it moves.
type step struct {
	name  string
	do    func()
	moves counts
}

// Each counter moves by what was done, and by nothing else.
func TestMessagesAreCounted(t *testing.T) {
	t.Parallel()
	p, registry := measured(t, install(t))
	conversation := p.ann.group(t, p.bob.id)
	one := p.ann.say(t, conversation, "one", svctest.WithHeader("Idempotency-Key", "k")).Text("message_id")
	two := p.ann.say(t, conversation, "two").Text("message_id")
	three := p.ann.say(t, conversation, "three").Text("message_id")
	p.ann.settle(t, conversation) // five messages
	for _, step := range slices.Concat(writeSteps(t, p, conversation, one, two, three), readSteps(t, p, conversation)) {
		was := messageCounts(t, registry)
		step.do()
		is := messageCounts(t, registry)
		for name := range is {
			is[name] -= was[name]
		}
		maps.DeleteFunc(is, func(_ string, moved float64) bool { return moved == 0 })
		require.Equal(t, step.moves, is, step.name)
	}
	require.Positive(t, metric(t, registry, "chat_poll_tracked_conversations"))
	requireNoIDs(t, registry, p.ann.id, p.bob.id, conversation, one)
}

func writeSteps(t *testing.T, p place, conversation, one, two, three string) []step {
	return []step{
		{"a send", func() { p.ann.say(t, conversation, "six") }, counts{"sent": 1}},
		{"a repeat of a send", func() {
			p.ann.say(t, conversation, "one", svctest.WithHeader("Idempotency-Key", "k"))
		}, counts{}},
		{"a refused send", func() {
			p.eve.want(t, 404, "POST", "/api/messages", object{"conversation_id": conversation, "content": "x"})
		}, counts{}},
		{"an edit", func() { p.ann.want(t, 200, "PUT", "/api/messages/"+one, object{"content": "edited"}) }, counts{"edited": 1}},
		{"an edit that changes nothing", func() {
			p.ann.want(t, 400, "PUT", "/api/messages/"+one, object{"content": "edited"})
		}, counts{}},
		{"a deletion", func() { p.ann.want(t, 200, "DELETE", "/api/messages/"+one, nil) }, counts{"deleted": 1}},
		{"a deletion again", func() { p.ann.want(t, 200, "DELETE", "/api/messages/"+one, nil) }, counts{}},
		{"a deletion by the RPC door", func() {
			ids := []string{strings.TrimPrefix(one, "msg_"), strings.TrimPrefix(three, "msg_")}
			p.ann.result(t, "deleteMessages", object{"message_ids": ids})
		}, counts{"deleted": 1}},
		{"a withdrawal", func() {
			p.ann.want(t, 200, "DELETE", "/api/messages/"+two, object{"withdraw": true})
		}, counts{"withdrawn": 1}},
		{"a withdrawal again", func() { p.ann.want(t, 200, "DELETE", "/api/messages/"+two, object{"withdraw": true}) }, counts{}},
	}
}

func readSteps(t *testing.T, p place, conversation string) []step {
	list := "/api/conversations/" + conversation + "/messages"
	var first *svctest.Response
	return []step{
		{"a first page", func() { first = p.bob.want(t, 200, "GET", list+"?limit=3", nil) }, counts{"delivered": 3}},
		{"the same page again", func() { p.bob.want(t, 200, "GET", list+"?limit=3", nil) }, counts{}},
		{"a page that the client has", func() {
			p.bob.want(t, 304, "GET", list+"?limit=3", nil, svctest.WithHeader("If-None-Match", first.Header.Get("ETag")))
		}, counts{}},
		{"a page behind it", func() {
			p.bob.want(t, 200, "GET", list+"?limit=3&cursor="+first.Text("cursor"), nil)
		}, counts{"delivered": 2}},
		{"a page over all conversations", func() { p.bob.messages(t, "") }, counts{"delivered": 5}},
		{"history by the RPC door", func() {
			p.bob.result(t, "getChatHistory", object{"chat_id": strings.TrimPrefix(conversation, "conv_"), "limit": 2})
		}, counts{"delivered": 2}},
		{"a message for who waits", func() {
			answer := p.bob.wait(t, p.bob.messages(t, "?limit=1").Next)
			p.ann.say(t, conversation, "seven")
			require.Contains(t, string((<-answer).Body), "seven")
		}, counts{"sent": 1, "delivered": 2}},
		{"catch-up with nothing new", func() {
			next := p.eve.messages(t, "").Next
			p.eve.want(t, 200, "GET", "/api/messages?after="+next, nil)
		}, counts{}},
	}
}

// requireNoIDs holds labels to what is bounded.
func requireNoIDs(t *testing.T, registry *prometheus.Registry, ids ...string) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				require.False(t, slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(label.GetValue(), id) }),
					"%s{%s=%q}", family.GetName(), label.GetName(), label.GetValue())
			}
		}
	}
}

// lag reads how many messages were heard, and the seconds from their creation
// until then, added up.
func lag(t *testing.T, registry *prometheus.Registry) (heard uint64, seconds float64) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == "chat_message_lag_seconds" {
			h := family.GetMetric()[0].GetHistogram()
			return h.GetSampleCount(), h.GetSampleSum()
		}
	}
	return 0, 0
}

// What a message took to be heard is told by two clocks where another replica
// wrote it.
func TestLagIsFromCreationToHearing(t *testing.T) {
	t.Parallel()
	i, clock := install(t), newStopped()
	i.auth.life, i.anyClock = 24*365*time.Hour, true
	replica := func(wrong time.Duration) (person, *prometheus.Registry) {
		deps, _ := i.logged(t)
		deps.Now = func() time.Time { return clock.Now().Add(wrong) }
		return i.as(t, document.Client(t, i.serverWith(t, deps).Handler()), 1), deps.Observer.Registry
	}
	hears := func(registry *prometheus.Registry, heard uint64, seconds float64) {
		require.Eventually(t, func() bool { n, _ := lag(t, registry); return n == heard }, 30*time.Second, 5*time.Millisecond)
		_, sum := lag(t, registry)
		require.InDelta(t, seconds, sum, 1e-6)
	}
	reader, registry := replica(0)
	clock.advance(10 * time.Second)
	conversation := reader.group(t)
	reader.say(t, conversation, "its own")
	hears(registry, 1, 0)
	behind, _ := replica(-5 * time.Second)
	behind.say(t, behind.group(t), "5 s old when it is created")
	hears(registry, 2, 5)
	ahead, _ := replica(5 * time.Second)
	ahead.say(t, ahead.group(t), "created in 5 s")
	hears(registry, 3, 5)

	clock.advance(time.Hour)
	late, fromThen := replica(0)
	late.say(t, conversation, "the first after its start")
	hears(fromThen, 1, 0)
	hears(registry, 4, 5)
}
