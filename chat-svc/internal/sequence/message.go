package sequence

import (
	"time"

	"chatplatform.io/chat-svc/internal/id"
)

// A Message is one row of a conversation, as it is kept.
type Message struct {
	ID        id.Message // its place
	Sender    id.Account
	Body      Body
	CreatedAt time.Time // UTC, whole milliseconds; never earlier than the row before

	EditedAt time.Time // when the sender last changed the content; zero for never
	// Deleted says that the content is shown to nobody any more: it is "".
	Deleted bool
	// Withdrawn says that only the place is left, so that it is never given
	// again, and what answers a repeat: Body is empty.
	Withdrawn bool

	// Key is the sender's idempotency key in this conversation; "" for none.
	Key string
	// Fingerprint tells one body from another under the same key. The body
	// itself may be gone by the time the key is used again.
	Fingerprint [16]byte
	// Mark is the random sign of the one Commit that wrote this row.
	Mark [8]byte
}

// A Body is what the sender said.
type Body struct {
	Type      string
	Content   string
	InReplyTo int64 // the number of a message in the same conversation; 0 for none
	Mention   []id.Account
}

// A Draft is a message that has no place yet.
type Draft struct {
	Conversation id.Conversation
	Sender       id.Account
	Key          string
	Fingerprint  [16]byte
	Body         Body
}

// A Receipt is what a sender is told.
type Receipt struct {
	Message Message
	// Replayed says that the key was used before: Message is the first one.
	Replayed bool
}
