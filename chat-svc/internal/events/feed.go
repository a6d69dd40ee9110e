// Package events is the one feed of everything that happens: every replica
// follows the database's change stream, own writes and those of others alike,
// in one order with one id. What listens to it keeps memory up to date; what
// resumes finds the last minutes in a ring.
package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"chatplatform.io/chat-svc/internal/sequence"
)

// reopen is the pause before a broken stream is opened again.
const reopen = 200 * time.Millisecond

// ErrTooOld says that the database no longer has the changes after a position.
var ErrTooOld = errors.New("the change stream no longer reaches back so far")

// Source opens the database's change stream.
type Source interface {
	// Changes follows every change after a position; ErrTooOld. Changes up to
	// it may come too.
	Changes(ctx context.Context, after Position) (Stream, error)
	// Checkpoint is the position up to which all conversation documents are
	// right.
	Checkpoint(ctx context.Context) (Position, error)
	// Repair makes all conversation documents right without the changes since
	// the checkpoint, moves it, and gives it.
	Repair(ctx context.Context) (Position, error)
}

// A Stream is used by one goroutine and closed by it.
type Stream interface {
	// Next gives the changes that came, in order, waiting up to a quarter of a second
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
	broken    outage
	misread   outage

	mu      sync.Mutex
	applied Position  // everything in this process knows what is up to here
	taken   Position  // of the event that is being applied, or was last
	known   mark      // all that was committed by then is applied
	next    mark      // will be known once its position is applied
	heard   time.Time // when the database last answered; zero from a start until it does
	trusted time.Time // known.moment, also from before the feed began anew; at first the start
	offset  time.Duration
	ring    ring
	table   table
	unread  uint64        // changes that could not be read
	moved   chan struct{} // closed when applied moves
}

// A mark is a moment, and the position that the database had come to then or
// later.
type mark struct {
	moment   time.Time
	position Position
}

// Options of a Feed, all of them required.
type Options struct {
	Source Source
	// Checkpoint is where it begins.
	Checkpoint Position
	// Memory bounds the events that are kept for who resumes, in bytes.
	Memory int
	Now    func() time.Time
	Logger *slog.Logger
}

// New makes a feed that tells each event to every listener, in order, on the
// feed's goroutine. An event without a position tells that too much was missed:
// everything known must be forgotten.
func New(o Options, listeners ...func(Event)) *Feed {
	f := &Feed{
		source: o.Source, now: o.Now, logger: o.Logger, listeners: listeners,
		ring: ring{limit: o.Memory}, moved: make(chan struct{}), trusted: o.Now(),
	}
	f.begin(o.Checkpoint)
	return f
}

// begin has the feed start at a position, knowing nothing from before.
func (f *Feed) begin(at Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied, f.taken = at, at
	f.heard = time.Time{}
	f.known, f.next = mark{}, mark{}
	f.ring.restart(at)
	f.table = newTable(at, f.now())
}

// Run follows the feed until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.follow(ctx)
		if errors.Is(err, ErrTooOld) {
			err = errors.Join(err, f.restart(ctx))
		}
		if ctx.Err() == nil {
			if times := f.broken.again(f.now()); times > 0 {
				f.logger.Warn("the change stream broke and is opened again", "error", err, "times", times)
			}
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
	from, begun := f.Applied(), f.now()
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

// restart begins anew at the checkpoint, because the changes behind what was
// applied are lost; where that is no further, the checkpoint's are lost too.
// Listeners forget only when the feed stands where it goes on: what they learn
// from then on is from there or later.
func (f *Feed) restart(ctx context.Context) error {
	at, err := f.source.Checkpoint(ctx)
	if err == nil && !f.Applied().Before(at) {
		at, err = f.source.Repair(ctx)
	}
	if err != nil {
		return fmt.Errorf("begin anew: %w", err)
	}
	f.begin(at)
	f.forget()
	return nil
}

// apply takes a batch that was asked for when begun.
func (f *Feed) apply(batch []Event, newest Position, begun time.Time) {
	now := f.now()
	for _, e := range batch {
		f.take(e.whenAt(newest), now)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = now
	if !newest.IsZero() {
		f.offset = now.Truncate(time.Second).Sub(newest.Time())
	}
	if len(batch) > 0 {
		close(f.moved)
		f.moved = make(chan struct{})
	}
	f.complete(len(batch) == 0, mark{begun, newest})
	f.trusted = cmp.Or(f.known.moment, f.trusted)
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

// take applies one event; one that was applied before a stream was opened
// again is passed over. What a listener does not learn from an event, because
// it begins to care only meanwhile, it finds in the table or the ring.
func (f *Feed) take(e Event, now time.Time) {
	if !f.record(e, now) {
		return
	}
	if e.Kind == Unreadable {
		f.pass(e, now)
		return
	}
	for _, listen := range f.listeners {
		listen(e)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = e.Position
}

// pass goes on behind a change that nobody can read. Memory may be wrong now, and
// is not trusted until listeners have forgotten it; as where the feed begins
// anew, they do when it stands where it goes on.
func (f *Feed) pass(e Event, now time.Time) {
	if times := f.misread.again(now); times > 0 {
		f.logger.Error("a change cannot be read and is passed over", "error", e.Err, "times", times)
	}
	f.mu.Lock()
	f.unread++
	f.applied, f.heard = e.Position, time.Time{}
	f.mu.Unlock()
	f.forget()
}

func (f *Feed) forget() {
	for _, listen := range f.listeners {
		listen(Event{})
	}
}

// record keeps what an event tells; false for an old one.
func (f *Feed) record(e Event, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.applied.Before(e.Position) {
		return false
	}
	f.taken = e.Position
	switch e.Kind {
	case Nothing, Unreadable, Typing: // nothing to resume
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
