package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// told is one event of a stream.
type told struct {
	Method string `json:"method"`
	Params object `json:"params"`
	ID     string `json:"id"`
}

// hear opens a stream of events, again while the platform is busy, and gives
// what comes until the test ends or the platform does.
func (s *site) hear(t *testing.T, who credential, since string) <-chan told {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	events, ended := make(chan told, 1000), make(chan struct{})
	var answer *http.Response
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/events", nil)
		require.NoError(t, err)
		who(request)
		if since != "" {
			request.Header.Set("Last-Event-ID", since)
		}
		answer, err = (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request) //nolint:bodyclose // its reader does
		require.NoError(t, err)
		if answer.StatusCode != http.StatusServiceUnavailable {
			return true
		}
		_ = answer.Body.Close()
		return false
	}, time.Minute, time.Second)
	require.Equal(t, 200, answer.StatusCode)
	go func() {
		defer close(ended)
		defer close(events)
		defer func() { _ = answer.Body.Close() }()
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is {
				var event told
				_ = json.Unmarshal([]byte(data), &event)
				events <- event
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return events
}

// next passes events by until one of a method comes.
func next(t *testing.T, events <-chan told, method string) told {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case event, more := <-events:
			require.True(t, more, "the stream has ended before %s", method)
			if event.Method == "events."+method {
				return event
			}
		case <-timeout:
			require.Fail(t, "no "+method+" came")
		}
	}
}

// What happens is heard through the one port. Behind a restart a client goes on
// where it was, or is told how to catch up.
func TestEventsAreHeardThroughARestart(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	s := home.start(t)
	ops, claude := bearer("dev:ops"), bearer("dev:claude")
	events := s.hear(t, claude, "")
	require.Equal(t, "claude", next(t, events, "hello").Params["username"])
	chat := s.must(t, 200, "POST", "/api/startChat", ops, object{"user_ids": []string{"claude"}}).text(t, "result.id")
	require.Equal(t, chat, next(t, events, "conversationNew").Params["id"])
	say := func(text string) {
		s.must(t, 200, "POST", "/api/sendMessage", ops, object{"chat_id": chat, "text": text})
	}
	say("one")
	heard := next(t, events, "messageNew")
	require.Equal(t, "one", heard.Params["content"])
	ticket := s.must(t, 200, "POST", "/api/events/ticket", claude, nil).text(t, "result.ticket")
	byTicket := s.hear(t, func(r *http.Request) { r.URL.RawQuery = "ticket=" + ticket }, heard.ID)
	require.Equal(t, heard.ID, next(t, byTicket, "hello").ID)

	require.NoError(t, s.Stop())
	for range events { // it ends
		continue
	}
	s = home.start(t)
	say("two")
	again := s.hear(t, claude, heard.ID)
	require.Equal(t, heard.ID, next(t, again, "hello").ID)
	for event := range again {
		if event.Method == "events.gap" {
			missed := s.must(t, 200, "GET", "/api/messages?after="+event.Params["catch_up"].(string), claude, nil)
			require.Contains(t, missed.body, `"content":"two"`)
			return
		}
		if event.Method == "events.messageNew" {
			require.Equal(t, "two", event.Params["content"])
			return
		}
	}
	require.Fail(t, "nothing came")
}
