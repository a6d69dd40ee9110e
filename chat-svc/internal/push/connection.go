package push

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/token"
)

// Why says how a connection ended, in a word for metrics.
type Why string

// The ways in which a connection ends.
const (
	// Gone: the client closed it, or it broke.
	Gone Why = "gone"
	// Slow: the client took what it was sent too slowly.
	Slow Why = "slow"
	// Unauthenticated: its credential has ended.
	Unauthenticated Why = "unauthenticated"
	// Leaving: this replica stops.
	Leaving Why = "leaving"
	// Gap: events were lost. The client was told.
	Gap Why = "gap"
	// Failed: an event could not be told.
	Failed Why = "failed"
)

// An End is how a connection ends.
type End struct {
	Why Why
	// Since is the last event that was written.
	Since events.Position
	// Wait is how long the client should stay away.
	Wait time.Duration
}

// A Sink is the client's end of a connection. It is called by one goroutine at
// a time; what it does must end in bounded time.
type Sink[F any] interface {
	Write(F) error
	// Beat sends a sign of life.
	Beat() error
	// Close tells the client, if it can, and lets go of it.
	Close(End)
}

const (
	// queueMost bounds what waits to be written on one connection, in the bytes
	// that it takes in memory: a slower client is cut off and comes back for the
	// rest.
	queueMost = 1 << 20
	// frameWait bounds the making of one frame.
	frameWait = 5 * time.Second
	// comeBack is the most that clients are told to wait, so that they do not
	// all come back at once.
	comeBack = 10 * time.Second
)

// A Connection is one client that is sent events. Its door starts it, or
// abandons it.
type Connection[F any] struct {
	Request
	hub     *Hub[F]
	account *account[F]
	sink    Sink[F]

	mu      sync.Mutex
	claims  *token.Claims
	queue   []entry[F]
	room    int  // bytes that the queue may still take
	writing bool // a goroutine writes, or the connection was not started
	over    bool // nothing is queued any more
	beaten  time.Time
	last    events.Position // written
}

// An entry of a queue is one of an item, a frame that answers the client, an
// end, or none of them: a sign of life.
type entry[F any] struct {
	item  *item[F]
	reply *F
	end   Why
}

func (e entry[F]) size() int {
	if e.item == nil {
		return 256
	}
	return e.item.Event.Size()
}

// begin queues what comes before everything that happens behind upTo: hello,
// and what has happened since the client heard last.
func (h *Hub[F]) begin(c *Connection[F], upTo events.Position, known *knowledge[F]) {
	first := []entry[F]{{item: newItem[F](Telling{Method: Hello, Event: events.Event{Position: upTo}})}}
	if c.Since != nil {
		first[0].item.Event.Position = *c.Since
		for _, missed := range h.missed(c, upTo, known) {
			first = append(first, entry[F]{item: missed})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range first {
		c.room += e.size() // it does not count: it is bounded by itself
	}
	c.queue = append(first, c.queue...)
}

// Start lets the connection be written to sink. read hears the client, until it
// goes or Sink.Close lets go of it: then the connection ends.
func (c *Connection[F]) Start(sink Sink[F], read func()) {
	c.sink = sink
	c.hub.running.Go(func() {
		defer c.end(Gone)
		defer c.recovered()
		read()
	})
	go c.write()
}

// recovered stands where nobody above would hear of a panic.
func (c *Connection[F]) recovered() {
	if p := recover(); p != nil {
		c.hub.Panicked(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		c.end(Failed)
	}
}

// Abandon ends a connection that cannot be started.
func (c *Connection[F]) Abandon() {
	c.end(Gone)
	c.Start(nowhere[F]{}, func() {})
}

type nowhere[F any] struct{}

func (nowhere[F]) Write(F) error { return nil }
func (nowhere[F]) Beat() error   { return nil }
func (nowhere[F]) Close(End)     {}

// Reply queues a frame that answers what the client sent.
func (c *Connection[F]) Reply(f F) { c.put(entry[F]{reply: &f}) }

// Claims are those of the credential that lets the connection live.
func (c *Connection[F]) Claims() *token.Claims {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.claims
}

// Renew has the connection live by another credential of its account.
func (c *Connection[F]) Renew(claims *token.Claims) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claims = claims
}

func (c *Connection[F]) look(now time.Time) {
	if c.hub.Ended(c.Claims()) {
		c.end(Unauthenticated)
		return
	}
	c.mu.Lock()
	due := now.Sub(c.beaten) >= c.hub.Beat && !c.over
	if due {
		c.beaten = now
	}
	c.mu.Unlock()
	if due {
		c.put(entry[F]{})
	}
}

// put queues an entry. It never waits: where there is no room the connection
// ends.
func (c *Connection[F]) put(e entry[F]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	if c.room -= e.size(); c.room < 0 {
		c.finish(Slow)
		return
	}
	c.add(e)
}

// add queues an entry and has it written.
func (c *Connection[F]) add(e entry[F]) {
	c.queue = append(c.queue, e)
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

// end ends the connection; what is queued is not written any more.
func (c *Connection[F]) end(why Why) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.finish(why)
	}
}

func (c *Connection[F]) finish(why Why) {
	c.over, c.queue = true, nil
	c.add(entry[F]{end: why})
}

// lose ends the connection behind what is queued, with word of what was lost.
func (c *Connection[F]) lose(gap *item[F]) {
	c.put(entry[F]{item: gap})
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over = true
		c.add(entry[F]{end: Gap})
	}
}

// write writes the queue until it is empty, or the connection has ended.
func (c *Connection[F]) write() {
	for {
		e, more := c.next()
		if !more {
			return
		}
		why := e.end
		if why == "" {
			why = c.send(e)
		}
		if why != "" {
			c.close(why)
			return
		}
	}
}

func (c *Connection[F]) next() (e entry[F], more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.queue, c.writing = nil, false
		return e, false
	}
	e = c.queue[0]
	c.queue[0] = entry[F]{}
	c.queue = c.queue[1:]
	c.room += e.size()
	return e, true
}

// send writes one entry, and tells why the connection cannot go on, "" where it
// can.
func (c *Connection[F]) send(e entry[F]) (why Why) {
	defer c.recovered()
	switch {
	case e.reply != nil:
		return broken(c.sink.Write(*e.reply))
	case e.item == nil:
		return broken(c.sink.Beat())
	}
	ctx, cancel := context.WithTimeout(context.Background(), frameWait)
	defer cancel()
	frame, err := c.hub.frame(ctx, e.item, c.account.id)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return ""
	case err != nil:
		return Failed
	}
	if err := c.sink.Write(frame); err != nil {
		return broken(err)
	}
	c.hub.Wrote(c.Door)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = e.item.Event.Position
	return ""
}

func broken(err error) Why {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Slow
	}
	return Gone
}

// close is the last thing that is done with a connection.
func (c *Connection[F]) close(why Why) {
	c.mu.Lock()
	c.over, c.queue = true, nil
	end := End{Why: why, Since: c.last}
	c.mu.Unlock()
	if why != Unauthenticated {
		end.Wait = time.Duration(c.hub.Random() * float64(comeBack))
	}
	c.sink.Close(end)
	c.hub.Left(c.Door, why)
	c.hub.detach(c)
}
