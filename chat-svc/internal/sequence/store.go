package sequence

import (
	"context"
	"time"

	"chatplatform.io/chat-svc/internal/id"
)

// Store keeps messages, each under its place.
type Store interface {
	// LastPlace reads, at majority, the last row of a conversation. A
	// conversation without rows has Seq 0.
	LastPlace(ctx context.Context, c id.Conversation) (Place, error)
	// Begin opens a causally consistent session: what its reads answer
	// includes whatever its writes met.
	Begin() (Session, error)
}

// A Session is used by one goroutine and ended by it.
type Session interface {
	// Insert writes run in order and stops at the first refusal. The outcome
	// is reached by a majority and journaled; an error means that nobody
	// knows which rows stand, or will.
	Insert(ctx context.Context, run []Message) (Outcome, error)
	// From reads, at majority, at most limit rows from the number seq on, in
	// order. It waits until the rows that refused this session's insert are
	// durable, or gone.
	From(ctx context.Context, c id.Conversation, seq int64, limit int) ([]Message, error)
	// ByKey reads, in the same way as From, the message that sender wrote
	// under key; ok is false when there is none.
	ByKey(ctx context.Context, c id.Conversation, sender id.Account, key string) (m Message, ok bool, err error)
	// End gives the session back.
	End()
}

// A Place is the last one taken in a conversation.
type Place struct {
	Seq int64
	At  time.Time // created_at of that row
}

// Refusal says why an insert stopped.
type Refusal uint8

// The refusals.
const (
	// None: every row stands.
	None Refusal = iota
	// PlaceTaken: another row has the place.
	PlaceTaken
	// KeyRepeated: the sender has used the key in this conversation.
	KeyRepeated
	// Rejected: the row itself cannot be stored.
	Rejected
)

// String names the refusal for logs and metrics.
func (r Refusal) String() string {
	switch r {
	case None:
		return "none"
	case PlaceTaken:
		return "place_taken"
	case KeyRepeated:
		return "key_repeated"
	default:
		return "rejected"
	}
}

// An Outcome tells how far an ordered insert came.
type Outcome struct {
	Stored  int     // the first so many rows stand
	Refusal Refusal // why row number Stored does not; None when all stand
	Err     error   // for Rejected: what was wrong with that row
}
