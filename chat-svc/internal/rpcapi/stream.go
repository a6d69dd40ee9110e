package rpcapi

import (
	"fmt"
	"time"

	"chatplatform.io/chat-svc/internal/push"
	"chatplatform.io/svckit/httpserver"
)

// firstRetry is how long a client waits before it comes back by itself.
const firstRetry = 2 * time.Second

// stream is a client of server-sent events.
type stream struct{ conn *httpserver.Taken }

func retry(wait time.Duration) []byte { return fmt.Appendf(nil, "retry: %d\n\n", wait.Milliseconds()) }

func (s *stream) write(b []byte) error {
	_, err := s.conn.Write(b)
	return err
}

// Write implements push.Sink.
func (s *stream) Write(f Frame) error { return s.write(f.stream) }

// Beat implements push.Sink: it writes a comment.
func (s *stream) Beat() error { return s.write([]byte(":\n\n")) }

// Close implements push.Sink. The reader lets go of the connection.
func (s *stream) Close(end push.End) {
	s.conn.Leave(func() error {
		if end.Why == push.Gone || end.Why == push.Slow {
			return nil
		}
		return s.write(retry(end.Wait + firstRetry))
	})
}

// read waits until the client has gone: it has nothing to say.
func (s *stream) read() {
	defer func() { _ = s.conn.Close() }() // everything was written, or cannot be
	var nothing [64]byte
	for {
		if _, err := s.conn.Read(nothing[:]); err != nil {
			return
		}
	}
}
