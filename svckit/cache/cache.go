// Package cache is a bounded map whose entries end.
package cache

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// A Cache keeps at most a number of entries, the ones used most, each for at
// most an age. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	entries *otter.Cache[K, entry[V]]
	age     time.Duration
	now     func() time.Time
}

type entry[V any] struct {
	value V
	until time.Time
}

// New makes an empty cache.
func New[K comparable, V any](capacity int, age time.Duration, now func() time.Time) *Cache[K, V] {
	return &Cache[K, V]{
		// The library's own expiry would need a goroutine of its own: what has
		// ended is passed over here, and makes room when it is needed.
		entries: otter.Must(&otter.Options[K, entry[V]]{MaximumSize: capacity}),
		age:     age, now: now,
	}
}

// Get gives the value of key where there is one that has not ended.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	e, ok := c.entries.GetIfPresent(key)
	if !ok || !c.now().Before(e.until) {
		var none V
		return none, false
	}
	return e.value, true
}

// Set keeps value under key, from now on.
func (c *Cache[K, V]) Set(key K, value V) {
	c.entries.Set(key, entry[V]{value, c.now().Add(c.age)})
}

// Delete forgets key.
func (c *Cache[K, V]) Delete(key K) { c.entries.Invalidate(key) }
