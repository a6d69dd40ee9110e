package mongostore

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

// verificationDoc is found by the hash of the link's token.
type verificationDoc struct {
	Hash      []byte    `bson:"_id"`
	Pepper    int       `bson:"pepper"`
	Account   string    `bson:"account"`
	Email     string    `bson:"email"`
	ExpiresAt time.Time `bson:"expires_at"`
}

// codeDoc is found by its account.
type codeDoc struct {
	Account   string    `bson:"_id"`
	Secret    hashedDoc `bson:"secret"`
	Email     string    `bson:"email"`
	Sent      bool      `bson:"sent,omitempty"` // the relay has the mail
	ExpiresAt time.Time `bson:"expires_at"`
}

type mailDoc struct {
	ID        string           `bson:"_id"` // account and purpose
	Account   string           `bson:"account"`
	Purpose   identity.Purpose `bson:"purpose"`
	Attempts  int              `bson:"attempts"`
	Due       time.Time        `bson:"due"`
	ExpiresAt time.Time        `bson:"expires_at"`
}

// InsertLink implements identity.Store.
func (s *Store) InsertLink(ctx context.Context, p identity.Proof) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		_, err := s.db.Collection(verifications).DeleteMany(ctx, bson.D{{Key: "account", Value: p.AccountID}})
		if err != nil {
			return mongodb.Fault(err)
		}
		_, err = s.db.Collection(verifications).InsertOne(ctx, verificationDoc{
			Hash: p.Secret.Hash, Pepper: p.Secret.Version, Account: p.AccountID, Email: p.Email, ExpiresAt: p.ExpiresAt,
		})
		return mongodb.Fault(err)
	})
}

// VerifyEmail implements identity.Store.
func (s *Store) VerifyEmail(ctx context.Context, hashes []secret.Hashed, at time.Time) (string, error) {
	candidates := make([][]byte, len(hashes))
	for i, h := range hashes {
		candidates[i] = h.Hash
	}
	var link verificationDoc
	err := s.db.Transact(ctx, func(ctx context.Context) error {
		err := s.db.Collection(verifications).FindOneAndDelete(ctx,
			append(among("_id", candidates), unexpired(at))).Decode(&link)
		if err != nil {
			return absent(err)
		}
		return matched(s.db.Collection(accounts).UpdateOne(ctx,
			append(living(link.Account), bson.E{Key: "email", Value: link.Email}),
			set(bson.D{{Key: "email_verified_at", Value: at}})))
	})
	return link.Account, err
}

// unexpired is the part of a filter that leaves out what has ended.
func unexpired(at time.Time) bson.E {
	return bson.E{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: at}}}
}

// InsertCode implements identity.Store.
func (s *Store) InsertCode(ctx context.Context, p identity.Proof, now time.Time) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		old, err := findOne[codeDoc](ctx, s.db.Collection(recoveryCodes), byID(p.AccountID))
		if err != nil && !errors.Is(err, fault.ErrNotFound) {
			return err
		}
		if old.Sent && old.ExpiresAt.After(now) {
			return fault.ErrConflict
		}
		_, err = s.db.Collection(recoveryCodes).ReplaceOne(ctx, byID(p.AccountID), codeDoc{
			Account: p.AccountID, Secret: hashedOf(p.Secret), Email: p.Email, ExpiresAt: p.ExpiresAt,
		}, options.Replace().SetUpsert(true))
		return mongodb.Fault(err)
	})
}

// codeOf is the filter of an account's code, if it is still this one.
func codeOf(accountID string, code secret.Hashed) bson.D {
	return append(byID(accountID), bson.E{Key: "secret.hash", Value: code.Hash})
}

// CodeSent implements identity.Store. A code that was used meanwhile needs no
// note.
func (s *Store) CodeSent(ctx context.Context, accountID string, code secret.Hashed) error {
	_, err := s.db.Collection(recoveryCodes).UpdateOne(ctx, codeOf(accountID, code), set(bson.D{{Key: "sent", Value: true}}))
	return mongodb.Fault(err)
}

