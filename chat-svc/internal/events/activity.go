package events

import (
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
)

const (
	// keepSaved is how long an entry stays after its conversation's document
	// has it: a reader that read the document before that still finds it here.
	keepSaved = time.Minute
	// arrivalStep is how exactly it is known since when documents lack
	// something, and maxArrivals bounds what is kept to know it.
	arrivalStep = time.Second
	maxArrivals = 3600
)

// Activity is the last message of a conversation.
type Activity struct {
	Conversation id.Conversation
	Last         sequence.Place
}

// table knows the last message of every conversation whose document may be
// behind: those with a message after the checkpoint. It must hear every
// message behind the checkpoint that it was made with, in order, and of a later
// checkpoint only when it has heard everything up to there.
type table struct {
	entries    map[id.Conversation]entry
	checkpoint Position
	moved      time.Time // when the checkpoint was last heard of
	arrivals   []arrival // of what the checkpoint has not passed, oldest first
}

type entry struct {
	last     sequence.Place
	position Position  // of the event that told last
	saved    time.Time // when the checkpoint passed position; zero before
}

// arrival tells when the first of some messages came, up to a position.
type arrival struct {
	upTo Position
	at   time.Time
}

func newTable(checkpoint Position, now time.Time) table {
	return table{entries: map[id.Conversation]entry{}, checkpoint: checkpoint, moved: now}
}

// note takes a message that was sent.
func (t *table) note(c id.Conversation, last sequence.Place, p Position, now time.Time) {
	if before := t.entries[c].last; before.Seq > last.Seq {
		last = before
	}
	t.entries[c] = entry{last: last, position: p}
	n := len(t.arrivals)
	if n == maxArrivals || n > 0 && now.Sub(t.arrivals[n-1].at) < arrivalStep {
		t.arrivals[n-1].upTo = p
		return
	}
	t.arrivals = append(t.arrivals, arrival{p, now})
}

// pass moves the checkpoint forward: what is not after it is saved.
func (t *table) pass(checkpoint Position, now time.Time) {
	t.moved = now
	if !t.checkpoint.Before(checkpoint) {
		return
	}
	t.checkpoint = checkpoint
	passed := 0
	for passed < len(t.arrivals) && !checkpoint.Before(t.arrivals[passed].upTo) {
		passed++
	}
	t.arrivals = t.arrivals[passed:]
	for c, e := range t.entries {
		switch {
		case checkpoint.Before(e.position):
		case e.saved.IsZero():
			e.saved = now
			t.entries[c] = e
		case now.Sub(e.saved) > keepSaved:
			delete(t.entries, c)
		}
	}
}

// lacking is since when documents have lacked a message; zero when they have
// all.
func (t *table) lacking() time.Time {
	if len(t.arrivals) == 0 {
		return time.Time{}
	}
	return t.arrivals[0].at
}

// unsaved gives what the documents do not have yet.
func (t *table) unsaved() []Activity {
	var all []Activity
	for c, e := range t.entries {
		if e.saved.IsZero() {
			all = append(all, Activity{Conversation: c, Last: e.last})
		}
	}
	return all
}
