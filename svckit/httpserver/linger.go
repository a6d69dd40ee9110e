package httpserver

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// What a lingering connection still takes from a client that goes on sending.
const (
	lingerMost = 64 << 20 // bytes
	lingerFor  = 2 * time.Second
)

// lingerListener gives connections that can linger.
type lingerListener struct{ net.Listener }

// Accept implements net.Listener.
func (l lingerListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &lingerConn{TCPConn: tcp}, err
	}
	return conn, err
}

// A lingerConn that was told to linger ends its own half first when it is
// closed, and reads a bounded rest of what the client is sending: a connection
// closed with unread bytes is reset, and the client would not see the answer.
type lingerConn struct {
	*net.TCPConn
	lingers atomic.Bool
}

// linger makes conn linger, if it can.
func linger(conn net.Conn) {
	if c, ok := conn.(*lingerConn); ok {
		c.lingers.Store(true)
	}
}

// Close implements net.Conn.
func (c *lingerConn) Close() error {
	if c.lingers.Load() && c.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerFor)) == nil {
		_, _ = io.CopyN(io.Discard, c.TCPConn, lingerMost) // ends by the deadline, whatever comes
	}
	return c.TCPConn.Close()
}
