package identity

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// MaxChanges is how many changes one answer holds.
	MaxChanges = 1000
	// changeTick is how often a waiting reader looks: well below the two
	// seconds within which a revocation must have reached everybody.
	changeTick = 500 * time.Millisecond
)

// Changes gives the changes after a position, in order. Where there are none
// it waits for one, up to wait or the end of ctx.
func (s *Service) Changes(ctx context.Context, after int64, wait time.Duration) ([]Change, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	tick := time.NewTicker(changeTick)
	defer tick.Stop()
	for {
		changes, err := s.Store.Changes(ctx, after, MaxChanges)
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, nil // nobody waits any more; not a failure of the store
		}
		if err != nil {
			return nil, fmt.Errorf("read the changes after %d: %w", after, err)
		}
		if len(changes) > 0 {
			return changes, nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// PositionAt gives the position after which a reader finds everything that
// happened since an instant.
func (s *Service) PositionAt(ctx context.Context, since time.Time) (int64, error) {
	position, err := s.Store.PositionAt(ctx, since)
	if err != nil {
		return 0, fmt.Errorf("find the position at %s: %w", since, err)
	}
	return position, nil
}
