package chat

import (
	"context"
	"sync"
	"time"
)

// A memory keeps answers of the store: each as it was when it was asked for,
// or at a later moment up to which its owner has heard of everything that ends
// an answer.
type memory[K comparable, V any] struct {
	size int
	now  func() time.Time

	mu           sync.Mutex
	answers      map[K]*answer[V]
	hits, misses uint64
}

// An answer is asked for once, by who finds that there is none; who comes
// meanwhile waits with it.
type answer[V any] struct {
	asked time.Time
	given chan struct{} // closed when value and err are set
	value V
	err   error
}

func newMemory[K comparable, V any](size int, now func() time.Time) *memory[K, V] {
	return &memory[K, V]{size: size, now: now, answers: map[K]*answer[V]{}}
}

// find gives the answer, given or on its way, unless it is too old by now;
// heard is the moment up to which the owner has heard of everything. Where
// there is none the caller asks for it, and must give it.
func (m *memory[K, V]) find(key K, heard time.Time) (found *answer[V], mine bool) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	found = m.answers[key]
	if found != nil && min(age(found.asked, now), age(heard, now)) < rightsAge {
		m.hits++
		return found, false
	}
	m.misses++
	if found == nil && len(m.answers) >= m.size {
		for other := range m.answers { // whatever falls out costs one read
			delete(m.answers, other)
			break
		}
	}
	found = &answer[V]{asked: now, given: make(chan struct{})}
	m.answers[key] = found
	return found, true
}

// give tells the answer to who waits for it. It is kept where keep says so and
// nothing has ended it since it was asked for.
func (m *memory[K, V]) give(key K, a *answer[V], value V, err error, keep bool) {
	a.value, a.err = value, err
	close(a.given)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers[key] == a && (err != nil || !keep) {
		delete(m.answers, key)
	}
}

func (a *answer[V]) wait(ctx context.Context) (V, error) {
	select {
	case <-a.given:
		return a.value, a.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

// end forgets answers, and those that are on their way.
func (m *memory[K, V]) end(keys ...K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		delete(m.answers, key)
	}
}

// endWhere is end for all that which finds.
func (m *memory[K, V]) endWhere(which func(K) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.answers {
		if which(key) {
			delete(m.answers, key)
		}
	}
}

// lookups count what was found, and what had to be asked for.
func (m *memory[K, V]) lookups() (hits, misses uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hits, m.misses
}

// age is how long ago something was, by the wall clock or by the monotonic
// one, which stands still while the machine sleeps.
func age(then, now time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}
