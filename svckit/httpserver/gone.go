package httpserver

import (
	"net"
	"syscall"
)

// Gone tells whether the other end has closed the connection, without taking
// anything from it. A request that waits on purpose asks now and then, so that
// nobody waits for a client that went away. Connections without a file
// descriptor are never gone.
func Gone(conn net.Conn) bool {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = err == nil && n == 0 || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return gone || err != nil
}
