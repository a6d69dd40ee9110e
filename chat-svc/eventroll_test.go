package chatsvc_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	chatsvc "chatplatform.io/chat-svc"
)

// A server stops while messages come. Its clients go to another one, each from
// where it was: none misses a message, and none hears them in another order.
func TestNobodyMissesAMessageWhenAServerStops(t *testing.T) {
	t.Parallel()
	const clients, messages = 40, 120
	i := install(t)
	deps, _ := i.logged(t)
	stops, err := chatsvc.Open(t.Context(), i.config(t), deps)
	require.NoError(t, err)
	first, second := document.Client(t, stops.Handler()), document.Client(t, i.server(t).Handler())
	ann := i.as(t, second, 1)
	var people []person
	var members []string
	for n := range clients {
		people = append(people, i.as(t, first, 100+n))
		members = append(members, people[n].id)
	}
	group := ann.group(t, members...)
	listeners := make([]*listener, clients)
	for n, who := range people {
		listeners[n] = who.stream(t, "")
		listeners[n].wants(t, "hello")
	}
	var want []string
	var closing sync.WaitGroup
	for n := range messages {
		want = append(want, fmt.Sprint(n))
		ann.say(t, group, want[n])
		if n == messages/3 {
			closing.Go(func() { _ = stops.Close(context.Background()) })
		}
	}
	closing.Wait()
	for n, l := range listeners {
		var heard []string
		seen, last := map[string]bool{}, ""
		collect := func(f frame) {
			if f.Method == "events.messageNew" && !seen[f.ID] {
				heard = append(heard, f.Params["content"].(string))
			}
			seen[f.ID], last = true, f.ID
		}
		for _, f := range l.ends(t) {
			collect(f)
		}
		again := i.as(t, second, 100+n).stream(t, "?since="+last)
		for len(heard) < messages {
			collect(again.next(t))
		}
		require.Equal(t, want, heard)
	}
}
