package chatsvc_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// A fleet is several servers on one database, each with a clock of its own. The
// last of them keeps next to no events, so that what it is asked for is nearly
// always older than what it remembers.
type fleet struct {
	installation
	clients []*svctest.Client

	mu   sync.Mutex
	owed map[string][]owed   // by account: every message that it must be told
	in   map[string][]string // the members of each conversation, beside the owner
}

// What is owed is a message that was acknowledged.
type owed struct{ id, conversation, text string }

func newFleet(t *testing.T, skews ...time.Duration) *fleet {
	f := &fleet{installation: install(t), owed: map[string][]owed{}, in: map[string][]string{}}
	for n, skew := range skews {
		deps, _ := f.logged(t)
		clock := svctest.NewClock()
		clock.Advance(skew)
		deps.Now = clock.Now
		environ := []string{unlimited, "SEND_BURST=1000000"}
		if n == len(skews)-1 {
			environ = append(environ, "EVENT_MEMORY=3000")
		}
		f.clients = append(f.clients, document.Client(t, f.serverWith(t, deps, environ...).Handler()))
	}
	return f
}

// anywhere is an account on some server.
func (f *fleet) anywhere(t *testing.T, n int) person {
	return f.as(t, f.clients[rand.IntN(len(f.clients))], n)
}

// say sends as the owner of everything. Whoever was a member before must be told.
func (f *fleet) say(t *testing.T, conversation, text string) {
	f.mu.Lock()
	members := slices.Clone(f.in[conversation])
	f.mu.Unlock()
	answer := f.anywhere(t, 1).do(t, "POST", "/api/messages", object{"conversation_id": conversation, "content": text})
	if answer.Status != http.StatusCreated {
		t.Errorf("send: %d %s", answer.Status, answer.Body)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range members {
		f.owed[m] = append(f.owed[m], owed{answer.Text("message_id"), conversation, text})
	}
}

// invite makes accounts members; what is said from then on they must be told.
func (f *fleet) invite(t *testing.T, conversation string, accounts ...string) {
	for _, a := range accounts {
		answer := f.anywhere(t, 1).do(t, "POST", "/api/conversations/"+conversation+"/members", object{"agent_id": a})
		if answer.Status != http.StatusOK {
			t.Errorf("invite: %d %s", answer.Status, answer.Body)
		}
		f.mu.Lock()
		f.in[conversation] = append(f.in[conversation], a)
		f.mu.Unlock()
	}
}

// talk sends into all conversations from several people at once, while
// the accounts are taken into new ones.
func (f *fleet) talk(t *testing.T, conversations []string, accounts []string, people, each int) <-chan struct{} {
	var talking sync.WaitGroup
	for p := range people {
		talking.Go(func() {
			mine := slices.Clone(conversations)
			for n := range each {
				if t.Failed() {
					return
				}
				if n%10 == 5 {
					joined := f.anywhere(t, 1).group(t)
					f.say(t, joined, "before anybody came")
					f.invite(t, joined, accounts...)
					mine = append(mine, joined)
					f.say(t, joined, "welcome")
				}
				f.say(t, mine[rand.IntN(len(mine))], fmt.Sprint(p, " ", n))
			}
		})
	}
	done := make(chan struct{})
	go func() {
		talking.Wait()
		close(done)
	}()
	return done
}

// missing is what an account was not told of what it is owed.
func (f *fleet) missing(account int, told map[string]bool) []owed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.owed[agent(account)]), func(o owed) bool { return told[o.id] })
}

// A reader catches up on some servers in turn.
type reader struct {
	fleet   *fleet
	account int
	servers []int
	exact   bool // these servers have everything in memory: nothing comes twice

	next string
	told map[string]bool
	last map[string]int64 // by conversation
}

func (r *reader) get(t *testing.T, query string) messagePage {
	for {
		client := r.fleet.clients[r.servers[rand.IntN(len(r.servers))]]
		answer := r.fleet.as(t, client, r.account).do(t, "GET", "/api/messages?"+query, nil)
		if answer.Status == http.StatusServiceUnavailable && t.Context().Err() == nil {
			continue // this server has not caught up
		}
		var page messagePage
		require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
		answer.Into(t, &page)
		return page
	}
}

