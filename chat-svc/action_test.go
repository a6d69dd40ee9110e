package chatsvc_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/svckit/svctest"
)

// An ear hears what every replica of an installation is told.
type ear struct {
	mu   sync.Mutex
	acts []events.Event
}

func (e *ear) listen(heard events.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if heard.Kind == events.Typing {
		e.acts = append(e.acts, heard)
	}
}

// after waits for an action, and gives all up to it, in order.
func (e *ear) after(t *testing.T, action string) (all []string, last events.Event) {
	t.Helper()
	require.Eventually(t, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		at := slices.IndexFunc(e.acts, func(a events.Event) bool { return a.Action == action })
		all = nil
		for _, act := range e.acts[:at+1] {
			all, last = append(all, act.Action), act
		}
		return at >= 0
	}, 30*time.Second, 5*time.Millisecond)
	return all, last
}

func (i installation) ear(t *testing.T) *ear {
	t.Helper()
	logger, _ := svctest.Logs(t)
	db, err := mongostore.Schema().Open(t.Context(), i.database, logger, prometheus.NewRegistry())
	require.NoError(t, err)
	store := mongostore.New(db)
	checkpoint, err := store.Checkpoint(t.Context())
	require.NoError(t, err)
	e := &ear{}
	feed := events.New(events.Options{Source: store, Checkpoint: checkpoint, Now: time.Now, Logger: logger}, e.listen)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { feed.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		require.NoError(t, db.Close(context.WithoutCancel(ctx)))
	})
	return e
}

// What somebody is doing is told to every replica, whatever the word; the same
// again within a second is not, and counts not against the limit of sends. What
// was refused is told when it is said again, however soon.
func TestChatActions(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.anyClock = true
	clock := svctest.NewClock()
	clock.Stop()
	deps, _ := i.logged(t)
	deps.Now = clock.Now
	client := document.Client(t, i.serverWith(t, deps, "SENDS_PER_MINUTE=120", "SEND_BURST=4").Handler())
	ann, bob := i.as(t, client, 1), i.as(t, client, 2)
	ear := i.ear(t)
	chat, other := ann.chat(t, bob), ann.chat(t, i.as(t, client, 4))
	act := func(who person, chat string, action ...string) {
		body := object{"chat_id": chat}
		if len(action) > 0 {
			body["action"] = action[0]
		}
		require.Equal(t, map[string]any{}, who.result(t, "sendChatAction", body).Get("result"))
	}
	for range 20 {
		act(ann, chat, "typing")
	}
	act(ann, other, "typing")
	act(ann, chat)
	act(ann, chat, "")
	act(ann, chat, "Päuse")
	clock.Advance(time.Second)
	act(ann, chat, "typing")
	act(ann, chat, "ann's last")
	answer := ann.rpc(t, "sendChatAction", object{"chat_id": chat, "action": "one more"})
	require.Equal(t, 429, answer.Status)
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
	clock.Advance(time.Second / 2)
	act(ann, chat, "one more")
	act(bob, chat, "bob's")

	told, last := ear.after(t, "bob's")
	require.Equal(t, []string{"typing", "typing", "", "Päuse", "typing", "ann's last", "one more", "bob's"}, told)
	require.Equal(t, id.Account(bob.id), last.Account)
	require.Equal(t, chat, last.Conversation.Bare())
}

// Nothing that is shown changes by an action: an unchanged page stays in memory,
// and who waits for a message goes on waiting.
func TestAnActionChangesNoList(t *testing.T) {
	t.Parallel()
	i := install(t)
	commands := &svctest.Commands{}
	i.database.Monitors = append(i.database.Monitors, commands.Monitor())
	deps, _ := i.logged(t)
	deps.Now, i.anyClock = newStopped().Now, true
	server := i.serverWith(t, deps)
	client := document.Client(t, server.Handler())
	p := place{i, i.as(t, client, 1), i.as(t, client, 2), i.as(t, client, 3)}
	p.trusted(t)
	ear := i.ear(t)
	chat := p.ann.chat(t, p.bob)
	p.ann.settle(t, "conv_"+chat)
	var page *svctest.Response
	require.Eventually(t, func() bool { // until it is answered from memory
		commands.Reset()
		page = p.bob.want(t, 200, "GET", "/api/messages", nil)
		return commands.Count("find", "aggregate") == 0
	}, 30*time.Second, 5*time.Millisecond)
	waiting := p.bob.wait(t, page.Text("next"))

	p.ann.result(t, "sendChatAction", object{"chat_id": chat, "action": "typing"})
	_, told := ear.after(t, "typing")
	require.Eventually(t, func() bool { return !chatsvc.Applied(server).Before(told.Position) }, 30*time.Second, 5*time.Millisecond)
	commands.Reset()
	p.bob.want(t, 304, "GET", "/api/messages", nil, svctest.WithHeader("If-None-Match", page.Header.Get("ETag")))
	require.Zero(t, commands.Count("find", "aggregate"))
	require.Equal(t, 2, p.bob.unread(t, chat))
	require.Empty(t, waiting)
	p.ann.first(t, chat)
	require.Len(t, (<-waiting).Get("messages"), 1)
}
