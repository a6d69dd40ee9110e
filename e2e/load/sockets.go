package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/fasthttp/websocket"
	"golang.org/x/sync/errgroup"
)

// spareFiles are those that are left for all else than WebSockets, of those that
// a process may have open.
const spareFiles = 1000

// socketsMost is count, or as many WebSockets as the platform and this program
// may have open.
func socketsMost(count int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read how many files may be open: %w", err)
	}
	if limit.Max <= spareFiles {
		return 0, fmt.Errorf("only %d files may be open; raise the limit", limit.Max)
	}
	return int(min(uint64(count), limit.Max-spareFiles)), nil
}

// manySockets are settings under which one account may have them all.
func manySockets() []string {
	return append(unlimited(), "EVENT_CONNECTIONS=60000", "EVENT_CONNECTIONS_EACH=60000")
}

const messageNew = `{"method":"events.messageNew"`

// listen opens so many WebSockets of people, by turns. Each tells hear of the
// messages that it is told, by its number and one frame after another. heard
// ends when one of them fails; leave closes them and says why that was.
func (w *world) listen(
	ctx context.Context, people []*person, count int, hear func(socket int, frame []byte) error,
) (heard context.Context, leave func() error, err error) {
	heard, cancel := context.WithCancelCause(ctx)
	sockets := make([]*websocket.Conn, count)
	var reading sync.WaitGroup
	leave = func() error {
		failed := context.Cause(heard)
		cancel(nil)
		for _, socket := range sockets {
			if socket != nil {
				_ = socket.Close() // it was only read
			}
		}
		reading.Wait()
		return failed
	}
	dialer := &websocket.Dialer{ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{}, HandshakeTimeout: callTimeout}
	var group errgroup.Group
	group.SetLimit(16)
	for i := range sockets {
		group.Go(func() (err error) {
			sockets[i], err = dial(heard, dialer, people[i%len(people)])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		cancel(err)
		return nil, nil, leave()
	}
	for i, socket := range sockets {
		reading.Go(func() {
			for {
				_, frame, err := socket.ReadMessage()
				if err == nil && bytes.HasPrefix(frame, []byte(messageNew)) {
					err = hear(i, frame)
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	return heard, leave, nil
}

// dial connects as a person, and waits for what is told first.
func dial(ctx context.Context, dialer *websocket.Dialer, p *person) (*websocket.Conn, error) {
	url := strings.Replace(p.server, "http", "ws", 1) + "/api/ws"
	socket, answer, err := dialer.DialContext(ctx, url, http.Header{"Authorization": {p.bearer}})
	if err != nil {
		return nil, fmt.Errorf("open a WebSocket: %w", err)
	}
	_ = answer.Body.Close() // it is empty
	if _, hello, err := socket.ReadMessage(); err != nil || !bytes.Contains(hello, []byte(`"events.hello"`)) {
		return socket, fmt.Errorf("a WebSocket began with %q: %w", hello, err)
	}
	return socket, nil
}
