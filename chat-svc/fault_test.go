package chatsvc_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	i := install(t)
	uri, proxy := svctest.NewProxy(t, i.database.URI)
	client := document.Client(t, i.server(t, "MONGODB_URI="+uri).Handler())
	ann := i.as(t, client, 1)
	conversation := ann.group(t)
	ann.say(t, conversation, "before")
	elsewhere := ann.group(t)
	edited, deleted := ann.say(t, elsewhere, "x"), ann.say(t, elsewhere, "y")

	proxy.Cut()
	calls := map[string]func() *svctest.Response{
		"send": func() *svctest.Response {
			return ann.do(t, "POST", "/api/messages", object{"conversation_id": conversation, "content": "away", "client_msg_id": "k"})
		},
		"create": func() *svctest.Response {
			return ann.do(t, "POST", "/api/conversations", object{"type": "group", "members": []string{}}, svctest.WithHeader("Idempotency-Key", "k"))
		},
		"edit": func() *svctest.Response {
			return ann.do(t, "PUT", messagePath(edited), object{"content": fmt.Sprint(rand.Int64())})
		},
		"delete": func() *svctest.Response { return ann.do(t, "DELETE", messagePath(deleted), nil) },
		"invite": func() *svctest.Response {
			return ann.do(t, "POST", "/api/conversations/"+conversation+"/members", object{"agent_id": agent(2)})
		},
		"block": func() *svctest.Response {
			return ann.do(t, "POST", "/api/blocks", object{"target_id": agent(3)}, svctest.WithHeader("Idempotency-Key", "b"))
		},
		"list": func() *svctest.Response { return ann.do(t, "GET", "/api/conversations", nil) },
		"look": func() *svctest.Response { return ann.do(t, "GET", "/api/conversations/"+conversation, nil) },
		"read": func() *svctest.Response { return ann.do(t, "GET", "/api/conversations/"+conversation+"/messages", nil) },
	}
	answers := map[string]<-chan *svctest.Response{}
	for name, call := range calls {
		answered := make(chan *svctest.Response, 1)
		answers[name] = answered
		go func() { answered <- call() }()
	}
	hung := time.After(time.Minute)
	for name, answered := range answers {
		var answer *svctest.Response
		select {
		case answer = <-answered:
		case <-hung:
			require.Fail(t, "it hangs", name)
		}
		require.Equal(t, 503, answer.Status, "%s: %s", name, answer.Body)
		require.NotEmpty(t, answer.Header.Get("Retry-After"), name)
		require.NotContains(t, string(answer.Body), "mongo", "nothing internal is shown")
	}
	require.Equal(t, 200, ann.Call(t, "GET", "/health", nil).Status)

	proxy.Restore()
	for name, call := range calls {
		require.Eventually(t, func() bool { return call().Status < 300 }, 30*time.Second, 50*time.Millisecond, "%s is back by itself", name)
	}
	page := ann.want(t, 200, "GET", "/api/conversations/"+conversation+"/messages", nil)
	require.Equal(t, "away", page.Text("messages.0.content"))
	require.Equal(t, "before", page.Text("messages.1.content"))
	require.Len(t, page.Get("messages"), 2, "each retry with the key was the same message")
}

// While the database is away nobody waits for it: sends are refused at once,
// polls too once what is in memory is a second old, and all of it is back by
// itself.
func TestNobodyWaitsForADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	i := install(t)
	uri, proxy := svctest.NewProxy(t, i.database.URI)
	deps, logs := i.logged(t)
	client := document.Client(t, i.serverWith(t, deps, "MONGODB_URI="+uri).Handler())
	ann := i.as(t, client, 1)
	conversation := ann.group(t)
	ann.settle(t, conversation)
	send := func() int {
		return ann.do(t, "POST", "/api/messages", object{"conversation_id": conversation, "content": "x"}).Status
	}
	poll := func(path string) int { return ann.do(t, "GET", path, nil).Status }
	paths := []string{"/api/messages", "/api/conversations", "/api/conversations/" + conversation + "/messages"}
	for _, path := range paths {
		require.Equal(t, 200, poll(path))
	}
	proxy.Cut()
	for _, path := range paths {
		require.Eventually(t, func() bool { return poll(path) == 503 }, 30*time.Second, 5*time.Millisecond, path)
	}
	require.Equal(t, 503, send())
	waited := func() (n int) { // requests that waited for a server until they gave up
		for line := range strings.Lines(logs.String()) {
			if strings.Contains(line, "request failed") && strings.Contains(line, "server selection") {
				n++
			}
		}
		return n
	}
	before := waited()
	for range 50 {
		require.Equal(t, 503, send())
		for _, path := range paths {
			require.Equal(t, 503, poll(path))
		}
	}
	require.Equal(t, before, waited())

	proxy.Restore()
	restored := time.Now()
	require.Eventually(t, func() bool { return send() == 201 }, 30*time.Second, 5*time.Millisecond)
	for _, path := range paths {
		require.Eventually(t, func() bool { return poll(path) == 200 }, 30*time.Second, 5*time.Millisecond, path)
	}
	t.Logf("back %s after the database", time.Since(restored))
}

