package mongostore

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/svckit/mongodb"
)

type changeDoc struct {
	Position  int64               `bson:"position"`
	Kind      identity.ChangeKind `bson:"kind"`
	AccountID string              `bson:"account"`
	At        time.Time           `bson:"at"`
	TokenID   string              `bson:"token,omitempty"`
	KeyIDs    []string            `bson:"keys,omitempty"`
	Content   identity.Content    `bson:"content,omitempty"`
	ExpiresAt *time.Time          `bson:"expires_at,omitempty"`
}

// Changes implements identity.Store.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]identity.Change, error) {
	docs, err := findAll[changeDoc](ctx, s.db.Collection(changes),
		bson.D{{Key: "position", Value: bson.D{{Key: "$gt", Value: after}}}},
		options.Find().SetSort(bson.D{{Key: "position", Value: 1}}).SetLimit(int64(limit)))
	found := make([]identity.Change, len(docs))
	for i, d := range docs {
		found[i] = identity.Change{
			Position: d.Position, Kind: d.Kind, AccountID: d.AccountID, At: d.At,
			TokenID: d.TokenID, KeyIDs: d.KeyIDs, Content: d.Content,
		}
	}
	return found, err
}

// PositionAt implements identity.Store.
func (s *Store) PositionAt(ctx context.Context, at time.Time) (int64, error) {
	var first changeDoc
	err := s.db.Collection(changes).FindOne(ctx,
		bson.D{{Key: "at", Value: bson.D{{Key: "$gte", Value: at}}}},
		options.FindOne().SetSort(bson.D{{Key: "position", Value: 1}})).Decode(&first)
	if err == nil {
		return first.Position - 1, nil
	}
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return 0, mongodb.Fault(err)
	}
	return s.Position(ctx)
}

// Position implements identity.Store.
func (s *Store) Position(ctx context.Context) (int64, error) {
	var counter struct {
		Value int64 `bson:"value"`
	}
	err := s.db.Collection(counters).FindOne(ctx, byID(changes)).Decode(&counter)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return 0, nil
	}
	return counter.Value, mongodb.Fault(err)
}
