package chatsvc_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/svckit/svctest"
)

type message struct {
	ID           string `json:"message_id"`
	Conversation string `json:"conversation_id"`
	Content      string `json:"content"`
	Seq          int64  `json:"seq"`
}

type messagePage struct {
	Messages []message `json:"messages"`
	Cursor   string    `json:"cursor"`
	HasMore  bool      `json:"has_more"`
	Next     string    `json:"next"`
}

func (p person) messages(t *testing.T, query string) messagePage {
	t.Helper()
	var page messagePage
	p.want(t, 200, "GET", "/api/messages"+query, nil).Into(t, &page)
	return page
}

func texts(messages []message) []string {
	all := make([]string, len(messages))
	for i, m := range messages {
		all[i] = m.Content
	}
	return all
}

// trusted waits until the server follows the feed, and answers from memory.
func (p place) trusted(t *testing.T) {
	t.Helper()
	p.ann.messages(t, "?after="+p.ann.messages(t, "").Next)
}

// hear asks for what came behind next until a message has come: the server has
// then heard of everything that was done before it was sent. It gives the next
// behind it.
func (p person) hear(t *testing.T, next, id string) string {
	t.Helper()
	for begun := time.Now(); ; {
		page := p.messages(t, "?wait=1&after="+next)
		next = page.Next
		if slices.ContainsFunc(page.Messages, func(m message) bool { return m.ID == id }) {
			return next
		}
		require.Less(t, time.Since(begun), patience, "%s does not come", id)
	}
}

// settle lets the feed tell everything so far; after that the server knows of a
// member's rights, and reads them no more.
func (p person) settle(t *testing.T, conversation string) {
	t.Helper()
	next := p.messages(t, "").Next
	p.hear(t, next, p.say(t, conversation, "settling").Text("message_id"))
	p.say(t, conversation, "settled")
}

func TestMessagesOfAllConversations(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	groups := []string{p.ann.group(t, p.bob.id), p.ann.group(t, p.bob.id), p.ann.group(t, p.bob.id), p.ann.group(t)}
	for n := range 12 {
		p.ann.say(t, groups[n%3], fmt.Sprint(n))
	}
	p.ann.say(t, groups[3], "bob is not here")
	want := []string{"11", "10", "9", "8", "7", "6", "5", "4", "3", "2", "1", "0"}
	require.Equal(t, want, texts(p.bob.messages(t, "").Messages), "before the feed is followed")
	p.trusted(t)
	require.Equal(t, want, texts(p.bob.messages(t, "").Messages), "from memory")
	require.Empty(t, p.eve.messages(t, "").Messages)

	first := p.bob.messages(t, "?limit=5")
	require.True(t, first.HasMore)
	walked := first.Messages
	p.ann.say(t, groups[0], "later")
	for page := first; page.HasMore; {
		page = p.bob.messages(t, "?limit=5&cursor="+page.Cursor)
		require.Equal(t, first.Next, page.Next, "a walk keeps the next of its first page")
		require.NotEmpty(t, page.Messages)
		walked = append(walked, page.Messages...)
	}
	require.Equal(t, want, texts(walked), "nothing skipped, nothing twice, although one became active")
	after := p.bob.messages(t, "?after="+first.Next)
	require.Equal(t, []string{"later"}, texts(after.Messages))
	require.Empty(t, after.Cursor)
	require.Empty(t, p.bob.messages(t, "?after="+after.Next).Messages)
}

func TestAConversationBecomesActiveDuringAWalk(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var groups []string
	for n := range 12 {
		group := p.ann.group(t, p.bob.id)
		groups = append(groups, group)
		for m := range 3 {
			p.ann.say(t, group, fmt.Sprint(n, " ", m))
		}
	}
	p.trusted(t)
	seen := map[string]int{}
	page := p.bob.messages(t, "?limit=4")
	for turn := 0; ; turn++ {
		for _, m := range page.Messages {
			seen[m.Content]++
		}
		if !page.HasMore {
			break
		}
		p.ann.say(t, groups[turn%len(groups)], fmt.Sprint("new ", turn))
		page = p.bob.messages(t, "?limit=4&cursor="+page.Cursor)
	}
	require.Len(t, seen, 36)
	for text, times := range seen {
		require.Equal(t, 1, times, text)
	}
}

func TestCatchUpTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	p.ann.say(t, conversation, "x")
	page := p.ann.messages(t, "?limit=1")
	foreign := p.bob.messages(t, "").Next
	for name, query := range map[string]string{
		"of another account":   "?after=" + foreign,
		"tampered with":        "?after=" + page.Next[:len(page.Next)-2] + "AA",
		"no token":             "?after=nonsense",
		"beside a cursor":      "?after=" + page.Next + "&cursor=x",
		"a wait without after": "?wait=1",
		"a wait too long":      "?wait=31&after=" + page.Next,
		"a wait of no number":  "?wait=soon&after=" + page.Next,
		"a negative wait":      "?wait=-1&after=" + page.Next,
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, 400, p.ann.ask(t, "GET", "/api/messages"+query, nil, svctest.BadRequest()).Status)
			require.Equal(t, 400, p.ann.ask(t, "GET", "/api/conversations/"+conversation+"/messages"+query, nil, svctest.BadRequest()).Status)
		})
	}
	other := p.bob.group(t)
	p.ann.want(t, 404, "GET", "/api/conversations/"+other+"/messages?after="+page.Next, nil)
}