// begin walks all pages from the first one. What is not on them, because the
// first server had not heard of it, comes behind its next.
func (r *reader) begin(t *testing.T) {
	r.told, r.last = map[string]bool{}, map[string]int64{}
	page := r.get(t, "limit=5")
	r.next = page.Next
	walked := map[string]bool{}
	for {
		for _, m := range page.Messages {
			require.False(t, walked[m.ID], "%s stands twice in a walk", m.Content)
			walked[m.ID] = true
		}
		if !page.HasMore {
			break
		}
		require.NotEmpty(t, page.Messages)
		page = r.get(t, fmt.Sprint("limit=", 1+rand.IntN(9), "&cursor=", page.Cursor))
		require.Equal(t, r.next, page.Next, "the next of the walk's first page")
	}
	r.told = walked
}

// step asks once for what came behind.
func (r *reader) step(t *testing.T) {
	page := r.get(t, fmt.Sprint("limit=", 1+rand.IntN(20), "&wait=", rand.IntN(2), "&after=", r.next))
	require.Empty(t, page.Cursor)
	seen := map[string]bool{}
	for _, m := range page.Messages {
		require.False(t, seen[m.ID], "twice on a page")
		seen[m.ID], r.told[m.ID] = true, true
		if r.exact {
			require.Greater(t, m.Seq, r.last[m.Conversation], "%s comes twice or out of order", m.Content)
			r.last[m.Conversation] = m.Seq
		}
	}
	r.next = page.Next
}

// follow asks until everybody has said everything and the account was told all
// of it.
func (r *reader) follow(t *testing.T, talked <-chan struct{}, deadline time.Time) {
	for !isClosed(talked) || len(r.fleet.missing(r.account, r.told)) > 0 {
		if r.step(t); time.Now().After(deadline) {
			t.Errorf("account %d on servers %v was not told %+v", r.account, r.servers, r.fleet.missing(r.account, r.told))
			return
		}
	}
}

// Whatever the clocks of servers say, nearly to the 30 s beyond which they
// refuse sends, who begins at any moment and catches up on several of them in
// turn is told every message of its conversations, also of those that it comes
// into meanwhile, and also where a server no longer remembers. Where servers
// remember, nothing is told twice.
func TestCatchUpSkipsNothingWhateverClocksSay(t *testing.T) {
	t.Parallel()
	tests := map[string][]time.Duration{
		"one is late, one is ahead": {-25 * time.Second, 25 * time.Second, 0},
		"who forgets is late":       {25 * time.Second, 0, -25 * time.Second},
		"all are late":              {-25 * time.Second, -25 * time.Second, -25 * time.Second},
	}
	for name, skews := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, skews...)
			accounts := []string{agent(2), agent(3), agent(4)}
			var conversations []string
			for range 3 {
				c := f.anywhere(t, 1).group(t)
				f.invite(t, c, accounts...)
				conversations = append(conversations, c)
				for n := range 5 {
					f.say(t, c, fmt.Sprint("at first ", n))
				}
			}
			readers := []reader{
				{fleet: f, account: 2, servers: []int{0, 1}, exact: true},
				{fleet: f, account: 3, servers: []int{0, 1, 2}},
				{fleet: f, account: 4, servers: []int{2}},
			}
			talked := f.talk(t, conversations, accounts, 3, 20)
			var reading sync.WaitGroup
			deadline := time.Now().Add(2 * time.Minute)
			for _, r := range readers {
				follower := r
				reading.Go(func() {
					follower.begin(t)
					follower.follow(t, talked, deadline)
				})
				reading.Go(func() {
					for begun := false; !begun || !isClosed(talked); begun = true { // and yet another one
						walker := r
						walker.begin(t)
						reading.Go(func() {
							<-talked
							walker.follow(t, talked, deadline)
						})
					}
				})
			}
			reading.Wait()
		})
	}
}
