package chatsvc_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/event"

	"chatplatform.io/svckit/svctest"
)

// metric reads the sum of a metric's values.
func metric(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// measured is a place whose metrics the test reads. Its clock is stopped, so
// that no busy machine makes the feed look silent.
func measured(t *testing.T, i installation, environ ...string) (place, *prometheus.Registry) {
	t.Helper()
	deps, _ := i.logged(t)
	deps.Now, i.anyClock = newStopped().Now, true
	client := document.Client(t, i.serverWith(t, deps, environ...).Handler())
	p := place{i, i.as(t, client, 1), i.as(t, client, 2), i.as(t, client, 3)}
	p.trusted(t)
	return p, deps.Observer.Registry
}

// wait begins a long poll; what it is answered comes through the channel. It is
// not made again: a wait that ends in 503 is no wait. So the server's clock must
// be stopped.
func (p person) wait(t *testing.T, next string) <-chan *svctest.Response {
	t.Helper()
	answers := make(chan *svctest.Response, 1)
	go func() { answers <- p.do(t, "GET", "/api/messages?wait=30&after="+next, nil) }()
	return answers
}

func TestALongPollEndsAsSoonAsAMessageComes(t *testing.T) {
	t.Parallel()
	i := install(t)
	commands := &svctest.Commands{}
	i.database.Monitors = append(i.database.Monitors, commands.Monitor())
	p, registry := measured(t, i)
	conversation := p.ann.group(t, p.bob.id)
	p.ann.say(t, conversation, "the first one reads the last place")
	var answers []<-chan *svctest.Response
	next := p.bob.messages(t, "").Next
	p.bob.want(t, 200, "GET", "/api/messages?after="+next, nil) // from now on bob's lists are in memory
	for range 8 {
		answers = append(answers, p.bob.wait(t, next))
	}
	require.Eventually(t, func() bool { return metric(t, registry, "chat_poll_waiting") == 8 }, 30*time.Second, time.Millisecond)
	commands.Reset()
	p.ann.say(t, conversation, "hello")
	for _, answer := range answers {
		require.Contains(t, string((<-answer).Body), "hello", "long before its 30 s are over")
	}
	require.False(t, slices.ContainsFunc(commands.Sent(), func(c svctest.Command) bool {
		return c.Name != "insert" && c.Collection == "messages"
	}), "waiting and hearing costs no database call")
	require.Eventually(t, func() bool { return metric(t, registry, "chat_poll_waiting") == 0 }, 30*time.Second, time.Millisecond)
}

func TestOneMoreLongPollOfAnAccountEndsItsOldest(t *testing.T) {
	t.Parallel()
	p, registry := measured(t, install(t), "POLL_WAITING_EACH=2", "POLL_MAX_WAITING=3")
	var answers []<-chan *svctest.Response
	next := p.bob.messages(t, "").Next
	for n := range 5 {
		answers = append(answers, p.bob.wait(t, next))
		if oldest := n - 2; oldest >= 0 {
			answer := <-answers[oldest]
			require.Equal(t, 200, answer.Status, "as if nothing had come: %s", answer.Body)
			require.Contains(t, string(answer.Body), `"messages":[]`)
			require.NotEmpty(t, answer.Text("next"))
		}
		require.Eventually(t, func() bool { return metric(t, registry, "chat_poll_waiting") == float64(min(n+1, 2)) },
			20*time.Second, time.Millisecond)
	}
	ann := p.ann.wait(t, p.ann.messages(t, "").Next)
	require.Eventually(t, func() bool { return metric(t, registry, "chat_poll_waiting") == 3 }, 30*time.Second, time.Millisecond)
	full := p.eve.want(t, 503, "GET", "/api/messages?wait=30&after="+p.eve.messages(t, "").Next, nil)
	require.NotEmpty(t, full.Header.Get("Retry-After"), "another account meets a full house")
	conversation := p.ann.group(t, p.bob.id)
	p.ann.say(t, conversation, "hello")
	for _, answer := range append(answers[3:], ann) {
		require.Contains(t, string((<-answer).Body), "hello")
	}
}

// A database that is slow makes reading polls wait, and then be refused,
// before it takes from sends; what is in memory is answered.
func TestPollsThatReadAreShedBeforeSendsSuffer(t *testing.T) {
	t.Parallel()
	i := install(t)
	var slow atomic.Bool
	var held sync.WaitGroup
	release := make(chan struct{})
	i.database.Monitors = append(i.database.Monitors, &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if slow.Load() && e.CommandName == "find" && e.Command.Lookup("find").StringValue() == "messages" {
			held.Done()
			<-release
		}
	}})
	p, registry := measured(t, i, "POLL_MAX_READING=2")
	conversation := p.ann.group(t, p.bob.id)
	for n := range 3 {
		p.ann.say(t, conversation, fmt.Sprint(n))
	}
	path := "/api/conversations/" + conversation + "/messages?limit=1&cursor="
	cursor := p.bob.want(t, 200, "GET", path, nil).Text("cursor")
	require.Eventually(t, func() bool {
		p.bob.want(t, 200, "GET", "/api/messages", nil)
		return metric(t, registry, "chat_poll_memory_answers_total") > 0
	}, 30*time.Second, time.Millisecond)

	held.Add(2)
	slow.Store(true)
	reading := make(chan *svctest.Response, 2)
	for range 2 {
		go func() { reading <- p.bob.ask(t, "GET", path+cursor, nil) }()
	}
	held.Wait()
	shed := p.bob.want(t, 503, "GET", path+cursor, nil)
	require.NotEmpty(t, shed.Header.Get("Retry-After"))
	for _, path := range []string{path, "/api/messages?cursor="} {
		p.bob.want(t, 400, "GET", path+"none", nil) // it waits for no place
	}
	p.bob.want(t, 200, "GET", "/api/messages", nil)
	p.ann.say(t, conversation, "a send")
	slow.Store(false)
	close(release)
	for range 2 {
		require.Equal(t, 200, (<-reading).Status)
	}
}

