package mongostore

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

type keyDoc struct {
	ID         string     `bson:"_id"`
	Account    string     `bson:"account"`
	Name       string     `bson:"name"`
	Hash       []byte     `bson:"hash"`
	Pepper     int        `bson:"pepper"`
	Scopes     []string   `bson:"scopes"`
	CreatedAt  time.Time  `bson:"created_at"`
	LivesMS    int64      `bson:"lives_ms,omitempty"` // milliseconds; 0: without end
	ExpiresAt  *time.Time `bson:"expires_at,omitempty"`
	RevokedAt  *time.Time `bson:"revoked_at,omitempty"`
	LastUsedAt *time.Time `bson:"last_used_at,omitempty"`
}

func keyDocOf(k identity.Key) keyDoc {
	return keyDoc{
		ID: k.ID, Account: k.AccountID, Name: k.Name, Hash: k.Secret.Hash, Pepper: k.Secret.Version,
		Scopes: k.Scopes, CreatedAt: k.CreatedAt, LivesMS: k.Lives.Milliseconds(), ExpiresAt: k.ExpiresAt,
	}
}

func (d keyDoc) key() identity.Key {
	return identity.Key{
		ID: d.ID, AccountID: d.Account, Name: d.Name, Secret: secret.Hashed{Hash: d.Hash, Version: d.Pepper},
		Scopes: d.Scopes, CreatedAt: d.CreatedAt, Lives: time.Duration(d.LivesMS) * time.Millisecond,
		ExpiresAt: d.ExpiresAt, RevokedAt: d.RevokedAt, LastUsedAt: d.LastUsedAt,
	}
}

// keyOf is the filter of one key; it carries the shard key.
func keyOf(accountID, keyID string) bson.D {
	return bson.D{{Key: "account", Value: accountID}, {Key: "_id", Value: keyID}}
}

// InsertKey implements identity.Store.
func (s *Store) InsertKey(ctx context.Context, k identity.Key, most int) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		if err := s.claimKeys(ctx, k); err != nil {
			return err
		}
		if err := s.withinQuota(ctx, k, most); err != nil {
			return err
		}
		_, err := s.db.Collection(keys).InsertOne(ctx, keyDocOf(k))
		return mongodb.Fault(err)
	})
}

// claimKeys touches the account's document inside a transaction that makes k,
// so that of two that would pass the quota, or meet a deletion, one is tried
// again. fault.ErrNotFound where the account is gone.
func (s *Store) claimKeys(ctx context.Context, k identity.Key) error {
	return matched(s.db.Collection(accounts).UpdateOne(ctx, living(k.AccountID),
		set(bson.D{{Key: "keys_changed_at", Value: k.CreatedAt}, {Key: "keys_changed_by", Value: k.ID}})))
}

// withinQuota is fault.ErrQuota where the account has most live keys without k.
func (s *Store) withinQuota(ctx context.Context, k identity.Key, most int) error {
	live, err := s.db.Collection(keys).CountDocuments(ctx, liveKeys(k.AccountID, k.CreatedAt), options.Count().SetLimit(int64(most)))
	if err != nil {
		return mongodb.Fault(err)
	}
	if live >= int64(most) {
		return fault.ErrQuota.Say("The account has %d live keys, which is the most; revoke one first.", live).With("quota", "keys").With("limit", most)
	}
	return nil
}

// liveKeys finds the keys of an account that are live at an instant.
func liveKeys(accountID string, at time.Time) bson.D {
	return bson.D{
		{Key: "account", Value: accountID},
		{Key: "revoked_at", Value: nil},
		{Key: "$or", Value: bson.A{bson.D{{Key: "expires_at", Value: nil}}, bson.D{unexpired(at)}}},
	}
}

// endedShown bounds how many ended keys of an account are listed.
const endedShown = 500

