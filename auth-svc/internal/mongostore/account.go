package mongostore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/mongodb"
)

type accountDoc struct {
	ID              string        `bson:"_id"`
	Name            string        `bson:"name"`
	Kind            identity.Kind `bson:"kind"`
	Email           string        `bson:"email,omitempty"`
	EmailVerifiedAt *time.Time    `bson:"email_verified_at,omitempty"`
	Description     string        `bson:"description,omitempty"`
	Owner           string        `bson:"owner,omitempty"`
	Version         string        `bson:"version,omitempty"`
	DisplayName     string        `bson:"display_name,omitempty"`
	About           string        `bson:"about,omitempty"`
	Recovery        hashedDoc     `bson:"recovery"`
	CreatedAt       time.Time     `bson:"created_at"`
	DeletedAt       *time.Time    `bson:"deleted_at,omitempty"`
}

// nameDoc holds a name for its account for good. Kind and Deleted let a list of
// accounts be one walk over names.
type nameDoc struct {
	Lower   string        `bson:"_id"`
	Name    string        `bson:"name"` // the lower-case name again: engines seek ranges badly by _id
	Account string        `bson:"account"`
	Kind    identity.Kind `bson:"kind"`
	Deleted bool          `bson:"deleted,omitempty"`
}

type hashedDoc struct {
	Hash   []byte `bson:"hash"`
	Pepper int    `bson:"pepper"`
}

func hashedOf(h secret.Hashed) hashedDoc { return hashedDoc{Hash: h.Hash, Pepper: h.Version} }

func (d hashedDoc) hashed() secret.Hashed { return secret.Hashed{Hash: d.Hash, Version: d.Pepper} }

func (d accountDoc) account() identity.Account {
	return identity.Account{
		ID: d.ID, Name: d.Name, Kind: d.Kind, Email: d.Email, EmailVerifiedAt: d.EmailVerifiedAt,
		Metadata:  identity.Metadata{Description: d.Description, Owner: d.Owner, Version: d.Version},
		Profile:   identity.Profile{DisplayName: d.DisplayName, Description: d.About},
		Recovery:  d.Recovery.hashed(),
		CreatedAt: d.CreatedAt, DeletedAt: d.DeletedAt,
	}
}

// InsertAccount implements identity.Store.
func (s *Store) InsertAccount(ctx context.Context, a identity.Account) error {
	err := s.db.Transact(ctx, func(ctx context.Context) error {
		lower := strings.ToLower(a.Name)
		_, err := s.db.Collection(names).InsertOne(ctx, nameDoc{Lower: lower, Name: lower, Account: a.ID, Kind: a.Kind})
		if err != nil {
			return err
		}
		_, err = s.db.Collection(accounts).InsertOne(ctx, accountDoc{
			ID: a.ID, Name: a.Name, Kind: a.Kind, Email: a.Email,
			Description: a.Metadata.Description, Owner: a.Metadata.Owner, Version: a.Metadata.Version,
			About: a.Profile.Description, Recovery: hashedOf(a.Recovery), CreatedAt: a.CreatedAt,
		})
		return err
	})
	if mongo.IsDuplicateKeyError(err) {
		return identity.ErrNameTaken
	}
	return err
}

// Account implements identity.Store.
func (s *Store) Account(ctx context.Context, id string) (identity.Account, error) {
	doc, err := findOne[accountDoc](ctx, s.db.Collection(accounts), byID(id))
	return doc.account(), err
}

// AccountByName implements identity.Store.
func (s *Store) AccountByName(ctx context.Context, name string) (identity.Account, error) {
	doc, err := findOne[nameDoc](ctx, s.db.Collection(names), byID(strings.ToLower(name)))
	if err != nil {
		return identity.Account{}, err
	}
	return s.Account(ctx, doc.Account)
}

// Accounts implements identity.Store.
func (s *Store) Accounts(ctx context.Context, ids, byName []string) ([]identity.Account, error) {
	if len(byName) > 0 {
		lower := make([]string, len(byName))
		for i, name := range byName {
			lower[i] = strings.ToLower(name)
		}
		found, err := findAll[nameDoc](ctx, s.db.Collection(names), among("_id", lower), options.Find())
		if err != nil {
			return nil, err
		}
		for _, doc := range found {
			ids = append(ids, doc.Account)
		}
	}
	return s.accountsByID(ctx, ids)
}

func (s *Store) accountsByID(ctx context.Context, ids []string) ([]identity.Account, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	docs, err := findAll[accountDoc](ctx, s.db.Collection(accounts), among("_id", ids), options.Find())
	found := make([]identity.Account, len(docs))
	for i, doc := range docs {
		found[i] = doc.account()
	}
	return found, err
}

func among[T any](field string, values []T) bson.D {
	return bson.D{{Key: field, Value: bson.D{{Key: "$in", Value: values}}}}
}

