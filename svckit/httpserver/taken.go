package httpserver

import (
	"net"
	"sync/atomic"
	"time"
)

const (
	// takenWrite is how long the other end of a taken connection may take for
	// what one write sends it.
	takenWrite = 10 * time.Second
	// takenClose is how long it may take to leave when it is told to.
	takenClose = 2 * time.Second
)

// A Taken connection was a request's, and belongs to the handler that took it: it
// must close it. The server's buffers are free, and its deadlines gone; each
// write has ten seconds.
type Taken struct {
	net.Conn
	early   []byte // what the client has sent behind its request
	closing atomic.Bool
}

// Take takes a connection, in a handler that fasthttp's Hijack was given.
func Take(hijacked net.Conn) *Taken {
	t := &Taken{Conn: hijacked}
	if wrapped, ok := hijacked.(interface{ UnsafeConn() net.Conn }); ok {
		_ = hijacked.SetReadDeadline(time.Unix(1, 0)) // only what is in the server's buffer
		var some [512]byte
		for {
			n, err := hijacked.Read(some[:])
			t.early = append(t.early, some[:n]...)
			if err != nil {
				break
			}
		}
		t.Conn = wrapped.UnsafeConn()
	}
	_ = t.SetDeadline(time.Time{}) // a connection that cannot be used is found out by the first write
	return t
}

// Read implements net.Conn.
func (t *Taken) Read(p []byte) (int, error) {
	if len(t.early) == 0 {
		return t.Conn.Read(p)
	}
	n := copy(p, t.early)
	if t.early = t.early[n:]; len(t.early) == 0 {
		t.early = nil
	}
	return n, nil
}

// Write implements net.Conn. os.ErrDeadlineExceeded where the other end does not
// take it in time.
func (t *Taken) Write(p []byte) (int, error) {
	wait := takenWrite
	if t.closing.Load() {
		wait = takenClose
	}
	if err := t.SetWriteDeadline(time.Now().Add(wait)); err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}

// Await bounds how long reads wait from now on, all together. It does nothing
// once the connection is being left.
func (t *Taken) Await(wait time.Duration) error {
	if t.closing.Load() {
		return nil
	}
	return t.SetReadDeadline(time.Now().Add(wait))
}

// Leave says a last word, in two seconds; who reads has as long for what comes
// yet, and must close the connection then.
func (t *Taken) Leave(say func() error) {
	t.closing.Store(true)
	if say() == nil {
		if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}
	_ = t.SetReadDeadline(time.Now().Add(takenClose))
}
