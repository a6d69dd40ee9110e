// Package sweep removes the members of closed conversations behind the
// request. That a conversation is closed was decided before, by one write; a
// crash in between leaves only what the next round finds. Conversations whose
// making broke off and that nobody can finish any more are removed likewise.
package sweep

import (
	"context"
	"log/slog"
	"time"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/chore"
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
	// Unswept are closed conversations that may still have members, and those
	// whose making was begun before an instant and did not end; at most limit, in
	// no order.
	Unswept(ctx context.Context, begun time.Time, limit int) ([]id.Conversation, error)
	// Sweep removes a bounded number of members of such a conversation, and what
	// else there is of one that was not made; done when none were left. Several
	// processes may sweep the same one.
	Sweep(ctx context.Context, c id.Conversation) (done bool, err error)
}

// Start begins to sweep, with what is left from before; a closing wakes it.
func Start(store Store, now func() time.Time, logger *slog.Logger) *chore.Chore {
	s := sweeper{store, now}
	return chore.Start("the removal of members of closed conversations waits", every, logger, s.round)
}

type sweeper struct {
	store Store
	now   func() time.Time
}

// round sweeps what there is, and tells whether there may be more.
func (s sweeper) round(ctx context.Context) (more bool, err error) {
	left, err := s.store.Unswept(ctx, s.now().Add(-chat.Unmade), maxRound)
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

func (s sweeper) chunk(ctx context.Context, c id.Conversation) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, chunkWait)
	defer cancel()
	return s.store.Sweep(ctx, c)
}
