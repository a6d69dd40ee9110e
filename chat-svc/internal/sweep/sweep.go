// Package sweep removes the members of closed conversations behind the
// request. That a conversation is closed was decided before, by one write; a
// crash in between leaves only what the next round finds.
package sweep

import (
	"context"
	"log/slog"
	"time"

	"chatplatform.io/chat-svc/internal/id"
)

const (
	// every is how often the store is asked for what another process, or a
	// crash, has left.
	every = time.Minute
	// chunkWait bounds one chunk.
	chunkWait = 10 * time.Second
	// maxRound bounds the conversations of one look; the next follows at once.
	maxRound = 100
)

// Store keeps closed conversations until they are swept.
type Store interface {
	// Unswept are closed conversations that may still have members, at most
	// limit, in no order.
	Unswept(ctx context.Context, limit int) ([]id.Conversation, error)
	// Sweep removes a bounded number of members of a closed conversation; done
	// when none were left. Several processes may sweep the same one.
	Sweep(ctx context.Context, c id.Conversation) (done bool, err error)
}

// A Sweeper owns a goroutine until Close.
type Sweeper struct {
	store  Store
	logger *slog.Logger
	wake   chan struct{} // holds one token when a conversation was closed
	ended  chan struct{}
	cancel context.CancelFunc
}

// New starts a sweeper, which begins with what is left from before.
func New(store Store, logger *slog.Logger) *Sweeper {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sweeper{
		store: store, logger: logger, cancel: cancel,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go s.run(ctx)
	return s
}

// Wake lets the sweeper look at once. It never blocks.
func (s *Sweeper) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close ends the goroutine. What it has not removed is removed by others, or
// after the next start.
func (s *Sweeper) Close() {
	s.cancel()
	<-s.ended
}

func (s *Sweeper) run(ctx context.Context) {
	defer close(s.ended)
	for {
		more, err := s.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.logger.WarnContext(ctx, "closed conversations wait for the removal of their members", "error", err.Error())
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-time.After(every):
		}
	}
}

// round sweeps what there is, and tells whether there may be more.
func (s *Sweeper) round(ctx context.Context) (more bool, err error) {
	left, err := s.store.Unswept(ctx, maxRound)
	if err != nil {
		return false, err
	}
	for _, c := range left {
		for done := false; !done; {
			if done, err = s.chunk(ctx, c); err != nil {
				return false, err
			}
		}
	}
	return len(left) == maxRound, nil
}

func (s *Sweeper) chunk(ctx context.Context, c id.Conversation) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, chunkWait)
	defer cancel()
	return s.store.Sweep(ctx, c)
}
