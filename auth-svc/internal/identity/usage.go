package identity

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// usagePrecision is how coarsely a key's last use is kept.
	usagePrecision = 5 * time.Minute
	// usageMax bounds the uses that wait to be written; what is above it is
	// written the next time the key is used.
	usageMax = 10_000
)

// Usage remembers when keys were used, and writes it behind: exchanging a key
// for a token costs no write.
type Usage struct {
	store Store
	now   func() time.Time

	mu      sync.Mutex
	waiting map[string]KeyUse
}

// NewUsage makes an empty memory of uses.
func NewUsage(store Store, now func() time.Time) *Usage {
	return &Usage{store: store, now: now, waiting: map[string]KeyUse{}}
}

// Note remembers that key was used, unless that is known well enough.
func (u *Usage) Note(key Key) {
	now := u.now()
	if key.LastUsedAt != nil && now.Sub(*key.LastUsedAt) < usagePrecision {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.waiting) < usageMax {
		u.waiting[key.ID] = KeyUse{AccountID: key.AccountID, KeyID: key.ID, At: now}
	}
}

// Flush writes what waits. Uses that cannot be written are forgotten: the next
// use notes them again.
func (u *Usage) Flush(ctx context.Context) error {
	u.mu.Lock()
	used := make([]KeyUse, 0, len(u.waiting))
	for _, use := range u.waiting {
		used = append(used, use)
	}
	clear(u.waiting)
	u.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	if err := u.store.TouchKeys(ctx, used); err != nil {
		return fmt.Errorf("write the last use of %d keys: %w", len(used), err)
	}
	return nil
}
