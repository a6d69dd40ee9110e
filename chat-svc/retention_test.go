package chatsvc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/svckit/svctest"
)

func TestRetentionBelowADayIsRefused(t *testing.T) {
	t.Parallel()
	i := install(t)
	for _, value := range []string{"23h59m59s", "1s", "-1h"} {
		deps, _ := i.logged(t)
		_, err := chatsvc.Open(t.Context(), i.config(t, "RETENTION="+value), deps)
		require.ErrorContains(t, err, "RETENTION is "+value)
	}
}

// keeps waits until a conversation has so many rows.
func (p place) keeps(t *testing.T, conversation string, rows int) {
	t.Helper()
	messages := p.collection(t, "messages")
	require.Eventually(t, func() bool {
		n, err := messages.CountDocuments(t.Context(), bson.D{{Key: "c", Value: conversationKey(conversation)}})
		return err == nil && int(n) == rows
	}, 30*time.Second, 10*time.Millisecond)
}

func conversationKey(conversation string) bson.Binary {
	c := uuid.MustParse(strings.TrimPrefix(conversation, "conv_"))
	return bson.Binary{Subtype: 4, Data: c[:]}
}

func TestMessagesThatAreNoLongerKept(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t, "RETENTION=24h", "EVENT_MEMORY=0")
	group, quiet := p.ann.group(t, p.bob.id), p.ann.group(t, p.bob.id)
	start := p.bob.messages(t, "").Next
	key := svctest.WithHeader("Idempotency-Key", "k")
	first := p.ann.say(t, group, "1", key)
	p.ann.want(t, 200, "DELETE", messagePath(p.ann.say(t, group, "2")), withdrawal())
	third := p.ann.say(t, group, "3")
	p.ann.say(t, quiet, "quiet 1")
	p.ann.say(t, quiet, "quiet 2")
	clock.advance(23 * time.Hour)
	fourth := p.ann.say(t, group, "4")
	p.ann.say(t, group, "5")
	pathOfGroup := "/api/conversations/" + group + "/messages"
	cursorOfAll := p.bob.messages(t, "?limit=2").Cursor
	cursorOfOne := p.bob.want(t, 200, "GET", pathOfGroup+"?limit=2", nil).Text("cursor")
	p.bob.want(t, 200, "GET", pathOfGroup, nil) // the first page is in memory

	clock.advance(2 * time.Hour)
	p.keeps(t, group, 2)
	p.keeps(t, quiet, 1)
	shown := func(path string) (page messagePage) {
		p.bob.want(t, 200, "GET", path, nil).Into(t, &page)
		require.False(t, page.HasMore)
		return page
	}
	require.Eventually(t, func() bool { return len(shown(pathOfGroup).Messages) == 2 }, 30*time.Second, 10*time.Millisecond,
		"pages in memory are made anew")
	require.Equal(t, []string{"5", "4"}, texts(shown(pathOfGroup).Messages))
	require.Empty(t, shown(pathOfGroup+"?cursor="+cursorOfOne).Messages)
	require.Equal(t, []string{"5", "4", "quiet 2"}, texts(p.bob.messages(t, "").Messages))
	require.Equal(t, []string{"quiet 2"}, texts(shown("/api/messages?cursor="+cursorOfAll).Messages))
	require.Equal(t, []string{"quiet 2", "4", "5"}, texts(shown("/api/messages?after="+start).Messages), "catch-up goes on at the first that is kept")

	reply := func(to *svctest.Response) object {
		return object{"conversation_id": group, "content": "re", "in_reply_to": to.Text("message_id")}
	}
	p.ann.want(t, 400, "POST", "/api/messages", reply(third))
	p.ann.want(t, 201, "POST", "/api/messages", reply(fourth))
	p.ann.want(t, 404, "PUT", messagePath(third), object{"content": "edited"})
	p.ann.want(t, 404, "DELETE", messagePath(third), nil)
	p.ann.want(t, 404, "DELETE", messagePath(first), withdrawal())
	unread := p.bob.want(t, 200, "POST", "/api/conversations/"+group+"/read", object{"up_to": third.Text("message_id")})
	require.EqualValues(t, 3, unread.Get("unread_count"), "places behind the mark, kept or not")

	again := p.ann.say(t, group, "1", key)
	require.EqualValues(t, 7, again.Get("seq"), "a key lives as long as its message")
	require.EqualValues(t, 3, p.ann.say(t, quiet, "on").Get("seq"), "places are never used again")
}

func TestMessagesAreKeptForEver(t *testing.T) {
	t.Parallel()
	kept, clock := newStill(t)
	group := kept.ann.group(t)
	kept.ann.say(t, group, "1")
	kept.ann.say(t, group, "2")
	clock.advance(100 * 24 * time.Hour)
	kept.ann.say(t, group, "3")
	require.Len(t, kept.ann.history(t, group).Get("messages"), 3)
	require.Empty(t, kept.collection(t, "feed").all(t, bson.D{{Key: "_id", Value: "lease:retention"}}), "nobody is to delete anything")
}

// What it costs to read at the end of what is kept hardly depends on how much
// was deleted below it: ranges without a message grow.
func TestReadingWhatIsKeptCostsLittle(t *testing.T) {
	t.Parallel()
	costs := map[int64][]int{}
	for _, gone := range []int64{1_000, 1_000_000, 1_000_000_000_000} {
		var commands svctest.Commands
		i := install(t)
		i.database.Monitors = append(i.database.Monitors, commands.Monitor())
		client := document.Client(t, i.server(t).Handler())
		p := place{i, i.as(t, client, 1), i.as(t, client, 2), i.as(t, client, 3)}
		group := p.ann.group(t, p.bob.id)
		p.row(t, group, gone, "the last that is gone", time.Now().Add(-time.Hour))
		p.ann.say(t, group, "first kept")
		p.ann.say(t, group, "next")
		p.bob.settle(t, group)
		read := func(path string) {
			commands.Reset()
			p.bob.want(t, 200, "GET", path, nil)
			costs[gone] = append(costs[gone], commands.Count("find", "aggregate"))
		}
		one := "/api/conversations/" + group + "/messages"
		read("/api/messages?limit=20")
		read("/api/messages?limit=2&cursor=" + p.bob.messages(t, "?limit=4").Cursor)
		read(one + "?limit=20")
		read(one + "?limit=2&cursor=" + p.bob.want(t, 200, "GET", one+"?limit=4", nil).Text("cursor"))
	}
	for gone, all := range costs {
		for _, n := range all {
			require.LessOrEqual(t, n, 16, "with %d gone: %v", gone, all)
		}
	}
}
