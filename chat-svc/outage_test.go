package chatsvc_test

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/svckit/observe"
	"chatplatform.io/svckit/program"
	"chatplatform.io/svckit/svctest"
)

// An onrush is clients that go on, each at its own pace, whatever becomes of
// their requests and of each other.
type onrush struct {
	over    atomic.Bool
	pause   sync.RWMutex // held by every request
	working sync.WaitGroup

	things []string

	mu     sync.Mutex
	counts map[string]tally
}

// A tally is what was heard by the clients that do one thing.
type tally struct{ served, refused int }

// clients lets n of them do one thing: act says whether turn was served, and
// one that was not is tried again. They end when it is over and all is served.
func (o *onrush) clients(what string, n int, act func(client, turn int) bool) {
	o.things = append(o.things, what)
	for client := range n {
		o.working.Go(func() {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for turn := 0; ; {
				<-pace.C
				o.pause.RLock()
				served := act(client, turn)
				o.pause.RUnlock()
				o.count(what, served)
				if served && o.over.Load() {
					return
				}
				if served {
					turn++
				}
			}
		})
	}
}

func (o *onrush) count(what string, served bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.counts[what]
	if served {
		t.served++
	} else {
		t.refused++
	}
	o.counts[what] = t
}

// all is what was heard of everything so far.
func (o *onrush) all() map[string]tally {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.counts)
}

// await waits until each thing was served and refused that much more often.
func (o *onrush) await(t *testing.T, more tally, each func()) {
	t.Helper()
	before := o.all()
	for _, what := range o.things {
		require.Eventually(t, func() bool {
			each()
			now := o.all()[what]
			return now.served-before[what].served >= more.served && now.refused-before[what].refused >= more.refused
		}, 2*time.Minute, 5*time.Millisecond, what)
	}
}

// heap is what is in use after a collection, while no request is under way.
func (o *onrush) heap() int {
	o.pause.Lock()
	defer o.pause.Unlock()
	runtime.GC()
	runtime.GC() // what pools keep is freed by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// isServed reads a list, and fails the test by any answer but the list and 503.
func isServed(t *testing.T, who person, path string) bool {
	answer := who.do(t, "GET", path, nil)
	if answer.Status != 200 {
		unavailable(t, answer)
	}
	return answer.Status == 200
}

func unavailable(t *testing.T, answer *svctest.Response) {
	if answer.Status != 503 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q: %s", answer.Status, answer.Header.Get("Retry-After"), answer.Body)
	}
}

// With the database away and clients that do not stop asking, what is refused
// leaves nothing behind: no goroutine, no place in the queue, no memory. All is
// back by itself, and what was acknowledged is there, once and in order.
func TestTheOnrushOutlivesAnOutage(t *testing.T) { // counts what the whole process holds: not beside others
	const each, outages = 4, 2
	i := install(t)
	uri, proxy := svctest.NewProxy(t, i.database.URI)
	observer, err := observe.Open(t.Context(), chatsvc.Name, "test", observe.Settings{}, io.Discard)
	require.NoError(t, err)
	server := i.serverWith(t, program.Deps{Observer: observer, Version: "test", Now: time.Now},
		unlimited, "SEND_BURST=100000", "MONGODB_URI="+uri)
	c, ann := newCrowd(t, i, 3, document.Client(t, server.Handler()))
	ben := i.as(t, ann.Client, 2)
	ben.settle(t, ben.group(t))

	o := &onrush{counts: map[string]tally{}}
	defer func() {
		proxy.Restore()
		o.over.Store(true)
		o.working.Wait()
	}()
	next := ben.messages(t, "").Next
	o.clients("send", each, func(client, turn int) bool {
		return c.send(t, ann, c.conversations[(client+turn)%len(c.conversations)], fmt.Sprintf("%d of %d", turn, client))
	})
	o.clients("poll", each, func(int, int) bool { return isServed(t, ben, "/api/messages") })
	o.clients("long poll", each, func(int, int) bool { return isServed(t, ben, "/api/messages?wait=1&after="+next) })
	o.clients("history", each, func(int, int) bool {
		return isServed(t, ann, "/api/conversations/"+c.conversations[0]+"/messages")
	})
	nothing := func() {}
	o.await(t, tally{served: 20}, nothing)
	goroutines := runtime.NumGoroutine()
	var fromMemory int
	for range outages {
		fromMemory += outage(t, o, server, proxy, goroutines+100)
		restored := time.Now()
		proxy.Restore()
		o.await(t, tally{served: 10}, nothing)
		t.Logf("back %s after the database", time.Since(restored))
	}
	require.Positive(t, fromMemory, "polls are served from memory while it is fresh")

	o.over.Store(true)
	o.working.Wait()
	require.Zero(t, chatsvc.Queued(server))
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+20 }, 30*time.Second, 10*time.Millisecond)
	c.check(t, ann)
}

// outage takes the database away for as long as it takes to see that nothing
// grows, and gives how many polls were served meanwhile.
func outage(t *testing.T, o *onrush, server *chatsvc.Server, proxy *svctest.Proxy, goroutines int) (polls int) {
	before := o.all()
	proxy.Cut()
	bounded := func() {
		require.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
		require.LessOrEqual(t, chatsvc.Queued(server), 0.01, "one message of each sender at most")
	}
	o.await(t, tally{refused: 20}, bounded)
	heap, away := o.heap(), o.all()
	o.await(t, tally{refused: 200}, bounded)
	grown, now, refused := o.heap()-heap, o.all(), 0
	for what := range now {
		require.Equal(t, away[what].served, now[what].served, "%s: nothing is served any more", what)
		refused += now[what].refused - away[what].refused
	}
	t.Logf("%d goroutines, %d bytes more in the heap after %d refusals", runtime.NumGoroutine(), grown, refused)
	require.Less(t, grown, 256*refused, "a refusal keeps nothing")
	return away["poll"].served - before["poll"].served
}
