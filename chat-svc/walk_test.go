package chatsvc_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/svckit/svctest"
)

// A walk is what one reader saw, page by page.
type walk struct {
	seqs []int64
	ids  map[string]bool
}

// walked reads a conversation from its end to its beginning. No page may be
// empty and say that there is more.
func (p person) walked(t *testing.T, conversation string, limit func() int) walk {
	w := walk{ids: map[string]bool{}}
	cursor := ""
	for {
		page := p.want(t, 200, "GET", fmt.Sprintf("/api/conversations/%s/messages?limit=%d&cursor=%s", conversation, limit(), cursor), nil)
		messages := page.Get("messages").([]any)
		for _, m := range messages {
			w.seqs = append(w.seqs, int64(m.(map[string]any)["seq"].(float64)))
			w.ids[m.(map[string]any)["message_id"].(string)] = true
		}
		if page.Get("has_more") == false {
			return w
		}
		require.NotEmpty(t, messages, "there is more, so this page has something")
		cursor = page.Text("cursor")
	}
}

// A busy conversation is one that others write while it is read.
type busy struct {
	conversation string
	staying      []string // messages that are never withdrawn

	mu   sync.Mutex
	gone []string // messages that are withdrawn for sure
}

func (b *busy) withdraw(t *testing.T, who person, sent *svctest.Response) {
	who.want(t, 200, "DELETE", messagePath(sent), withdrawal())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = append(b.gone, sent.Text("message_id"))
}

func (b *busy) withdrawn() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.gone)
}

// change sends, edits, deletes and withdraws until told to stop.
func (b *busy) change(t *testing.T, who person, stop <-chan struct{}) {
	for turn := 0; !isClosed(stop); turn++ {
		sent := who.say(t, b.conversation, fmt.Sprint("new ", turn))
		staying := b.staying[rand.IntN(len(b.staying))]
		who.want(t, 200, "PUT", "/api/messages/"+staying, object{"content": fmt.Sprint("edited ", rand.Int64())})
		switch turn % 3 {
		case 0:
			b.withdraw(t, who, sent)
		case 1:
			who.want(t, 200, "DELETE", messagePath(sent), nil)
		}
	}
}

// While others send, edit, delete and withdraw on two servers, every walk sees
// each message that stays exactly once, in order, and none that was withdrawn
// before it began.
func TestWalksNeitherSkipNorRepeat(t *testing.T) {
	t.Parallel()
	i := install(t)
	var people []person
	for range 2 {
		client := document.Client(t, i.server(t, unlimited, "SEND_BURST=100000").Handler())
		people = append(people, i.as(t, client, 1))
	}
	const walks = 15
	var readers []string // each walks once: no server has its pages in memory from before
	for n := range walks {
		readers = append(readers, agent(10+n))
	}
	b := &busy{conversation: people[0].group(t, readers...)}
	for n := range 150 {
		sent := people[n%2].say(t, b.conversation, fmt.Sprint(n))
		if n%2 == 0 {
			b.withdraw(t, people[0], sent)
			continue
		}
		b.staying = append(b.staying, sent.Text("message_id"))
	}

	var others sync.WaitGroup
	stop := make(chan struct{})
	for n := range 3 {
		others.Go(func() { b.change(t, people[n%2], stop) })
	}
	for n := range walks {
		withdrawn := b.withdrawn()
		seen := i.as(t, people[n%2].Client, 10+n).walked(t, b.conversation, func() int { return 1 + rand.IntN(30) })
		require.True(t, slices.IsSortedFunc(seen.seqs, func(a, b int64) int { return int(b - a) }), "newest first")
		require.Len(t, seen.ids, len(seen.seqs), "none twice")
		for _, id := range b.staying {
			require.True(t, seen.ids[id], "%s was skipped", id)
		}
		for _, id := range withdrawn {
			require.False(t, seen.ids[id], "%s was withdrawn", id)
		}
	}
	close(stop)
	others.Wait()
}

// watched is a place whose database commands are recorded.
func watched(t *testing.T, environ ...string) (place, *svctest.Commands) {
	t.Helper()
	i := install(t)
	commands := &svctest.Commands{}
	i.database.Monitors = append(i.database.Monitors, commands.Monitor())
	client := document.Client(t, i.server(t, environ...).Handler())
	return place{i, i.as(t, client, 1), i.as(t, client, 2), i.as(t, client, 3)}, commands
}

// However many messages in a row were withdrawn, a page reads past them by a
// few queries.
func TestPagesReadPastWithdrawnMessages(t *testing.T) {
	t.Parallel()
	p, commands := watched(t, unlimited, "SEND_BURST=100000")
	const said = 90
	tests := map[string]struct {
		withdrawn func(seq int64) bool
		limit     int
		want      []int64 // each page's newest message
		queries   int     // most for a page
	}{
		"none":            {func(int64) bool { return false }, 40, []int64{90, 50, 10}, 1},
		"the newest":      {func(s int64) bool { return s > 85 }, 40, []int64{85, 45, 5}, 2},
		"the oldest":      {func(s int64) bool { return s <= 50 }, 40, []int64{90}, 2},
		"every other one": {func(s int64) bool { return s%2 == 0 }, 20, []int64{89, 49, 9}, 2},
		"a few in a row":  {func(s int64) bool { return s > 20 && s <= 40 }, 2, []int64{90, 88}, 2},
		"nearly all":      {func(s int64) bool { return s > 1 && s < 90 }, 1, []int64{90, 1}, 3},
		"all":             {func(int64) bool { return true }, 1, nil, 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			conversation := p.ann.group(t)
			for n := range said {
				sent := p.ann.say(t, conversation, fmt.Sprint(n))
				if tt.withdrawn(int64(n + 1)) {
					p.ann.want(t, 200, "DELETE", messagePath(sent), withdrawal())
				}
			}
			cursor := ""
			for _, newest := range tt.want {
				commands.Reset()
				page := p.ann.want(t, 200, "GET", fmt.Sprintf("/api/conversations/%s/messages?limit=%d&cursor=%s", conversation, tt.limit, cursor), nil)
				require.EqualValues(t, newest, page.Get("messages.0.seq"))
				require.LessOrEqual(t, queriesFor(commands, "messages"), tt.queries)
				cursor = page.Text("cursor")
			}
			seen := p.ann.walked(t, conversation, func() int { return tt.limit })
			var stay []int64
			for seq := int64(said); seq > 0; seq-- {
				if !tt.withdrawn(seq) {
					stay = append(stay, seq)
				}
			}
			require.Equal(t, stay, seen.seqs)
		})
	}
}

// A replica that remembers more of a conversation than the database has, as
// after a restored backup, still gives its newest page.
func TestAPageAfterARestoredBackup(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t)
	for n := range 60 {
		p.ann.say(t, conversation, fmt.Sprint(n+1))
	}
	p.collection(t, "messages").remove(t, bson.D{{Key: "s", Value: bson.D{{Key: "$gt", Value: 3}}}})
	page := p.ann.want(t, 200, "GET", "/api/conversations/"+conversation+"/messages?limit=2", nil)
	require.Equal(t, "3", page.Text("messages.0.content"))
	require.Equal(t, true, page.Get("has_more"))
}
