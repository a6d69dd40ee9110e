package svctest

import (
	"sync/atomic"
	"time"
)

// A Clock runs with the real time and can be put ahead, so that a test need
// not wait for what takes long.
type Clock struct{ ahead atomic.Int64 }

// NewClock makes a clock that shows the real time.
func NewClock() *Clock { return &Clock{} }

// Now is the time on the clock.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Advance puts the clock d further ahead.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }
