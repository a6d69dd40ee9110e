package events

import (
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
)

// Kind says what an event tells.
type Kind uint8

// The kinds. An event of a kind has the fields that are named beside it.
const (
	// Nothing of interest changed; only the position counts.
	Nothing Kind = iota
	// MessageSent has Message, a new one.
	MessageSent
	// MessageChanged has Message, edited, deleted or withdrawn, as it is now.
	MessageChanged
	// MemberSet has Account and Role: it joined, with JoinedAt, or its role
	// changed.
	MemberSet
	// MemberGone has Account.
	MemberGone
	// ReadMoved has Account and Seq, its read mark.
	ReadMoved
	// ConversationSet tells that the conversation's own document changed. It has
	// Making where the conversation was begun, or its making has ended.
	ConversationSet
	// ConversationClosed tells that nobody is a member any more, whoever's
	// membership is still there.
	ConversationClosed
	// BlocksChanged has Account, whose blocks changed (what is hidden from it
	// may be others' messages now), and Barred, whose sends it bars or no longer
	// does.
	BlocksChanged
	// Typing has Account and Action, what it is doing in the conversation. It is
	// told once, while it is new, and is not kept.
	Typing
	// CheckpointMoved has Checkpoint.
	CheckpointMoved
	// Unreadable has Err: something changed, and this process cannot tell what.
	// Listeners are told to forget everything instead.
	Unreadable
)

// EphemeralLife is how long an event that is not kept can be told, by the
// database's clock.
const EphemeralLife = 30 * time.Second

// An Event is one change of the database in the words of the domain. Events
// are shared and must not be changed.
type Event struct {
	Position     Position
	Kind         Kind
	Conversation id.Conversation
	Message      *sequence.Message
	Account      id.Account
	Barred       id.Account
	Seq          int64
	Action       string
	Role         string
	Joined       bool // not there before
	JoinedAt     time.Time
	Making       *Making
	Checkpoint   Position
	Err          error
}

// Making is how a conversation came to be.
type Making struct {
	// At is its created_at, which is the JoinedAt of those with whom it was made.
	At      time.Time
	Creator id.Account
	// Client is by which of its clients the creator made it; "" where it did not
	// say.
	Client string
	// Pending says that it is not there yet: its members are still being added.
	Pending bool
}

// Size is about what the event holds in memory, in bytes, and rather too much
// than too little.
func (e Event) Size() int {
	const event, message, account = 250, 320, 48
	if e.Message == nil {
		return event
	}
	return event + message + len(e.Message.Key) + len(e.Message.Body.Content) + account*len(e.Message.Body.Mention)
}

// whenAt is what is told of the event when the database has come so far: of one
// that is over, the position alone.
func (e Event) whenAt(newest Position) Event {
	if e.Kind == Typing && newest.Time().Sub(e.Position.Time()) > EphemeralLife {
		return Event{Position: e.Position}
	}
	return e
}

// Changed gives what told last of each message that was changed among events.
func Changed(told []Event) map[id.Message]Event {
	changed := map[id.Message]Event{}
	for _, e := range told {
		if e.Kind == MessageChanged {
			changed[e.Message.ID] = e
		}
	}
	return changed
}