// Code implements identity.Store.
func (s *Store) Code(ctx context.Context, accountID string, now time.Time) (identity.Proof, error) {
	doc, err := findOne[codeDoc](ctx, s.db.Collection(recoveryCodes), append(byID(accountID), unexpired(now)))
	return identity.Proof{
		AccountID: doc.Account, Email: doc.Email, Secret: doc.Secret.hashed(), ExpiresAt: doc.ExpiresAt,
	}, err
}

// Recover implements identity.Store.
func (s *Store) Recover(ctx context.Context, accountID string, code, fresh secret.Hashed, at time.Time) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		result, err := s.db.Collection(recoveryCodes).DeleteOne(ctx, append(codeOf(accountID, code), unexpired(at)))
		if err != nil {
			return mongodb.Fault(err)
		}
		if result.DeletedCount == 0 {
			return fault.ErrNotFound
		}
		err = matched(s.db.Collection(accounts).UpdateOne(ctx, living(accountID),
			set(bson.D{{Key: "recovery", Value: hashedOf(fresh)}})))
		if err != nil {
			return err
		}
		return s.revokeAll(ctx, accountID, at)
	})
}

func mailID(m identity.MailJob) string { return m.AccountID + ":" + string(m.Purpose) }

// QueueMail implements identity.Store.
func (s *Store) QueueMail(ctx context.Context, m identity.MailJob) error {
	_, err := s.db.Collection(mails).ReplaceOne(ctx, byID(mailID(m)), mailDoc{
		ID: mailID(m), Account: m.AccountID, Purpose: m.Purpose, Attempts: m.Attempts, Due: m.Due, ExpiresAt: m.ExpiresAt,
	}, options.Replace().SetUpsert(true))
	return mongodb.Fault(err)
}

// QueueMailOnce implements identity.Store.
func (s *Store) QueueMailOnce(ctx context.Context, m identity.MailJob, now time.Time) error {
	// What was given up waits only for the database to remove it.
	_, err := s.db.Collection(mails).DeleteOne(ctx, append(byID(mailID(m)),
		bson.E{Key: "expires_at", Value: bson.D{{Key: "$lte", Value: now}}}))
	if err != nil {
		return mongodb.Fault(err)
	}
	_, err = s.db.Collection(mails).UpdateOne(ctx, byID(mailID(m)), bson.D{{Key: "$setOnInsert", Value: bson.D{
		{Key: "account", Value: m.AccountID}, {Key: "purpose", Value: m.Purpose}, {Key: "attempts", Value: m.Attempts},
		{Key: "due", Value: m.Due}, {Key: "expires_at", Value: m.ExpiresAt},
	}}}, options.UpdateOne().SetUpsert(true))
	return mongodb.Fault(err)
}

// LeaseMail implements identity.Store.
func (s *Store) LeaseMail(ctx context.Context, now, until time.Time) (identity.MailJob, error) {
	var doc mailDoc
	err := s.db.Collection(mails).FindOneAndUpdate(ctx,
		bson.D{{Key: "due", Value: bson.D{{Key: "$lte", Value: now}}}, unexpired(now)},
		bson.D{
			{Key: "$set", Value: bson.D{{Key: "due", Value: until}}},
			{Key: "$inc", Value: bson.D{{Key: "attempts", Value: 1}}},
		},
		options.FindOneAndUpdate().SetSort(bson.D{{Key: "due", Value: 1}}).SetReturnDocument(options.After)).Decode(&doc)
	return identity.MailJob{
		AccountID: doc.Account, Purpose: doc.Purpose, Attempts: doc.Attempts, Due: doc.Due, ExpiresAt: doc.ExpiresAt,
	}, absent(err)
}

// leased is the filter of a job that is still as it was leased: one that was
// replaced meanwhile belongs to nobody yet.
func leased(m identity.MailJob) bson.D {
	return append(byID(mailID(m)), bson.E{Key: "due", Value: m.Due})
}

// PutOffMail implements identity.Store.
func (s *Store) PutOffMail(ctx context.Context, m identity.MailJob, due time.Time) error {
	_, err := s.db.Collection(mails).UpdateOne(ctx, leased(m), set(bson.D{{Key: "due", Value: due}}))
	return mongodb.Fault(err)
}

// DropMail implements identity.Store.
func (s *Store) DropMail(ctx context.Context, m identity.MailJob) error {
	_, err := s.db.Collection(mails).DeleteOne(ctx, leased(m))
	return mongodb.Fault(err)
}
