package token

import (
	"context"
	"sync"
)

// A flight makes one fetch at a time, for everybody who wants what it brings.
type flight[T any] struct {
	mu      sync.Mutex
	current *fetched[T]
}

// fetched is what a fetch brought, once end is closed.
type fetched[T any] struct {
	end   chan struct{}
	value T
	err   error
}

// join starts fetch, unless one is under way, and tells whether it did. The
// fetch is nobody's own: it must end by itself.
func (f *flight[T]) join(fetch func() (T, error)) (_ *fetched[T], started bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil {
		return f.current, false
	}
	call := &fetched[T]{end: make(chan struct{})}
	f.current = call
	go func() {
		call.value, call.err = fetch()
		f.mu.Lock()
		f.current = nil
		f.mu.Unlock()
		close(call.end)
	}()
	return call, true
}

// wait gives what the fetch brought, or ctx's error when that ends first.
func (f *fetched[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-f.end:
		return f.value, f.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
