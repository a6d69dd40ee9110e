package events

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"chatplatform.io/chat-svc/internal/lease"
)

const (
	keepEvery = time.Second
	// saveMost bounds what is saved under one lease: a part is written well
	// before it ends.
	saveMost = 500
	// quiet is how often the checkpoint of a quiet platform moves, so that a
	// start finds its place in the change stream.
	quiet = time.Minute
)

// CheckpointStore keeps the checkpoint and what it promises.
type CheckpointStore interface {
	lease.Store
	// SaveActivity writes last messages into their conversations' documents,
	// never back.
	SaveActivity(ctx context.Context, all []Activity) error
	// SaveCheckpoint moves the checkpoint, never back.
	SaveCheckpoint(ctx context.Context, p Position) error
}

// A Keeper writes into conversation documents what the feed has told, and
// moves the checkpoint behind it. One replica at a time does.
type Keeper struct {
	feed   *Feed
	store  CheckpointStore
	lease  *lease.Lease
	now    func() time.Time
	logger *slog.Logger
	failed outage
}

// NewKeeper makes a keeper; holder tells replicas apart.
func NewKeeper(feed *Feed, store CheckpointStore, holder string, now func() time.Time, logger *slog.Logger) *Keeper {
	return &Keeper{
		feed: feed, store: store, lease: lease.New(store, "checkpoint", holder, now), now: now, logger: logger,
	}
}

// Run keeps the checkpoint about a second behind the feed until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := k.keep(ctx); err != nil && ctx.Err() == nil {
			if times := k.failed.again(k.now()); times > 0 {
				k.logger.Warn("the checkpoint did not move", "error", err, "times", times)
			}
		}
	}
}

// keep writes when something was sent since the last checkpoint, or all was
// quiet for long: writing is a change itself, behind which the checkpoint can
// move. What the feed has told may be saved however far behind it is; that all
// was quiet only a healthy feed knows.
func (k *Keeper) keep(ctx context.Context) error {
	all, upTo, moved := k.feed.unsaved()
	if len(all) == 0 && (k.feed.Healthy() != "" || k.now().Sub(moved) < quiet) {
		return nil
	}
	mine, err := k.lease.Take(ctx)
	for part := range slices.Chunk(all, saveMost) {
		if err != nil || !mine {
			return err
		}
		if err := k.store.SaveActivity(ctx, part); err != nil {
			return fmt.Errorf("save the last messages of %d conversations: %w", len(part), err)
		}
		if len(part) == saveMost { // there may be more, and this took its time
			mine, err = k.lease.Take(ctx)
		}
	}
	if err != nil || !mine {
		return err
	}
	if err := k.store.SaveCheckpoint(ctx, upTo); err != nil {
		return fmt.Errorf("save the checkpoint: %w", err)
	}
	return nil
}
