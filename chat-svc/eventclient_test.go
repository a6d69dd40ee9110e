package chatsvc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// soon is how long a test waits for what must come, on a machine that stands
// still now and then.
const soon = 60 * time.Second

// A frame is one event as clients are sent it.
type frame struct {
	Method string         `json:"method"`
	Params map[string]any `json:"params"`
	ID     string         `json:"id"`
}

// listener is a client that is sent events, at either door.
type listener struct {
	frames chan frame // closed when the connection has ended
	status int
	header http.Header
	close  func()
	retry  string // of a stream: what it was told last
}

// stream opens a stream of server-sent events, repeated while the server is
// busy, and reads it until the test or the server ends it.
func (p person) stream(t *testing.T, query string, header ...string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var answer *http.Response
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/api/events"+query, nil)
		require.NoError(t, err)
		if p.token != "" {
			request.Header.Set("Authorization", "Bearer "+p.token)
		}
		for n := 0; n < len(header); n += 2 {
			request.Header.Set(header[n], header[n+1])
		}
		answer, err = client.Do(request) //nolint:bodyclose // readStream does
		require.NoError(t, err)
		if answer.StatusCode == http.StatusServiceUnavailable {
			_ = answer.Body.Close()
			return false
		}
		return true
	}, soon, 50*time.Millisecond)
	l := &listener{frames: make(chan frame, 100_000), status: answer.StatusCode, header: answer.Header, close: cancel}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(l.frames)
		l.readStream(answer.Body)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return l
}

func (l *listener) readStream(body io.ReadCloser) {
	defer func() { _ = body.Close() }()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	var id string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "retry":
			l.retry = value
		case "data":
			var f frame
			if json.Unmarshal([]byte(value), &f) != nil || f.ID != id {
				f.Method = "broken: " + value
			}
			l.frames <- f
		}
	}
}

// next gives the next frame.
func (l *listener) next(t *testing.T) frame {
	t.Helper()
	select {
	case f, more := <-l.frames:
		require.True(t, more, "the connection has ended")
		return f
	case <-time.After(soon):
		require.Fail(t, "no frame came")
		return frame{}
	}
}

// wants passes frames by until one of a method comes.
func (l *listener) wants(t *testing.T, method string) frame {
	t.Helper()
	for {
		if f := l.next(t); f.Method == "events."+method {
			return f
		}
	}
}

// ends waits until the connection has ended, and gives what came before.
func (l *listener) ends(t *testing.T) (rest []frame) {
	t.Helper()
	timeout := time.After(soon)
	for {
		select {
		case f, more := <-l.frames:
			if !more {
				return rest
			}
			rest = append(rest, f)
		case <-timeout:
			require.Fail(t, "the connection does not end")
		}
	}
}
