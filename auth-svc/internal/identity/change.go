package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chatplatform.io/svckit/fault"
)

const (
	// MaxChanges is how many changes one answer holds.
	MaxChanges = 1000
	// changeTick is how often a waiting reader looks: well below the two
	// seconds within which a revocation must have reached everybody.
	changeTick = 500 * time.Millisecond
)

// ErrPosition is the refusal of a position that the feed has not reached: its
// reader comes from before a backup was restored, and would miss what happens
// until the feed gets there.
var ErrPosition = fault.New(fault.Invalid, "INVALID_CURSOR",
	"after: this position is not one of this feed; start again with since.").With("field", "after")

// Changes gives the changes after a position, in order. Where there are none
// it waits for one, up to wait or the end of ctx. ErrPosition.
func (s *Service) Changes(ctx context.Context, after int64, wait time.Duration) ([]Change, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	tick := time.NewTicker(changeTick)
	defer tick.Stop()
	for checked := false; ; checked = true {
		changes, err := s.deps.Store.Changes(ctx, after, MaxChanges)
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, nil // nobody waits any more; not a failure of the store
		}
		if err != nil {
			return nil, fmt.Errorf("read the changes after %d: %w", after, err)
		}
		if len(changes) > 0 {
			return changes, nil
		}
		if !checked {
			if err := s.reached(ctx, after); err != nil {
				return nil, err
			}
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

func (s *Service) reached(ctx context.Context, position int64) error {
	end, err := s.deps.Store.Position(ctx)
	if err != nil {
		return fmt.Errorf("find the end of the changes: %w", err)
	}
	if position > end {
		return ErrPosition
	}
	return nil
}

// PositionAt gives the position after which a reader finds everything that
// happened since an instant.
func (s *Service) PositionAt(ctx context.Context, since time.Time) (int64, error) {
	position, err := s.deps.Store.PositionAt(ctx, since)
	if err != nil {
		return 0, fmt.Errorf("find the position at %s: %w", since, err)
	}
	return position, nil
}
