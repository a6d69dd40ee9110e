// Package chore does, round by round, work that no request waits for: at once
// when it is woken, and every so often for what another process, or a crash,
// has left.
package chore

import (
	"context"
	"log/slog"
	"time"
)

// A Chore owns a goroutine until Close.
type Chore struct {
	what   string
	every  time.Duration
	round  func(context.Context) (bool, error)
	logger *slog.Logger
	wake   chan struct{} // holds one token while a round is asked for
	ended  chan struct{}
	cancel context.CancelFunc
}

// Start begins with a round at once. A round does a bounded part of the work
// and tells whether there may be more, which the next one does at once; after
// an error it is tried again when the next look is due. what says in the log
// what waits meanwhile.
func Start(what string, every time.Duration, logger *slog.Logger, round func(context.Context) (more bool, err error)) *Chore {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Chore{
		what: what, every: every, round: round, logger: logger, cancel: cancel,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go c.run(ctx)
	return c
}

// Wake lets the next round begin at once. It never blocks.
func (c *Chore) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Close ends the goroutine. What is not done is done by others, or after the
// next start.
func (c *Chore) Close() {
	c.cancel()
	<-c.ended
}

func (c *Chore) run(ctx context.Context) {
	defer close(c.ended)
	for {
		more, err := c.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.logger.WarnContext(ctx, c.what+" and is tried again", "error", err.Error())
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-time.After(c.every):
		}
	}
}
