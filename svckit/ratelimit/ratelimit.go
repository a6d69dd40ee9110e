// Package ratelimit limits how often something may happen per key, by the
// generic cell rate algorithm (ITU-T I.371): one instant of memory a key.
package ratelimit

import (
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

// A Limiter lets each key through at a steady rate with a burst. It lives in
// the memory of one process and is safe for concurrent use. It remembers at
// most its capacity of keys; beyond that it forgets the least used ones, which
// then start afresh.
type Limiter struct {
	interval time.Duration // between two events at the steady rate
	burst    time.Duration // how far ahead of the steady rate a key may run
	now      func() time.Time
	buckets  *otter.Cache[string, *bucket]
}

// A bucket is full while due is not ahead of now. It is changed in place: the
// cache would make an entry anew for every event.
type bucket struct {
	mu  sync.Mutex
	due time.Time
}

// New makes a limiter of perSecond events a second with a burst of at least
// one, for at most capacity keys.
func New(perSecond float64, burst, capacity int, now func() time.Time) *Limiter {
	interval := time.Duration(float64(time.Second) / perSecond)
	return &Limiter{
		interval: interval,
		burst:    interval * time.Duration(max(burst, 1)-1),
		now:      now,
		buckets:  otter.Must(&otter.Options[string, *bucket]{MaximumSize: capacity}),
	}
}

// Take spends one event of key. When none is left it spends nothing and
// returns how long to wait for the next one.
func (l *Limiter) Take(key string) (wait time.Duration, ok bool) { return l.TakeN(key, 1) }

// TakeN is Take for n events at once, at least one. More than a burst pass when
// the whole burst is left, and the next event waits until they are paid back.
func (l *Limiter) TakeN(key string, n int) (wait time.Duration, ok bool) {
	b, found := l.buckets.GetIfPresent(key)
	if !found {
		b, _ = l.buckets.SetIfAbsent(key, &bucket{})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now, due := l.now(), b.due
	if due.Before(now) {
		due = now
	}
	if wait = due.Sub(now) - l.room(n); wait > 0 {
		return wait, false
	}
	b.due = due.Add(time.Duration(n) * l.interval)
	return 0, true
}

// room is how far ahead of the steady rate a key may be before n events.
func (l *Limiter) room(n int) time.Duration {
	return max(0, l.burst-time.Duration(n-1)*l.interval)
}

// Wait tells, without spending anything, how long key must wait for its next
// event; zero means that Take would succeed.
func (l *Limiter) Wait(key string) time.Duration { return l.WaitN(key, 1) }

// WaitN is Wait for n events at once, as TakeN spends them.
func (l *Limiter) WaitN(key string, n int) time.Duration {
	b, found := l.buckets.GetIfPresent(key)
	if !found {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.due.Sub(l.now())-l.room(n))
}