// With auth-svc away, tokens whose key is known go on, who is known can be
// written to, and who is not known cannot be looked up.
func TestAuthAway(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	p.auth.away.Store(true)
	p.ann.say(t, conversation, "still here")
	p.ann.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.bob.id, "content": "bob is known"})
	answer := p.ann.want(t, 503, "POST", "/api/messages", object{"recipient_agent_id": p.eve.id, "content": "eve is not"})
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
	p.ann.want(t, 503, "POST", "/api/conversations", object{"type": "group", "members": []string{p.eve.id}})
	p.auth.away.Store(false)
	p.ann.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.eve.id, "content": "eve is found"})
}

func TestRevocationArrives(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.ann.want(t, 200, "GET", "/api/conversations", nil)
	p.auth.tell(accounts.Change{Kind: accounts.KeysRevoked, KeyIDs: []string{"aky_" + p.ann.id[4:]}})
	require.Eventually(t, func() bool {
		return p.ann.do(t, "GET", "/api/conversations", nil).Status == 401
	}, 30*time.Second, 10*time.Millisecond)
	p.bob.want(t, 200, "GET", "/api/conversations", nil)
}

// A crowd sends into a few conversations through several clients, repeating
// what was not acknowledged under the same key, and sometimes what was.
type crowd struct {
	clients       []*svctest.Client
	conversations []string

	mu      sync.Mutex
	places  map[string]string // message id by conversation and text
	replays int
}

func (c *crowd) send(t *testing.T, who person, conversation, text string) bool {
	answer := who.do(t, "POST", "/api/messages", object{
		"conversation_id": conversation, "content": text, "client_msg_id": text,
	})
	if answer.Status != 201 {
		unavailable(t, answer)
		return answer.Status != 503
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer.Header.Get("Idempotency-Replayed") != "" {
		c.replays++
	}
	id := answer.Text("message_id")
	if before, known := c.places[conversation+text]; known && before != id {
		t.Errorf("%q moved from %s to %s", text, before, id)
	}
	c.places[conversation+text] = id
	return true
}

// run lets n people of an installation send, and closes what it returns when
// each has sent its messages.
func (c *crowd) run(t *testing.T, i installation, n, messages int) <-chan struct{} {
	var people sync.WaitGroup
	for name := range n {
		people.Go(func() {
			raw := i.auth.token(t, agent(1), token.MessagesWrite)
			for m := range messages {
				text := fmt.Sprintf("%d of %d", m, name)
				conversation := c.conversations[rand.IntN(len(c.conversations))]
				for at := rand.IntN(len(c.clients)); ; at++ {
					client := c.clients[at%len(c.clients)]
					if c.send(t, person{client, agent(1), raw}, conversation, text) && rand.IntN(10) > 0 {
						break
					}
					if t.Context().Err() != nil {
						return
					}
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		people.Wait()
		close(done)
	}()
	return done
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// check reads everything back: no gap, no double, nothing lost or moved, and
// what one of them sent in the order in which it was sent.
func (c *crowd) check(t *testing.T, who person) {
	stored := 0
	for _, conversation := range c.conversations {
		seqs, later := map[float64]bool{}, map[int]int{}
		last, cursor, more := 0.0, "", true
		for more {
			page := who.want(t, 200, "GET", "/api/conversations/"+conversation+"/messages?limit=100&cursor="+cursor, nil)
			for _, m := range page.Get("messages").([]any) {
				m := m.(map[string]any)
				seq := m["seq"].(float64)
				require.False(t, seqs[seq], "%v stands twice", seq)
				seqs[seq] = true
				last = max(last, seq)
				require.Equal(t, c.places[conversation+m["content"].(string)], m["message_id"])
				stored++
				var turn, name int
				_, err := fmt.Sscanf(m["content"].(string), "%d of %d", &turn, &name)
				require.NoError(t, err)
				if after, known := later[name]; known {
					require.Less(t, turn, after, "%d's order", name)
				}
				later[name] = turn
			}
			cursor, more = page.Text("cursor"), page.Get("has_more").(bool)
		}
		require.Len(t, seqs, int(last), "no gap")
	}
	require.Len(t, c.places, stored, "every acknowledged message is there, once")
}

func newCrowd(t *testing.T, i installation, conversations int, clients ...*svctest.Client) (*crowd, person) {
	c := &crowd{clients: clients, places: map[string]string{}}
	ann := i.as(t, clients[0], 1)
	for range conversations {
		c.conversations = append(c.conversations, ann.group(t))
	}
	return c, ann
}

const unlimited = "SENDS_PER_MINUTE=6000000"

func TestTwoServersOnOneDatabase(t *testing.T) {
	t.Parallel()
	i := install(t)
	first := document.Client(t, i.server(t, unlimited, "SEND_BURST=100000").Handler())
	second := document.Client(t, i.server(t, unlimited, "SEND_BURST=100000").Handler())
	c, ann := newCrowd(t, i, 2, first, second)
	<-c.run(t, i, 8, 25)
	c.check(t, ann)
	require.Positive(t, c.replays)
}

func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	i := install(t)
	deps, logs := i.logged(t)
	client := document.Client(t, i.serverWith(t, deps).Handler())
	ann := i.as(t, client, 1)
	conversation := ann.group(t)
	ann.say(t, conversation, "a secret of ann's", svctest.WithHeader("Idempotency-Key", "key-of-ann"))
	ann.do(t, "POST", "/api/messages", object{"conversation_id": conversation, "content": "other words of ann's"}, svctest.WithHeader("Idempotency-Key", "key-of-ann"))
	text := logs.String()
	for _, secret := range []string{ann.token, "a secret of", "other words", "key-of-ann"} {
		require.NotContains(t, text, secret)
	}
}
