package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

type messageDoc struct {
	Place        []byte       `bson:"_id"`
	Conversation bson.Binary  `bson:"c"`
	Seq          int64        `bson:"s"`
	Sender       id.Account   `bson:"sender"`
	Key          string       `bson:"key,omitempty"`
	Fingerprint  []byte       `bson:"fingerprint,omitempty"`
	Mark         []byte       `bson:"mark"`
	CreatedAt    time.Time    `bson:"created_at"`
	Type         string       `bson:"type"`
	Content      string       `bson:"content"`
	InReplyTo    int64        `bson:"in_reply_to,omitempty"`
	Mention      []id.Account `bson:"mention,omitempty"`

	// What edit.go writes later.
	EditedAt  time.Time `bson:"edited_at,omitempty"`
	DeletedAt time.Time `bson:"deleted_at,omitempty"`
	Withdrawn bool      `bson:"withdrawn,omitempty"`
}

func messageDocOf(m sequence.Message) messageDoc {
	doc := messageDoc{
		Place: m.ID.Place(), Conversation: binary(m.ID.Conversation), Seq: m.ID.Seq,
		Sender: m.Sender, Key: m.Key, Mark: m.Mark[:], CreatedAt: m.CreatedAt,
		Type: m.Body.Type, Content: m.Body.Content, InReplyTo: m.Body.InReplyTo, Mention: m.Body.Mention,
	}
	if m.Key != "" {
		doc.Fingerprint = m.Fingerprint[:]
	}
	return doc
}

func (d messageDoc) message() (sequence.Message, error) {
	place, err := id.FromPlace(d.Place)
	if err != nil {
		return sequence.Message{}, fmt.Errorf("read the place of a stored message: %w", err)
	}
	m := sequence.Message{
		ID: place, Sender: d.Sender, Key: d.Key, CreatedAt: utc(d.CreatedAt),
		Body:     sequence.Body{Type: d.Type, Content: d.Content, InReplyTo: d.InReplyTo, Mention: d.Mention},
		EditedAt: utc(d.EditedAt), Deleted: !d.DeletedAt.IsZero(), Withdrawn: d.Withdrawn,
	}
	if m.Deleted {
		m.Body.Content = "" // it is still kept, and goes no further than this
	}
	copy(m.Fingerprint[:], d.Fingerprint)
	copy(m.Mark[:], d.Mark)
	return m, nil
}

// LastPlace implements sequence.Store. The conversation's document is behind
// the last row, never ahead of it: only rows above are looked at.
func (s *Store) LastPlace(ctx context.Context, c id.Conversation) (sequence.Place, error) {
	if err := s.db.Reachable(); err != nil {
		return sequence.Place{}, err
	}
	noted, err := findOne[listedDoc](ctx, s.db.Collection(conversations), bson.D{{Key: "_id", Value: binary(c)}},
		options.FindOne().SetProjection(bson.D{{Key: lastSeq, Value: 1}, {Key: lastMessageAt, Value: 1}}))
	if err != nil && !errors.Is(err, fault.ErrNotFound) {
		return sequence.Place{}, fmt.Errorf("read the noted last place of %s: %w", c, err)
	}
	last, err := findOne[messageDoc](ctx, s.db.Collection(messages),
		in(c, bson.E{Key: "s", Value: bson.D{{Key: "$gt", Value: noted.LastSeq}}}),
		options.FindOne().SetSort(bson.D{{Key: "s", Value: -1}}).
			SetProjection(bson.D{{Key: "s", Value: 1}, {Key: "created_at", Value: 1}}))
	if errors.Is(err, fault.ErrNotFound) {
		return noted.last(), nil
	}
	if err != nil {
		return sequence.Place{}, fmt.Errorf("read the last place of %s: %w", c, err)
	}
	return sequence.Place{Seq: last.Seq, At: utc(last.CreatedAt)}, nil
}

// HasMessage implements chat.Store.
func (s *Store) HasMessage(ctx context.Context, m id.Message) (bool, error) {
	_, err := findOne[bson.Raw](ctx, s.db.Collection(messages),
		at(m, absent("withdrawn")),
		options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for message %s: %w", m, err)
	}
	return true, nil
}

// History implements chat.Store.
func (s *Store) History(ctx context.Context, c id.Conversation, above, upTo int64, limit int, hidden ...id.Account) ([]sequence.Message, error) {
	docs, err := findAll[messageDoc](ctx, s.db.Collection(messages),
		in(c, shown(hidden, between(above, upTo))...),
		options.Find().SetSort(bson.D{{Key: "s", Value: -1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("read messages of %s: %w", c, err)
	}
	return each(docs, messageDoc.message)
}

// shown leaves out withdrawn messages and those of hidden senders.
func shown(hidden []id.Account, more ...bson.E) bson.D {
	filter := append(more, absent("withdrawn"))
	if len(hidden) > 0 {
		filter = append(filter, bson.E{Key: "sender", Value: bson.D{{Key: "$nin", Value: hidden}}})
	}
	return filter
}
