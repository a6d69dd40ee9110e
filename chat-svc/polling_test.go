package chatsvc_test

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// An account on two replicas, with a clock that only the test moves.
func pollers(t *testing.T, environ ...string) (p place, clock *svctest.Clock, replicas []person) {
	t.Helper()
	i := install(t)
	i.anyClock = true
	clock = svctest.NewClock()
	clock.Stop() // a busy machine fills no bucket
	environ = append([]string{"POLL_BURST=5"}, environ...)
	for range 2 {
		deps, _ := i.logged(t)
		deps.Now = clock.Now
		replicas = append(replicas, i.as(t, document.Client(t, i.serverWith(t, deps, environ...).Handler()), 1))
	}
	return place{i, replicas[0], i.as(t, replicas[0].Client, 2), i.as(t, replicas[0].Client, 3)}, clock, replicas
}

// advice reads what an answer says about the next poll, and holds it to itself.
func advice(t *testing.T, clock *svctest.Clock, answer *svctest.Response) time.Time {
	t.Helper()
	next, err := time.Parse(time.RFC3339Nano, answer.Header.Get("X-Next-Poll-After"))
	require.NoError(t, err)
	seconds, err := strconv.Atoi(answer.Header.Get("X-Min-Poll-Interval"))
	require.NoError(t, err)
	wait := next.Sub(clock.Now())
	require.Greater(t, wait, 500*time.Millisecond, "at least a second from when it was written")
	require.LessOrEqual(t, wait, time.Duration(seconds)*time.Second)
	if answer.Status == http.StatusTooManyRequests {
		require.Equal(t, strconv.Itoa(seconds), answer.Header.Get("Retry-After"), "the same wait")
	}
	return next
}

func TestWhoKeepsToTheAdviceIsNeverRefused(t *testing.T) {
	t.Parallel()
	p, clock, replicas := pollers(t)
	conversation := p.ann.group(t, p.bob.id)
	chat := object{"chat_id": strings.TrimPrefix(conversation, "conv_")}
	paths := []string{"/api/messages", "/api/conversations/" + conversation + "/messages", "/api/messages?limit=1", "/api/getChatHistory"}
	for turn := range 60 {
		if turn%7 == 0 {
			p.bob.say(t, conversation, fmt.Sprint(turn))
		}
		method, body := "GET", any(nil)
		if turn%4 == 3 {
			method, body = "POST", chat
		}
		answer := replicas[turn/2%2].do(t, method, paths[turn%4], body)
		require.Equal(t, 200, answer.Status, "turn %d: %s", turn, answer.Body)
		clock.Advance(max(0, advice(t, clock, answer).Sub(clock.Now())))
	}
}

func TestABurstIsServedAndThenRefused(t *testing.T) {
	t.Parallel()
	p, clock, _ := pollers(t)
	conversation := p.ann.group(t, p.bob.id)
	for n := range 5 {
		p.ann.say(t, conversation, fmt.Sprint(n))
	}
	cursor := ""
	statuses := map[int]int{}
	var refused *svctest.Response
	for n := range 12 { // first pages, cursor pages and both routes draw on one bucket
		path := []string{"/api/messages?limit=1&cursor=" + cursor, "/api/conversations/" + conversation + "/messages"}[n%2]
		answer := p.ann.do(t, "GET", path, nil)
		advice(t, clock, answer)
		if statuses[answer.Status]++; answer.Status == 429 {
			refused = answer
			continue
		}
		if n%2 == 0 {
			cursor = answer.Text("cursor")
		}
	}
	require.NotNil(t, refused)
	require.Equal(t, 5, statuses[200], "the burst")
	require.Equal(t, "RATE_LIMIT_EXCEEDED", refused.Text("error.code"))
	require.Equal(t, 200, p.bob.ask(t, "GET", "/api/messages", nil).Status, "another account is not touched")

	// A refusal moves no bucket: who then waits is served.
	next := advice(t, clock, p.ann.do(t, "GET", "/api/messages", nil))
	clock.Advance(max(0, next.Sub(clock.Now())))
	require.Equal(t, 200, p.ann.do(t, "GET", "/api/messages", nil).Status)
}

