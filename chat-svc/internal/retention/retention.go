// Package retention deletes messages that are older than an installation keeps
// them (docs/api/chat.md, "How long messages are kept"): of each conversation
// the first ones, from the oldest on, and never the last row, by which the next
// place is known. So what is left has no holes at any moment, and a crash leaves
// only what the next walk finds.
package retention

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"chatplatform.io/chat-svc/internal/chore"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lease"
)

// Least is the shortest time for which messages may be kept: what a committer
// remembers of a conversation, and a sender's repeats, are far younger.
const Least = 24 * time.Hour

const (
	// walkEvery is how long after a walk over all conversations the next begins.
	walkEvery = time.Hour
	// every is how often it is looked whether that is due.
	every = lease.Time
	// stepWait bounds one step.
	stepWait = 10 * time.Second
	// some is how many conversations are taken up at once.
	some = 1000
	// portion is how many messages one step deletes.
	portion = 1000
)

// Store keeps messages.
type Store interface {
	lease.Store
	// Outgrown are conversations, closed ones too, that may hold a row that was
	// created at an instant or before and is not their last, at most limit, in
	// no order.
	Outgrown(ctx context.Context, at time.Time, limit int) ([]id.Conversation, error)
	// Drop deletes rows that were created at an instant or before: the first
	// limit of a conversation, in their order, but not its last row. It is done
	// when no more of them were left; then the conversation is not Outgrown any
	// more. Several processes may drop rows of the same one.
	Drop(ctx context.Context, c id.Conversation, at time.Time, limit int) (dropped int, done bool, err error)
}

// Deps are what retention works with.
type Deps struct {
	Store  Store
	Keep   time.Duration // at least Least
	Holder string        // tells replicas apart
	Now    func() time.Time
	// Trusted tells whether Now is known to be right. Nothing is deleted by a
	// clock that may be ahead.
	Trusted func() bool
	Logger  *slog.Logger
	// Dropped counts deleted messages.
	Dropped func(n int)
}

// Start begins to delete what is older than Keep.
func Start(deps Deps) *chore.Chore {
	w := &worker{Deps: deps, lease: lease.New(deps.Store, "retention", deps.Holder, deps.Now)}
	return chore.Start("the deletion of old messages waits", every, deps.Logger, w.round)
}

type worker struct {
	Deps
	lease *lease.Lease
	next  time.Time // when a walk is due
}

// errElsewhere ends a round where another replica has the lease, or the clock is
// not trusted.
var errElsewhere = errors.New("not for this replica at the moment")

// round takes up some conversations, and tells whether there may be more.
func (w *worker) round(ctx context.Context) (more bool, err error) {
	if w.Now().Before(w.next) {
		return false, nil
	}
	before := w.Now().Add(-w.Keep)
	more, err = w.walk(ctx, before)
	if errors.Is(err, errElsewhere) {
		return false, nil
	}
	if err == nil && !more {
		w.next = w.Now().Add(walkEvery)
	}
	return more, err
}

func (w *worker) walk(ctx context.Context, before time.Time) (more bool, err error) {
	if err := w.mine(ctx); err != nil {
		return false, err
	}
	outgrown, err := w.Store.Outgrown(ctx, before, some)
	if err != nil {
		return false, err
	}
	for _, c := range outgrown {
		for done := false; !done; {
			if done, err = w.step(ctx, c, before); err != nil {
				return false, err
			}
		}
	}
	return len(outgrown) == some, nil
}

func (w *worker) step(ctx context.Context, c id.Conversation, before time.Time) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepWait)
	defer cancel()
	if err := w.mine(ctx); err != nil {
		return false, err
	}
	dropped, done, err := w.Store.Drop(ctx, c, before, portion)
	w.Dropped(dropped)
	return done, err
}

// mine is errElsewhere where this replica is not the one to delete.
func (w *worker) mine(ctx context.Context) error {
	if !w.Trusted() {
		return errElsewhere
	}
	mine, err := w.lease.Take(ctx)
	if err == nil && !mine {
		return errElsewhere
	}
	return err
}
