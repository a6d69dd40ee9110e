package mongostore

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/retention"
	"chatplatform.io/svckit/mongodb"
)

var _ retention.Store = (*Store)(nil)

// The fields of a conversation that only retention writes: its first row, once
// rows before it were deleted or looked at. Nothing is read by them but whether
// there may be something to delete.
const (
	firstSeq       = "first_seq"
	firstMessageAt = "first_message_at"
)

// everyConversation reads all documents of conversations, in batches, with the
// named fields alone. It is no hot query: it asks every shard.
func (s *Store) everyConversation(ctx context.Context, fields ...string) iter.Seq2[listedDoc, error] {
	return func(yield func(listedDoc, error) bool) {
		cursor, err := s.db.Collection(conversations).Find(ctx, bson.D{},
			options.Find().SetProjection(only(fields...)).SetBatchSize(maxLookup).SetComment(beside))
		if err != nil {
			yield(listedDoc{}, mongodb.Fault(err))
			return
		}
		defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }()
		for cursor.Next(ctx) {
			var doc listedDoc
			if err := cursor.Decode(&doc); !yield(doc, err) || err != nil {
				return
			}
		}
		if err := cursor.Err(); err != nil {
			yield(listedDoc{}, mongodb.Fault(err))
		}
	}
}

// Outgrown implements retention.Store. It reads documents of conversations and
// no messages.
func (s *Store) Outgrown(ctx context.Context, at time.Time, limit int) (all []id.Conversation, err error) {
	for doc, err := range s.everyConversation(ctx, "created_at", lastSeq, firstSeq, firstMessageAt) {
		if err != nil {
			return nil, fmt.Errorf("find conversations with old messages: %w", err)
		}
		if !doc.outgrown(at) {
			continue
		}
		c, err := conversationOf(doc.ID)
		if err != nil {
			return nil, err
		}
		if all = append(all, c); len(all) == limit {
			break
		}
	}
	return all, nil
}

// outgrown: the first row is not the last, and it is old as far as is known; it
// is no older than the conversation.
func (d listedDoc) outgrown(at time.Time) bool {
	oldest := d.FirstAt
	if oldest.IsZero() {
		oldest = d.CreatedAt
	}
	return max(d.FirstSeq, 1) < d.LastSeq && !oldest.After(at)
}

// Drop implements retention.Store. Every row but the last of those that it reads
// has one behind it. What it notes at last tells every replica that the
// conversation's pages have changed.
func (s *Store) Drop(ctx context.Context, c id.Conversation, at time.Time, limit int) (dropped int, done bool, err error) {
	docs, err := findAll[messageDoc](ctx, s.db.Collection(messages), in(c, between(0, math.MaxInt64)),
		options.Find().SetSort(ascending("s")).SetLimit(int64(limit)+1).
			SetProjection(only("s", "created_at")).SetComment(beside))
	if err != nil {
		return 0, false, fmt.Errorf("read the first messages of %s: %w", c, err)
	}
	if len(docs) == 0 {
		return 0, true, nil
	}
	old := 0
	for old < len(docs)-1 && !docs[old].CreatedAt.After(at) {
		old++
	}
	if old > 0 {
		result, err := s.db.Collection(messages).DeleteMany(ctx, in(c, between(docs[0].Seq-1, docs[old].Seq-1)),
			options.DeleteMany().SetComment(beside))
		if err != nil {
			return 0, false, mongodb.Fault(fmt.Errorf("delete old messages of %s: %w", c, err))
		}
		dropped = int(result.DeletedCount)
	}
	if old == limit {
		return dropped, false, nil
	}
	return dropped, true, s.noteFirst(ctx, c, docs[old])
}

func (s *Store) noteFirst(ctx context.Context, c id.Conversation, first messageDoc) error {
	_, err := s.db.Collection(conversations).UpdateOne(ctx, bson.D{{Key: "_id", Value: binary(c)}},
		bson.D{{Key: "$max", Value: bson.D{
			{Key: firstSeq, Value: first.Seq}, {Key: firstMessageAt, Value: first.CreatedAt},
		}}}, options.UpdateOne().SetComment(beside))
	if err != nil {
		return mongodb.Fault(fmt.Errorf("note the first message of %s: %w", c, err))
	}
	return nil
}

// between finds numbers above one and at most the other.
func between(above, upTo int64) bson.E {
	return bson.E{Key: "s", Value: bson.D{{Key: "$gt", Value: above}, {Key: "$lte", Value: upTo}}}
}

// only is a projection to fields, and _id.
func only(fields ...string) bson.D { return ascending(fields...) }