// ListAccounts implements identity.Store.
func (s *Store) ListAccounts(ctx context.Context, kind identity.Kind, after string, limit int) ([]identity.Account, error) {
	filter := bson.D{
		{Key: "name", Value: bson.D{{Key: "$gt", Value: strings.ToLower(after)}}},
		{Key: "deleted", Value: bson.D{{Key: "$ne", Value: true}}},
	}
	if kind != "" {
		filter = append(filter, bson.E{Key: "kind", Value: kind})
	}
	page, err := findAll[nameDoc](ctx, s.db.Collection(names), filter,
		options.Find().SetSort(bson.D{{Key: "name", Value: 1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(page))
	for i, doc := range page {
		ids[i] = doc.Account
	}
	found, err := s.accountsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	byAccount := make(map[string]identity.Account, len(found))
	for _, a := range found {
		byAccount[a.ID] = a
	}
	listed := make([]identity.Account, 0, len(ids))
	for _, id := range ids {
		listed = append(listed, byAccount[id])
	}
	return listed, nil
}

// living finds an account that is not deleted.
func living(id string) bson.D {
	return bson.D{{Key: "_id", Value: id}, {Key: "deleted_at", Value: nil}}
}

// UpdateProfile implements identity.Store.
func (s *Store) UpdateProfile(ctx context.Context, id string, p identity.ProfilePatch, at time.Time) (identity.Account, error) {
	fields := bson.D{{Key: "updated_at", Value: at}}
	if p.DisplayName != nil {
		fields = append(fields, bson.E{Key: "display_name", Value: *p.DisplayName})
	}
	if p.Description != nil {
		fields = append(fields, bson.E{Key: "about", Value: *p.Description})
	}
	var doc accountDoc
	err := s.db.Transact(ctx, func(ctx context.Context) error {
		err := s.db.Collection(accounts).FindOneAndUpdate(ctx, living(id), set(fields),
			options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&doc)
		if err != nil {
			return absent(err)
		}
		return s.appendChange(ctx, identity.Change{Kind: identity.ChangeAccountUpdated, AccountID: id, At: at})
	})
	return doc.account(), err
}

// ReplaceRecovery implements identity.Store.
func (s *Store) ReplaceRecovery(
	ctx context.Context, id string, old, fresh secret.Hashed, revokeKeys bool, at time.Time,
) error {
	filter := append(living(id), bson.E{Key: "recovery.hash", Value: old.Hash})
	return s.db.Transact(ctx, func(ctx context.Context) error {
		err := matched(s.db.Collection(accounts).UpdateOne(ctx, filter,
			set(bson.D{{Key: "recovery", Value: hashedOf(fresh)}})))
		if err != nil || !revokeKeys {
			return err
		}
		return s.revokeAll(ctx, id, at)
	})
}

// DeleteAccount implements identity.Store.
func (s *Store) DeleteAccount(ctx context.Context, id string, content identity.Content, at time.Time) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		var old accountDoc
		err := s.db.Collection(accounts).FindOneAndUpdate(ctx, living(id), bson.D{
			{Key: "$set", Value: bson.D{{Key: "deleted_at", Value: at}, {Key: "content", Value: content}}},
			{Key: "$unset", Value: forgotten()},
		}).Decode(&old)
		if err != nil {
			return absent(err)
		}
		err = errors.Join(
			matched(s.db.Collection(names).UpdateOne(ctx, byID(strings.ToLower(old.Name)),
				set(bson.D{{Key: "deleted", Value: true}}))),
			s.revokeAll(ctx, id, at),
		)
		if err != nil {
			return err
		}
		return s.appendChange(ctx, identity.Change{
			Kind: identity.ChangeAccountDeleted, AccountID: id, At: at, Content: content,
		})
	})
}

// forgotten are the fields that a tombstone does not keep.
func forgotten() bson.D {
	fields := bson.D{}
	for _, name := range []string{
		"email", "email_verified_at", "description", "owner", "version", "display_name", "about", "recovery",
	} {
		fields = append(fields, bson.E{Key: name, Value: ""})
	}
	return fields
}

// keysPerChange bounds the ids that one change names, so that a full page of
// changes stays far below what its readers take.
const keysPerChange = 100

// outlived is longer than a token is taken after the end of its key: what
// ended earlier need not be revoked.
const outlived = time.Hour

// revokeAll ends every live key of an account, inside a transaction.
func (s *Store) revokeAll(ctx context.Context, id string, at time.Time) error {
	live := liveKeys(id, at.Add(-outlived))
	docs, err := findAll[keyDoc](ctx, s.db.Collection(keys), live, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil || len(docs) == 0 {
		return err
	}
	_, err = s.db.Collection(keys).UpdateMany(ctx, live, set(bson.D{{Key: "revoked_at", Value: at}}))
	if err != nil {
		return mongodb.Fault(err)
	}
	for part := range slices.Chunk(docs, keysPerChange) {
		ended := make([]string, len(part))
		for i, doc := range part {
			ended[i] = doc.ID
		}
		err := s.appendChange(ctx, identity.Change{Kind: identity.ChangeKeysRevoked, AccountID: id, At: at, KeyIDs: ended})
		if err != nil {
			return err
		}
	}
	return nil
}