func TestLongPoll(t *testing.T) {
	t.Parallel()
	p, registry := measured(t, install(t))
	other := document.Client(t, p.server(t).Handler())
	conversation, quiet := p.ann.group(t, p.bob.id), p.ann.group(t, p.bob.id)
	p.ann.say(t, conversation, "before")
	for name, path := range map[string]string{
		"all conversations": "/api/messages", "one conversation": "/api/conversations/" + conversation + "/messages",
	} {
		t.Run(name, func(t *testing.T) {
			var page messagePage
			p.bob.want(t, 200, "GET", path, nil).Into(t, &page)
			waiting := path + "?wait=30&after=" + page.Next
			answers := make(chan *svctest.Response, 1)
			go func() { answers <- p.bob.do(t, "GET", waiting, nil) }()
			require.Eventually(t, func() bool { return metric(t, registry, "chat_poll_waiting") == 1 }, patience, time.Millisecond)
			p.as(t, other, 1).say(t, conversation, "from another replica")
			select {
			case answer := <-answers:
				require.Equal(t, 200, answer.Status, "%s", answer.Body)
				answer.Into(t, &page)
				require.Equal(t, []string{"from another replica"}, texts(page.Messages))
			case <-time.After(patience):
				require.Fail(t, "the wait did not end")
			}
		})
	}
	var page messagePage
	p.bob.want(t, 200, "GET", "/api/conversations/"+quiet+"/messages?wait=1&after="+p.bob.messages(t, "").Next, nil).Into(t, &page)
	require.Empty(t, page.Messages, "another conversation's messages do not count")
	require.NotEmpty(t, page.Next)
}

// Readers that catch up on two replicas in turn see every message once, in
// the order of its conversation.
func TestCatchUpMissesNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "SENDS_PER_MINUTE=600000", "SEND_BURST=10000")
	other := document.Client(t, p.server(t, "SENDS_PER_MINUTE=600000", "SEND_BURST=10000").Handler())
	var groups []string
	for range 3 {
		groups = append(groups, p.ann.group(t, p.bob.id))
	}
	p.trusted(t)
	next := p.bob.messages(t, "").Next
	const each, senders = 40, 4
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sending sync.WaitGroup
	for s := range senders {
		sender := []person{p.ann, p.as(t, other, 1)}[s%2]
		sending.Go(func() {
			for n := range each {
				text := fmt.Sprint(s, "-", n)
				message := object{"conversation_id": groups[n%3], "content": text, "client_msg_id": text}
				for ctx.Err() == nil && sender.do(t, "POST", "/api/messages", message).Status != http.StatusCreated {
					continue // its key makes it one message
				}
			}
		})
	}
	readers := []person{p.bob, p.as(t, other, 2)}
	seen, last := map[string]bool{}, map[string]int64{}
	for turn := 0; len(seen) < each*senders; turn++ {
		answer := readers[turn%2].do(t, "GET", "/api/messages?limit=7&wait=1&after="+next, nil)
		if answer.Status == http.StatusServiceUnavailable {
			continue // this replica has not caught up yet
		}
		require.Equal(t, 200, answer.Status, string(answer.Body))
		var page messagePage
		answer.Into(t, &page)
		for _, m := range page.Messages {
			require.False(t, seen[m.ID], "twice: %s", m.Content)
			require.Equal(t, last[m.Conversation]+1, m.Seq, "in order, none missed")
			seen[m.ID], last[m.Conversation] = true, m.Seq
		}
		next = page.Next
	}
	sending.Wait()
}

// A place from before all that a replica remembers is looked up by time.
func TestCatchUpFromLongAgo(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	groups := []string{p.ann.group(t, p.bob.id), p.ann.group(t, p.bob.id)}
	p.trusted(t)
	old := p.bob.messages(t, "").Next
	want := map[string]bool{}
	for n := range 9 {
		want[p.ann.say(t, groups[n%2], fmt.Sprint(n)).Text("message_id")] = true
	}
	// Once the checkpoint has passed them, a new replica starts behind them. It
	// has when what was sent next is saved.
	db := svctest.Open(t, p.database)
	for seq := 5; seq <= 6; seq++ {
		require.Eventually(t, func() bool {
			saved, err := db.Collection("conversations").CountDocuments(t.Context(), bson.D{{Key: "last_seq", Value: bson.D{{Key: "$gte", Value: seq}}}})
			return err == nil && saved >= 1
		}, 30*time.Second, 50*time.Millisecond)
		want[p.ann.say(t, groups[0], fmt.Sprint("and ", seq)).Text("message_id")] = true
	}
	reader := p.as(t, document.Client(t, p.server(t).Handler()), 2)
	got := map[string]bool{}
	for next := old; ; {
		page := reader.messages(t, "?limit=2&after="+next)
		for _, m := range page.Messages {
			got[m.ID] = true
		}
		if next = page.Next; !page.HasMore {
			break
		}
	}
	require.Equal(t, want, got)
}
