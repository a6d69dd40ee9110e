package rpcapi

import (
	"fmt"
	"net"
	"time"

	"chatplatform.io/chat-svc/internal/push"
)

// firstRetry is how long a client waits before it comes back by itself.
const firstRetry = 2 * time.Second

// stream is a client of server-sent events.
type stream struct{ conn net.Conn }

func retry(wait time.Duration) []byte { return fmt.Appendf(nil, "retry: %d\n\n", wait.Milliseconds()) }

func (s *stream) write(b []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// Write implements push.Sink.
func (s *stream) Write(f Frame) error { return s.write(f.stream) }

// Beat implements push.Sink: it writes a comment.
func (s *stream) Beat() error { return s.write([]byte(":\n\n")) }

// Close implements push.Sink. The reader lets go of the connection.
func (s *stream) Close(end push.End) {
	if end.Why != push.Gone && end.Why != push.Slow {
		_ = s.conn.SetWriteDeadline(time.Now().Add(closeWait))
		_, _ = s.conn.Write(retry(end.Wait + firstRetry)) // who does not hear it comes back as told at first
	}
	finish(s.conn)
}

// finish ends this side of a connection, and after a while the other.
func finish(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(closeWait))
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
