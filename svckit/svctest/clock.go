package svctest

import (
	"sync/atomic"
	"time"
)

// A Clock runs with the real time and can be put ahead, so that a test need
// not wait for what takes long, or stopped, so that none passes on a busy
// machine.
type Clock struct {
	ahead   atomic.Int64
	stopped atomic.Pointer[time.Time]
}

// NewClock makes a clock that shows the real time.
func NewClock() *Clock { return &Clock{} }

// Now is the time on the clock.
func (c *Clock) Now() time.Time {
	ahead := time.Duration(c.ahead.Load())
	if at := c.stopped.Load(); at != nil {
		return at.Add(ahead)
	}
	return time.Now().Add(ahead)
}

// Advance puts the clock d further ahead.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// Stop keeps the clock where it is; only Advance moves it then.
func (c *Clock) Stop() {
	now := time.Now()
	c.stopped.Store(&now)
}
