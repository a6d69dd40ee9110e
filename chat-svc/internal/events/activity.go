package events

import (
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
)

// keepSaved is how long an entry stays after its conversation's document has
// it: a reader that read the document before that still finds it here.
const keepSaved = time.Minute

// Activity is the last message of a conversation.
type Activity struct {
	Conversation id.Conversation
	Last         sequence.Place
}

// table knows the last message of every conversation whose document may be
// behind: those with a message after the checkpoint.
type table struct {
	entries    map[id.Conversation]*entry
	checkpoint Position
}

type entry struct {
	last     sequence.Place
	position Position  // of the event that told last
	unsaved  time.Time // when the first event behind the checkpoint came; zero when saved
	saved    time.Time // when the checkpoint passed position
}

func newTable() table { return table{entries: map[id.Conversation]*entry{}} }

// note takes a message that was sent.
func (t *table) note(c id.Conversation, last sequence.Place, p Position, now time.Time) {
	e := t.entries[c]
	if e == nil {
		e = &entry{}
		t.entries[c] = e
	}
	if last.Seq > e.last.Seq {
		e.last = last
	}
	e.position = p
	if e.unsaved.IsZero() && t.checkpoint.Before(p) {
		e.unsaved = now
	}
}

// pass moves the checkpoint forward: what is not after it is saved.
func (t *table) pass(checkpoint Position, now time.Time) {
	if !t.checkpoint.Before(checkpoint) {
		return
	}
	t.checkpoint = checkpoint
	for c, e := range t.entries {
		if checkpoint.Before(e.position) {
			// Only what came meanwhile is unsaved; its first event is not
			// known exactly, so it counts from now.
			if !e.unsaved.IsZero() {
				e.unsaved = now
			}
			continue
		}
		if !e.unsaved.IsZero() {
			e.unsaved, e.saved = time.Time{}, now
		}
		if now.Sub(e.saved) > keepSaved {
			delete(t.entries, c)
		}
	}
}

// oldest is when the first unsaved event came; zero when all is saved.
func (t *table) oldest() time.Time {
	var first time.Time
	for _, e := range t.entries {
		if !e.unsaved.IsZero() && (first.IsZero() || e.unsaved.Before(first)) {
			first = e.unsaved
		}
	}
	return first
}

// unsaved gives what the documents do not have yet.
func (t *table) pending() []Activity {
	var all []Activity
	for c, e := range t.entries {
		if !e.unsaved.IsZero() {
			all = append(all, Activity{Conversation: c, Last: e.last})
		}
	}
	return all
}
