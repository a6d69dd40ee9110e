package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/departure"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

var _ departure.Store = (*Store)(nil)

type departureDoc struct {
	Account id.Account  `bson:"_id"`
	Erase   bool        `bson:"erase,omitempty"`
	Heard   time.Time   `bson:"heard_at"`
	Looks   int         `bson:"looks"`
	Due     time.Time   `bson:"due"`
	Left    bool        `bson:"left"`
	Behind  bson.Binary `bson:"behind"`
	UpTo    int64       `bson:"up_to"`
}

func departureDocOf(d departure.Departure) departureDoc {
	return departureDoc{Account: d.Account, Erase: d.Erase, Heard: d.Heard, Looks: d.Looks, Due: d.Due, Left: d.Left, Behind: binary(d.Behind), UpTo: d.UpTo}
}

func (d departureDoc) departure() (departure.Departure, error) {
	behind, err := conversationOf(d.Behind)
	return departure.Departure{
		Account: d.Account, Erase: d.Erase, Heard: utc(d.Heard), Looks: d.Looks, Due: utc(d.Due), Left: d.Left, Behind: behind, UpTo: d.UpTo,
	}, err
}

// heardID is the document of the collection feed that tells how far auth-svc's
// change feed was read.
const heardID = "accounts"

type heardDoc struct {
	Epoch string `bson:"epoch"`
	At    int64  `bson:"at"`
}

// Heard implements departure.Store.
func (s *Store) Heard(ctx context.Context) (accounts.Position, error) {
	doc, err := findOne[heardDoc](ctx, s.db.Collection(feed), bson.D{{Key: "_id", Value: heardID}},
		options.FindOne().SetComment(beside))
	if errors.Is(err, fault.ErrNotFound) {
		return accounts.Position{}, nil
	}
	if err != nil {
		return accounts.Position{}, fmt.Errorf("read how far auth-svc was heard: %w", err)
	}
	return accounts.Position{Epoch: doc.Epoch, At: doc.At}, nil
}

// Hear implements departure.Store.
func (s *Store) Hear(ctx context.Context, deleted []departure.Departure, upTo accounts.Position) error {
	if len(deleted) > 0 {
		inserts := make([]mongo.WriteModel, len(deleted))
		for i, d := range deleted {
			inserts[i] = mongo.NewUpdateOneModel().SetUpsert(true).SetFilter(bson.D{{Key: "_id", Value: d.Account}}).
				SetUpdate(bson.D{{Key: "$setOnInsert", Value: withoutID(departureDocOf(d))}})
		}
		if _, err := s.db.Collection(departures).BulkWrite(ctx, inserts, options.BulkWrite().SetOrdered(false)); err != nil {
			return mongodb.Fault(fmt.Errorf("note %d deleted accounts: %w", len(deleted), err))
		}
	}
	_, err := s.db.Collection(feed).UpdateOne(ctx, bson.D{{Key: "_id", Value: heardID}},
		set(bson.D{{Key: "epoch", Value: upTo.Epoch}, {Key: "at", Value: upTo.At}}),
		options.UpdateOne().SetUpsert(true).SetComment(beside))
	if err != nil {
		return mongodb.Fault(fmt.Errorf("note how far auth-svc was heard: %w", err))
	}
	return nil
}

// withoutID are the fields of a departure but the one by which it is found.
func withoutID(d departureDoc) bson.D {
	return bson.D{
		{Key: "erase", Value: d.Erase}, {Key: "heard_at", Value: d.Heard}, {Key: "looks", Value: d.Looks},
		{Key: "due", Value: d.Due}, {Key: "left", Value: d.Left}, {Key: "behind", Value: d.Behind}, {Key: "up_to", Value: d.UpTo},
	}
}

// Due implements departure.Store. It is no hot query: it asks every shard.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]departure.Departure, error) {
	docs, err := findAll[departureDoc](ctx, s.db.Collection(departures),
		bson.D{{Key: "due", Value: bson.D{{Key: "$lte", Value: now}}}},
		options.Find().SetSort(ascending("due")).SetLimit(int64(limit)).SetComment(beside))
	if err != nil {
		return nil, fmt.Errorf("find deleted accounts: %w", err)
	}
	return each(docs, departureDoc.departure)
}

// SaveDeparture implements departure.Store.
func (s *Store) SaveDeparture(ctx context.Context, d departure.Departure) error {
	_, err := s.db.Collection(departures).UpdateOne(ctx, bson.D{{Key: "_id", Value: d.Account}}, set(withoutID(departureDocOf(d))))
	if err != nil {
		return mongodb.Fault(fmt.Errorf("note how far %s has departed: %w", d.Account, err))
	}
	return nil
}

// EndDeparture implements departure.Store.
func (s *Store) EndDeparture(ctx context.Context, a id.Account) error {
	if _, err := s.db.Collection(formers).DeleteMany(ctx, of(a)); err != nil {
		return mongodb.Fault(fmt.Errorf("forget what %s was a member of: %w", a, err))
	}
	if _, err := s.db.Collection(departures).DeleteOne(ctx, bson.D{{Key: "_id", Value: a}}); err != nil {
		return mongodb.Fault(fmt.Errorf("end the departure of %s: %w", a, err))
	}
	return nil
}
