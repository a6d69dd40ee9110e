// Package mongostore keeps accounts, keys and what hangs on them in MongoDB.
// It implements identity.Store, whose comments say what each method promises.
package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

// The collections.
const (
	accounts      = "accounts"
	names         = "names"
	keys          = "keys"
	revokedTokens = "revoked_tokens"
	verifications = "verifications"
	recoveryCodes = "recovery_codes"
	mails         = "mails"
	changes       = "changes"
	counters      = "counters"
)

// changesKept is how long the feed remembers what only caches need; deletions
// of accounts are kept for good.
const changesKept = 7 * 24 * time.Hour

// A Store is identity.Store on one database.
type Store struct {
	db *mongodb.DB
}

var _ identity.Store = (*Store)(nil)

// New uses db, whose schema must be that of Schema.
func New(db *mongodb.DB) *Store { return &Store{db} }

// Schema is what the database holds. Names have a collection of their own,
// keyed by the lower-case name, because a unique index must begin with the
// shard key and accounts are spread by id.
func Schema() mongodb.Schema {
	ttl := func(field string) mongo.IndexModel {
		return mongo.IndexModel{Keys: bson.D{{Key: field, Value: 1}}, Options: options.Index().SetExpireAfterSeconds(0)}
	}
	return mongodb.Schema{
		Service: "auth-svc",
		Version: 1,
		Collections: []mongodb.Collection{
			{Name: accounts, ShardKey: []string{"_id"}},
			{Name: names, ShardKey: []string{"_id"}, Indexes: []mongo.IndexModel{
				{Keys: bson.D{{Key: "name", Value: 1}}},
			}},
			{Name: keys, ShardKey: []string{"account"}, Indexes: []mongo.IndexModel{
				{Keys: bson.D{{Key: "account", Value: 1}, {Key: "hash", Value: 1}}, Options: options.Index().SetUnique(true)},
				{Keys: bson.D{{Key: "account", Value: 1}, {Key: "created_at", Value: -1}}},
			}},
			{Name: revokedTokens, ShardKey: []string{"_id"}, Indexes: []mongo.IndexModel{ttl("expires_at")}},
			{Name: verifications, ShardKey: []string{"_id"}, Indexes: []mongo.IndexModel{
				{Keys: bson.D{{Key: "account", Value: 1}}}, ttl("expires_at"),
			}},
			{Name: recoveryCodes, ShardKey: []string{"_id"}, Indexes: []mongo.IndexModel{ttl("expires_at")}},
			{Name: mails, ShardKey: []string{"_id"}, Indexes: []mongo.IndexModel{
				{Keys: bson.D{{Key: "due", Value: 1}}}, ttl("expires_at"),
			}},
			{Name: changes, ShardKey: []string{"position"}, Indexes: []mongo.IndexModel{
				{Keys: bson.D{{Key: "position", Value: 1}}, Options: options.Index().SetUnique(true)},
				{Keys: bson.D{{Key: "at", Value: 1}}}, ttl("expires_at"),
			}},
			{Name: counters, ShardKey: []string{"_id"}},
		},
	}
}

// findOne decodes the one document of a filter; fault.ErrNotFound without one.
func findOne[T any](ctx context.Context, c *mongo.Collection, filter bson.D) (T, error) {
	doc, err := mongodb.One[T](c.FindOne(ctx, filter))
	return doc, absent(err)
}

// absent makes fault.ErrNotFound of a missing document, and passes other
// errors through mongodb.Fault.
func absent(err error) error {
	if errors.Is(err, mongo.ErrNoDocuments) {
		return fault.ErrNotFound
	}
	return mongodb.Fault(err)
}

// findAll decodes every document of a filter; callers bound the number.
func findAll[T any](ctx context.Context, c *mongo.Collection, filter bson.D, o *options.FindOptionsBuilder) ([]T, error) {
	cursor, err := c.Find(ctx, filter, o)
	if err != nil {
		return nil, mongodb.Fault(err)
	}
	docs, err := mongodb.All[T](ctx, cursor)
	return docs, mongodb.Fault(err)
}

// matched makes fault.ErrNotFound of an update that found nothing.
func matched(result *mongo.UpdateResult, err error) error {
	if err != nil {
		return mongodb.Fault(err)
	}
	if result.MatchedCount == 0 {
		return fault.ErrNotFound
	}
	return nil
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }

func set(fields bson.D) bson.D { return bson.D{{Key: "$set", Value: fields}} }

// appendChange gives a change its position and keeps it. It runs inside the
// transaction of what it tells: the counter makes the order of positions the
// order of commits, so a reader never passes one that is still to come.
func (s *Store) appendChange(ctx context.Context, c identity.Change) error {
	var counter struct {
		Value int64 `bson:"value"`
	}
	err := s.db.Collection(counters).FindOneAndUpdate(ctx, byID(changes),
		bson.D{{Key: "$inc", Value: bson.D{{Key: "value", Value: int64(1)}}}},
		options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&counter)
	if err != nil {
		return fmt.Errorf("take a position in the change feed: %w", err)
	}
	doc := changeDoc{
		Position: counter.Value, Kind: c.Kind, AccountID: c.AccountID, At: c.At,
		TokenID: c.TokenID, KeyIDs: c.KeyIDs, Content: c.Content,
	}
	if c.Kind != identity.ChangeAccountDeleted {
		expires := c.At.Add(changesKept)
		doc.ExpiresAt = &expires
	}
	if _, err := s.db.Collection(changes).InsertOne(ctx, doc); err != nil {
		return fmt.Errorf("append to the change feed: %w", err)
	}
	return nil
}
