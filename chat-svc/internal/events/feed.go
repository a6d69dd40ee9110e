// Package events is the one feed of everything that happens: every replica
// follows the database's change stream, own writes and those of others alike,
// in one order with one id. What listens to it keeps memory up to date; what
// resumes finds the last minutes in a ring.
package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

const (
	// freshness is how old the last word from the database, and how far behind
	// it the last applied change, may be for memory to be trusted.
	freshness = time.Second
	// ringBytes bounds the events kept for resumption.
	ringBytes = 64 << 20
	// reopen is the pause before a broken stream is opened again.
	reopen = 200 * time.Millisecond
	// catchUp is how long a reader waits for the feed to reach a position.
	catchUp = time.Second
)

// ErrTooOld says that the database no longer has the changes after a position.
var ErrTooOld = errors.New("the change stream no longer reaches back so far")

// Source opens the database's change stream.
type Source interface {
	// Changes follows every change after a position; ErrTooOld.
	Changes(ctx context.Context, after Position) (Stream, error)
	// Checkpoint is the position up to which all conversation documents are
	// right.
	Checkpoint(ctx context.Context) (Position, error)
}

// A Stream is used by one goroutine and closed by it.
type Stream interface {
	// Next gives the changes that came, in order, waiting up to half a second
	// for the first; and how far the database itself has come.
	Next(ctx context.Context) (batch []Event, newest Position, err error)
	Close()
}

// A Feed applies changes in order. Its owner runs Run until it ends.
type Feed struct {
	source    Source
	now       func() time.Time
	logger    *slog.Logger
	listeners []func(Event)

	mu      sync.Mutex
	applied Position
	started bool      // applied is a position to go on from
	current bool      // the last batch was empty or near the database's newest change
	known   mark      // all that was committed by then is applied
	next    mark      // will be known once its position is applied
	heard   time.Time // when the database last answered
	ring    ring
	table   table
	moved   chan struct{} // closed when applied moves
}

// A mark is a moment, and the position that the database had come to then or
// later.
type mark struct {
	moment   time.Time
	position Position
}

// New makes a feed that tells each event to every listener, in order, on the
// feed's goroutine. An event without a position tells that the feed begins
// anew, at first and where too much was missed: everything known must be
// forgotten.
func New(source Source, now func() time.Time, logger *slog.Logger, listeners ...func(Event)) *Feed {
	return &Feed{
		source: source, now: now, logger: logger, listeners: listeners,
		ring: ring{limit: ringBytes}, table: newTable(), moved: make(chan struct{}),
	}
}

// Run follows the feed until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		f.logger.Warn("the change stream broke and is opened again", "error", err)
		if errors.Is(err, ErrTooOld) {
			f.reset()
		}
		pause(ctx, reopen)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (f *Feed) follow(ctx context.Context) error {
	from, err := f.from(ctx)
	if err != nil {
		return err
	}
	begun := f.now()
	stream, err := f.source.Changes(ctx, from)
	if err != nil {
		return fmt.Errorf("open the change stream after %v: %w", from, err)
	}
	defer stream.Close()
	for {
		batch, newest, err := stream.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the change stream: %w", err)
		}
		f.apply(batch, newest, begun)
		begun = f.now()
	}
}

// from is where to go on: behind what was applied, at first the checkpoint.
func (f *Feed) from(ctx context.Context) (Position, error) {
	if applied, started := f.position(); started {
		return applied, nil
	}
	checkpoint, err := f.source.Checkpoint(ctx)
	if err != nil {
		return Position{}, fmt.Errorf("read the checkpoint: %w", err)
	}
	// Only now: what listeners read before they knew of the checkpoint may lack
	// something before it, of which nobody would tell them.
	for _, listen := range f.listeners {
		listen(Event{})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied, f.started = checkpoint, true
	f.known, f.next = mark{}, mark{}
	f.ring.restart(checkpoint)
	f.table.checkpoint = checkpoint
	return checkpoint, nil
}

func (f *Feed) position() (applied Position, started bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied, f.started
}

// reset begins anew where too much was missed.
func (f *Feed) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started, f.current = false, false
	f.table = newTable()
}