// The history of a chat is a list of messages like those of the other family: it
// draws on their bucket, and says when to come again.
func TestTheHistoryOfAChatIsAPoll(t *testing.T) {
	t.Parallel()
	p, clock, _ := pollers(t)
	chat := p.ann.chat(t, p.bob)
	first := p.ann.first(t, chat)
	history := object{"chat_id": chat}
	for n := range 5 {
		switch n % 3 {
		case 0:
			advice(t, clock, p.ann.result(t, "getChatHistory", history))
		case 1:
			advice(t, clock, p.ann.result(t, "getChatHistory", object{"chat_id": chat, "before": first}))
		case 2:
			advice(t, clock, p.ann.want(t, 200, "GET", "/api/messages", nil))
		}
	}
	refused := p.ann.rpc(t, "getChatHistory", history)
	require.Equal(t, 429, refused.Status)
	require.JSONEq(t, `{"ok":false,"error_code":429,"description":"rate_limited: You poll too often; come again at X-Next-Poll-After."}`, string(refused.Body))
	next := advice(t, clock, refused)
	p.ann.want(t, 429, "GET", "/api/messages", nil)
	advice(t, clock, p.bob.result(t, "getChatHistory", history))
	for range 10 { // no list of messages
		require.Empty(t, p.ann.result(t, "getChats", nil).Header.Get("X-Next-Poll-After"))
		p.ann.result(t, "markRead", object{"chat_id": chat})
	}
	clock.Advance(max(0, next.Sub(clock.Now())))
	p.ann.result(t, "getChatHistory", history)
}

func TestAdviceFollowsWhatThereIsToHear(t *testing.T) {
	t.Parallel()
	p, clock, _ := pollers(t, "POLL_MAX_INTERVAL=60s")
	conversation := p.ann.group(t, p.bob.id)
	p.ann.say(t, conversation, "x")
	poll := func() time.Duration {
		answer := p.bob.want(t, 200, "GET", "/api/messages", nil)
		wait := advice(t, clock, answer).Sub(clock.Now())
		clock.Advance(wait)
		return wait
	}
	clock.Advance(time.Minute) // past the start, when advice is spread
	var quiet time.Duration
	for range 12 {
		quiet = poll()
	}
	require.Greater(t, quiet, 50*time.Second, "nothing was said for long")
	require.Less(t, quiet, 67*time.Second, "never above the most, but for the spread")
	p.ann.say(t, conversation, "something")
	require.Less(t, poll(), 9*time.Second, "falls at once when messages flow, to the least; a busy machine multiplies it by 8 at most")
}

func TestNotModified(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	sent := p.ann.say(t, conversation, "x").Text("message_id")
	p.trusted(t)
	for _, path := range []string{"/api/messages", "/api/conversations/" + conversation + "/messages"} {
		first := p.bob.want(t, 200, "GET", path, nil)
		tag := first.Header.Get("ETag")
		require.NotEmpty(t, tag)
		has := svctest.WithHeader("If-None-Match", tag)
		answer := p.bob.want(t, 304, "GET", path, nil, has)
		require.Empty(t, answer.Body)
		require.Equal(t, tag, answer.Header.Get("ETag"))
		p.bob.want(t, 304, "GET", path, nil, svctest.WithHeader("If-None-Match", `"other", `+tag))
		p.bob.want(t, 200, "GET", path, nil, svctest.WithHeader("If-None-Match", `"other"`))
		p.ann.want(t, 200, "PUT", "/api/messages/"+sent, object{"content": "changed for " + path})
		require.Contains(t, string(p.bob.want(t, 200, "GET", path, nil, has).Body), "changed for "+path, "an edit is a change")
	}
}

// A client that goes away while it waits frees its place.
func TestAnAbandonedLongPollFreesItsPlace(t *testing.T) {
	t.Parallel()
	p, registry := measured(t, install(t), "POLL_MAX_WAITING=1")
	waiting := func(n float64) func() bool {
		return func() bool { return metric(t, registry, "chat_poll_waiting") == n }
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.ann.URL, "http://"))
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "GET /api/messages?wait=30&after=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n",
		p.ann.messages(t, "").Next, p.ann.token)
	require.NoError(t, err)
	require.Eventually(t, waiting(1), patience, 10*time.Millisecond)
	wait := "/api/messages?wait=30&after=" + p.bob.messages(t, "").Next
	require.NotEmpty(t, p.bob.want(t, 503, "GET", wait, nil).Header.Get("Retry-After"), "the one place is taken")
	require.NoError(t, conn.Close())
	require.Eventually(t, waiting(0), 20*time.Second, 10*time.Millisecond, "and free again, long before the wait would have ended")
	p.ann.say(t, p.ann.group(t, p.bob.id), "x")
	require.Len(t, p.bob.want(t, 200, "GET", wait, nil).Get("messages"), 1)
}
