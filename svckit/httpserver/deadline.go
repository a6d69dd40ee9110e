package httpserver

import (
	"context"
	"sync"
	"time"
)

// deadline is a context that makes its timer only for who waits: a request
// that is answered from memory needs none.
type deadline struct {
	context.Context // the parent
	at              time.Time

	mu     sync.Mutex
	ended  bool // before anybody waited
	waited context.Context
	cancel context.CancelFunc
}

// withDeadline is context.WithDeadline of a parent that does not end itself.
func withDeadline(parent context.Context, at time.Time) (context.Context, context.CancelFunc) {
	d := &deadline{Context: parent, at: at}
	return d, d.end
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} { return d.timed().Done() }

// Err implements context.Context.
func (d *deadline) Err() error { return d.timed().Err() }

// Value implements context.Context. Once there is a timer its context is
// asked, by which children of this one end with it.
func (d *deadline) Value(key any) any {
	d.mu.Lock()
	waited := d.waited
	d.mu.Unlock()
	if waited != nil {
		return waited.Value(key)
	}
	return d.Context.Value(key)
}

// timed is the context with the timer.
func (d *deadline) timed() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waited == nil {
		d.waited, d.cancel = context.WithDeadline(d.Context, d.at)
		if d.ended {
			d.cancel()
		}
	}
	return d.waited
}

func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	if d.cancel != nil {
		d.cancel()
	}
}