// Keys implements identity.Store. Live keys are bounded by their quota.
func (s *Store) Keys(ctx context.Context, accountID string, now time.Time) ([]identity.Key, error) {
	newest := bson.D{{Key: "created_at", Value: -1}}
	live, err := findAll[keyDoc](ctx, s.db.Collection(keys), liveKeys(accountID, now), options.Find().SetSort(newest))
	if err != nil {
		return nil, err
	}
	ended, err := findAll[keyDoc](ctx, s.db.Collection(keys), bson.D{
		{Key: "account", Value: accountID},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: "revoked_at", Value: bson.D{{Key: "$ne", Value: nil}}}},
			bson.D{{Key: "expires_at", Value: bson.D{{Key: "$lte", Value: now}}}},
		}},
	}, options.Find().SetSort(newest).SetLimit(endedShown))
	docs := slices.Concat(live, ended)
	slices.SortStableFunc(docs, func(a, b keyDoc) int { return b.CreatedAt.Compare(a.CreatedAt) })
	found := make([]identity.Key, len(docs))
	for i, doc := range docs {
		found[i] = doc.key()
	}
	return found, err
}

// Key implements identity.Store.
func (s *Store) Key(ctx context.Context, accountID, keyID string) (identity.Key, error) {
	doc, err := findOne[keyDoc](ctx, s.db.Collection(keys), keyOf(accountID, keyID))
	return doc.key(), err
}

// KeyBySecret implements identity.Store.
func (s *Store) KeyBySecret(ctx context.Context, accountID string, hashes []secret.Hashed) (identity.Key, error) {
	candidates := make([][]byte, len(hashes))
	for i, h := range hashes {
		candidates[i] = h.Hash
	}
	doc, err := findOne[keyDoc](ctx, s.db.Collection(keys),
		append(bson.D{{Key: "account", Value: accountID}}, among("hash", candidates)...))
	return doc.key(), err
}

// RevokeKey implements identity.Store.
func (s *Store) RevokeKey(ctx context.Context, accountID, keyID string, at time.Time) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		doc, err := findOne[keyDoc](ctx, s.db.Collection(keys), keyOf(accountID, keyID))
		if err != nil || doc.RevokedAt != nil {
			return err
		}
		return s.revokeOne(ctx, accountID, keyID, at)
	})
}

// revokeOne ends a key, inside a transaction that has read it.
func (s *Store) revokeOne(ctx context.Context, accountID, keyID string, at time.Time) error {
	err := matched(s.db.Collection(keys).UpdateOne(ctx, keyOf(accountID, keyID), set(bson.D{{Key: "revoked_at", Value: at}})))
	if err != nil {
		return err
	}
	return s.appendChange(ctx, identity.Change{
		Kind: identity.ChangeKeysRevoked, AccountID: accountID, At: at, KeyIDs: []string{keyID},
	})
}

// RotateKey implements identity.Store.
func (s *Store) RotateKey(ctx context.Context, old, fresh identity.Key, until time.Time, most int) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		if err := s.claimKeys(ctx, fresh); err != nil {
			return err
		}
		if until.After(fresh.CreatedAt) { // two keys in place of one
			if err := s.withinQuota(ctx, fresh, most); err != nil {
				return err
			}
		}
		if err := s.endKey(ctx, keyOf(old.AccountID, old.ID), fresh.CreatedAt, until); err != nil {
			return err
		}
		_, err := s.db.Collection(keys).InsertOne(ctx, keyDocOf(fresh))
		return mongodb.Fault(err)
	})
}

// endKey ends a live key at until, and never later than it would have ended
// anyway.
func (s *Store) endKey(ctx context.Context, which bson.D, now, until time.Time) error {
	doc, err := findOne[keyDoc](ctx, s.db.Collection(keys), which)
	switch {
	case err != nil:
		return err
	case !doc.key().Live(now):
		return fault.ErrNotFound
	case !until.After(now):
		return s.revokeOne(ctx, doc.Account, doc.ID, now)
	case doc.ExpiresAt != nil && doc.ExpiresAt.Before(until):
		return nil
	}
	return matched(s.db.Collection(keys).UpdateOne(ctx, which, set(bson.D{{Key: "expires_at", Value: until}})))
}

// TouchKeys implements identity.Store.
func (s *Store) TouchKeys(ctx context.Context, used []identity.KeyUse) error {
	writes := make([]mongo.WriteModel, len(used))
	for i, use := range used {
		writes[i] = mongo.NewUpdateOneModel().
			SetFilter(keyOf(use.AccountID, use.KeyID)).
			SetUpdate(bson.D{{Key: "$max", Value: bson.D{{Key: "last_used_at", Value: use.At}}}})
	}
	_, err := s.db.Collection(keys).BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
	return mongodb.Fault(err)
}