// apply takes a batch that was asked for when begun.
func (f *Feed) apply(batch []Event, newest Position, begun time.Time) {
	now := f.now()
	for _, e := range batch {
		f.take(e, now)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = now
	f.current = len(batch) == 0 || newest.Time().Sub(f.applied.Time()) <= freshness
	if len(batch) > 0 {
		close(f.moved)
		f.moved = make(chan struct{})
	}
	f.complete(len(batch) == 0, mark{begun, newest})
}

// complete notes how much is known by now. Without changes nothing was
// committed before the database was asked. Otherwise there may be more than
// came, up to where the database was: that is known once something behind it is
// applied.
func (f *Feed) complete(empty bool, now mark) {
	switch {
	case empty:
		f.known, f.next = now, mark{}
	case f.next.moment.IsZero():
		f.next = now
	case f.next.position.Before(f.applied):
		f.known, f.next = f.next, now
	}
}

// Complete is a moment before which nothing was committed that has not been
// applied since the feed last began anew; zero where there is none yet.
func (f *Feed) Complete() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known.moment
}

// take applies one event; one that was applied before a stream was opened
// again is passed over. What a listener does not learn from an event, because
// it begins to care only meanwhile, it finds in the table or the ring.
func (f *Feed) take(e Event, now time.Time) {
	if !f.record(e, now) {
		return
	}
	for _, listen := range f.listeners {
		listen(e)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = e.Position
}

// record keeps what an event tells; false for an old one.
func (f *Feed) record(e Event, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.applied.Before(e.Position) {
		return false
	}
	switch e.Kind {
	case Nothing:
		return true
	case CheckpointMoved: // of no interest to who resumes
		f.table.pass(e.Checkpoint, now)
		return true
	case MessageSent:
		f.table.note(e.Conversation, sequence.Place{Seq: e.Message.ID.Seq, At: e.Message.CreatedAt}, e.Position, now)
	}
	f.ring.add(e)
	return true
}

// Applied is the position of the last change that everything in this process
// knows.
func (f *Feed) Applied() Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied
}

// Healthy tells whether memory may be trusted: "" when it may, otherwise why
// not, in a word for a metric.
func (f *Feed) Healthy() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.started || f.heard.IsZero():
		return "starting"
	case f.now().Sub(f.heard) > freshness:
		return "silent"
	case !f.current:
		return "behind"
	}
	return ""
}

// Wait returns when the feed has applied p, within a second; otherwise
// fault.ErrUnavailable.
func (f *Feed) Wait(ctx context.Context, p Position) error {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	for {
		f.mu.Lock()
		reached, moved := !f.applied.Before(p), f.moved
		f.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fault.ErrUnavailable.Say("This replica has not caught up yet; try again.")
		}
	}
}

// Since gives the events after p that which wants, at most limit, in order,
// and the position up to which they are complete. ok is false where the ring
// does not reach back to p.
func (f *Feed) Since(p Position, limit int, which func(Event) bool) (found []Event, upTo Position, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	after, ok := f.ring.since(p)
	if !ok {
		return nil, p, false
	}
	for _, e := range after {
		if f.applied.Before(e.Position) {
			break // not everything in this process knows it yet
		}
		if !which(e) {
			continue
		}
		if len(found) == limit {
			return found, found[limit-1].Position, true
		}
		found = append(found, e)
	}
	return found, f.applied, true
}

// Last gives the last message of a conversation where its document may be
// behind.
func (f *Feed) Last(c id.Conversation) (sequence.Place, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.table.entries[c]
	if e == nil {
		return sequence.Place{}, false
	}
	return e.last, true
}

// Behind is for how long conversation documents have been behind the feed;
// zero when they are not.
func (f *Feed) Behind() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.table.oldest()
	if first.IsZero() {
		return 0
	}
	return f.now().Sub(first)
}

// unsaved gives what a checkpoint at the returned position has to save first.
func (f *Feed) unsaved() ([]Activity, Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.table.pending(), f.applied
}
