package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

// at finds a message by its place.
func at(m id.Message, more ...bson.E) bson.D {
	return in(m.Conversation, append([]bson.E{{Key: "s", Value: m.Seq}}, more...)...)
}

func absent(field string) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$exists", Value: false}}}
}

// Message implements chat.Store.
func (s *Store) Message(ctx context.Context, m id.Message) (sequence.Message, error) {
	doc, err := findOne[messageDoc](ctx, s.db.Collection(messages), at(m))
	if err != nil {
		return sequence.Message{}, fmt.Errorf("read message %s: %w", m, err)
	}
	return doc.message()
}

// Messages implements chat.Store.
func (s *Store) Messages(ctx context.Context, c id.Conversation, seqs []int64) ([]sequence.Message, error) {
	docs, err := findAll[messageDoc](ctx, s.db.Collection(messages), in(c, among("s", seqs)))
	if err != nil {
		return nil, fmt.Errorf("read %d messages of %s: %w", len(seqs), c, err)
	}
	return each(docs, messageDoc.message)
}

// SentUnder implements chat.Store.
func (s *Store) SentUnder(ctx context.Context, c id.Conversation, sender id.Account, key string) (sequence.Message, error) {
	doc, err := findOne[messageDoc](ctx, s.db.Collection(messages), sentUnder(c, sender, key))
	if err != nil {
		return sequence.Message{}, fmt.Errorf("read the first message under a key in %s: %w", c, err)
	}
	return doc.message()
}

func sentUnder(c id.Conversation, sender id.Account, key string) bson.D {
	return in(c, bson.E{Key: "sender", Value: sender}, bson.E{Key: "key", Value: key})
}

// EditMessage implements chat.Store. Each edit has a time of its own, so the
// time tells whether the content is still the one that was read.
func (s *Store) EditMessage(ctx context.Context, was sequence.Message, content string, editedAt time.Time) error {
	version := absent("edited_at")
	if !was.EditedAt.IsZero() {
		version = bson.E{Key: "edited_at", Value: was.EditedAt}
	}
	return s.changeMessage(ctx, was.ID, at(was.ID, version, absent("deleted_at"), absent("withdrawn")),
		set(bson.D{{Key: "content", Value: content}, {Key: "edited_at", Value: editedAt}}))
}

// DeleteMessages implements chat.Store.
func (s *Store) DeleteMessages(ctx context.Context, c id.Conversation, seqs []int64, by id.Account, deletedAt time.Time) error {
	_, err := s.db.Collection(messages).UpdateMany(ctx, in(c, among("s", seqs), absent("deleted_at"), absent("withdrawn")),
		set(bson.D{{Key: "deleted_at", Value: deletedAt}, {Key: "deleted_by", Value: by}}))
	if err != nil {
		return mongodb.Fault(fmt.Errorf("delete %d messages of %s: %w", len(seqs), c, err))
	}
	return nil
}

// WithdrawMessage implements chat.Store.
func (s *Store) WithdrawMessage(ctx context.Context, m id.Message) error {
	return s.changeMessage(ctx, m, at(m, absent("withdrawn")), withdrawal())
}

// withdrawal leaves of a message what keeps its place and its key from being
// used again.
func withdrawal() bson.D {
	var gone bson.D
	for _, field := range []string{"type", "content", "in_reply_to", "mention", "edited_at", "deleted_at", "deleted_by"} {
		gone = append(gone, bson.E{Key: field, Value: ""})
	}
	return append(set(bson.D{{Key: "withdrawn", Value: true}}), bson.E{Key: "$unset", Value: gone})
}

// changeMessage changes a message where it is still as which says.
func (s *Store) changeMessage(ctx context.Context, m id.Message, which, change bson.D) error {
	result, err := s.db.Collection(messages).UpdateOne(ctx, which, change)
	if err != nil {
		return mongodb.Fault(fmt.Errorf("change message %s: %w", m, err))
	}
	if result.MatchedCount == 0 {
		return fault.ErrConflict.Because(errors.New("the message is no longer as it was read"))
	}
	return nil
}
