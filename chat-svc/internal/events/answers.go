package events

import (
	"context"
	"slices"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

const (
	// freshness is how old the last word from the database, and how far behind
	// it what is known, may be for memory to be trusted.
	freshness = time.Second
	// catchUp is how long a reader waits for the feed to reach a position.
	catchUp = time.Second
)

// Complete is a moment before which nothing was committed that has not been
// applied since the feed last began anew; zero where there is none yet.
func (f *Feed) Complete() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known.moment
}

// Offset is how far this process's clock is ahead of the database's, below zero
// where it is behind, as the database was heard last and to a second. A database
// to which nobody writes shows the time of its last write, which replica sets
// make at least every ten seconds.
func (f *Feed) Offset() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.offset
}

// Unread counts the changes that could not be read.
func (f *Feed) Unread() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unread
}

// Applied is the position of the last change that everything in this process
// knows.
func (f *Feed) Applied() Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied
}

// Taken is the position of the newest change that any listener has heard of, or
// is hearing of: what a listener learns from then on, beside the feed, has to be
// from there or later.
func (f *Feed) Taken() Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken
}

// Healthy tells whether memory may be trusted: "" when it may, otherwise why
// not, in a word for a metric.
func (f *Feed) Healthy() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.health()
}

func (f *Feed) health() string {
	switch now := f.now(); {
	case f.heard.IsZero():
		return "starting"
	case now.Sub(f.heard) > freshness:
		return "silent"
	case now.Sub(f.known.moment) > freshness:
		return "behind"
	}
	return ""
}

// Wait returns when the feed has applied p, and whatever any listener has heard
// of before the call; upTo is the position it has applied then. After a second
// it is fault.ErrUnavailable.
func (f *Feed) Wait(ctx context.Context, p Position) (upTo Position, err error) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	for first := true; ; first = false {
		f.mu.Lock()
		if first && p.Before(f.taken) {
			p = f.taken
		}
		applied, moved := f.applied, f.moved
		f.mu.Unlock()
		if !applied.Before(p) {
			return applied, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return applied, fault.ErrUnavailable.Say("This replica has not caught up yet; try again.")
		}
	}
}

// Between gives the events after one position and up to another, which was
// applied, in order; they are shared. ok is false where they are no longer
// kept.
func (f *Feed) Between(after, upTo Position) (found []Event, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ring.between(after, upTo)
}

// EndsAt lowers the numbers of the last messages of conversations to those that
// had been told at a position, as far as that is still known.
func (f *Feed) EndsAt(at Position, last map[id.Conversation]int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range last {
		if e, ok := f.table.entries[c]; ok {
			last[c] = e.last.Seq
		}
	}
	since, _ := f.ring.between(at, f.taken)
	for _, e := range slices.Backward(since) {
		if _, ok := last[e.Conversation]; ok && e.Kind == MessageSent {
			last[e.Conversation] = e.Message.ID.Seq - 1
		}
	}
}

// Last gives the last message of a conversation where its document may be
// behind.
func (f *Feed) Last(c id.Conversation) (sequence.Place, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.table.entries[c]
	return e.last, ok
}

// Told reports whether the feed had told a message of a conversation, or a later
// one, when it had applied a position; false too where that was long ago.
func (f *Feed) Told(c id.Conversation, seq int64, at Position) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.table.entries[c]
	return ok && seq <= e.last.Seq && !at.Before(e.position)
}

// Behind is for how long conversation documents have lacked a message that the
// feed has told, to a second, or may have lacked one that it has not told
// because it is not healthy; zero when they have all.
func (f *Feed) Behind() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	since := f.table.lacking()
	if f.health() != "" && (since.IsZero() || f.trusted.Before(since)) {
		since = f.trusted
	}
	if since.IsZero() {
		return 0
	}
	return f.now().Sub(since)
}

// unsaved gives what a checkpoint at the returned position has to save first,
// and when the last one was heard of.
func (f *Feed) unsaved() (all []Activity, upTo Position, moved time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.table.unsaved(), f.applied, f.table.moved
}