// Who catches up behind what a replica remembers reads, and takes a place for
// it; who waits takes none.
func TestCatchingUpThatReadsTakesAPlace(t *testing.T) {
	t.Parallel()
	i := install(t)
	var slow atomic.Bool
	held, release := make(chan struct{}), make(chan struct{})
	i.database.Monitors = append(i.database.Monitors, &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if e.CommandName == "find" && e.Command.Lookup("find").StringValue() == "messages" && slow.CompareAndSwap(true, false) {
			close(held)
			<-release
		}
	}})
	p, registry := measured(t, i, "POLL_MAX_READING=1", "EVENT_MEMORY=3000")
	conversation := p.ann.group(t, p.bob.id)
	before := p.bob.messages(t, "").Next
	last := ""
	for n := range 30 { // more than is remembered
		last = p.ann.say(t, conversation, fmt.Sprint(n)).Text("message_id")
	}
	p.bob.hear(t, before, last)
	require.Len(t, p.bob.want(t, 200, "GET", "/api/messages?after="+before, nil).Get("messages"), 30)
	waiting := p.eve.wait(t, p.eve.messages(t, "").Next)
	require.Eventually(t, func() bool { return metric(t, registry, "chat_poll_waiting") == 1 }, 30*time.Second, time.Millisecond)

	slow.Store(true)
	reading := make(chan *svctest.Response, 1)
	go func() { reading <- p.bob.ask(t, "GET", "/api/messages?after="+before, nil) }()
	<-held
	shed := p.bob.do(t, "GET", "/api/messages?after="+before, nil)
	close(release)
	require.Equal(t, 200, (<-reading).Status)
	require.Equal(t, 503, shed.Status, "%s", shed.Body)
	require.NotEmpty(t, shed.Header.Get("Retry-After"))
	p.ann.say(t, p.ann.group(t, p.eve.id), "hello")
	require.Contains(t, string((<-waiting).Body), "hello")
}

// The history of a chat takes a place while it reads, and not while it asks who
// its senders are.
func TestAHistoryHoldsNoPlaceWhileItAsksForNames(t *testing.T) {
	t.Parallel()
	i := install(t)
	p, _ := measured(t, i, "POLL_MAX_READING=1")
	elsewhere := i.as(t, document.Client(t, i.server(t).Handler()), 5)
	chat := elsewhere.chat(t, p.bob)
	elsewhere.first(t, chat)
	names := make(chan struct{})
	p.auth.slow.Store(&names)
	asked := p.auth.lookups.Load()
	reading := make(chan *svctest.Response, 1)
	go func() { reading <- p.bob.rpc(t, "getChatHistory", object{"chat_id": chat}) }()
	require.Eventually(t, func() bool { return p.auth.lookups.Load() > asked }, 30*time.Second, time.Millisecond)
	other := p.eve.do(t, "GET", "/api/messages", nil)
	close(names)
	require.Equal(t, 200, (<-reading).Status)
	require.Equal(t, 200, other.Status, "%s", other.Body)
}

func TestAHistoryWithoutMessagesFoundNothing(t *testing.T) {
	t.Parallel()
	p, registry := measured(t, install(t))
	chat := p.ann.chat(t, p.bob)
	first := p.ann.first(t, chat)
	empty := func() float64 { return metric(t, registry, "chat_poll_empty_total") }
	before := empty()
	p.bob.result(t, "getChatHistory", object{"chat_id": chat})
	require.Equal(t, before, empty())
	p.bob.result(t, "getChatHistory", object{"chat_id": chat, "before": first})
	require.Equal(t, before+1, empty(), "there is nothing before the first message")
}
