package mongostore

import (
	"context"
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
	Attempts  int       `bson:"attempts"`
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

// InsertProof implements identity.Store.
func (s *Store) InsertProof(ctx context.Context, p identity.Proof) error {
	if p.Purpose == identity.PurposeRecover {
		_, err := s.db.Collection(recoveryCodes).ReplaceOne(ctx, byID(p.AccountID), codeDoc{
			Account: p.AccountID, Secret: hashedOf(p.Secret), Email: p.Email, ExpiresAt: p.ExpiresAt,
		}, options.Replace().SetUpsert(true))
		return mongodb.Fault(err)
	}
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

// TakeVerification implements identity.Store.
func (s *Store) TakeVerification(ctx context.Context, hashes []secret.Hashed, now time.Time) (identity.Proof, error) {
	candidates := make([][]byte, len(hashes))
	for i, h := range hashes {
		candidates[i] = h.Hash
	}
	var doc verificationDoc
	err := s.db.Collection(verifications).FindOneAndDelete(ctx,
		append(among("_id", candidates), unexpired(now))).Decode(&doc)
	return identity.Proof{
		Purpose: identity.PurposeVerify, AccountID: doc.Account, Email: doc.Email,
		Secret: secret.Hashed{Hash: doc.Hash, Version: doc.Pepper}, ExpiresAt: doc.ExpiresAt,
	}, absent(err)
}

// unexpired is the part of a filter that leaves out what has ended.
func unexpired(at time.Time) bson.E {
	return bson.E{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: at}}}
}

// TryRecovery implements identity.Store.
func (s *Store) TryRecovery(ctx context.Context, accountID string, now time.Time, most int) (identity.Proof, error) {
	var doc codeDoc
	err := s.db.Collection(recoveryCodes).FindOneAndUpdate(ctx,
		append(byID(accountID), unexpired(now), bson.E{Key: "attempts", Value: bson.D{{Key: "$lt", Value: most}}}),
		bson.D{{Key: "$inc", Value: bson.D{{Key: "attempts", Value: 1}}}}).Decode(&doc)
	return identity.Proof{
		Purpose: identity.PurposeRecover, AccountID: doc.Account, Email: doc.Email,
		Secret: doc.Secret.hashed(), ExpiresAt: doc.ExpiresAt,
	}, absent(err)
}

// DropRecovery implements identity.Store.
func (s *Store) DropRecovery(ctx context.Context, accountID string, hash secret.Hashed) error {
	result, err := s.db.Collection(recoveryCodes).DeleteOne(ctx,
		append(byID(accountID), bson.E{Key: "secret.hash", Value: hash.Hash}))
	if err == nil && result.DeletedCount == 0 {
		return fault.ErrNotFound
	}
	return mongodb.Fault(err)
}

func mailID(m identity.MailJob) string { return m.AccountID + ":" + string(m.Purpose) }

// QueueMail implements identity.Store.
func (s *Store) QueueMail(ctx context.Context, m identity.MailJob) error {
	_, err := s.db.Collection(mails).ReplaceOne(ctx, byID(mailID(m)), mailDoc{
		ID: mailID(m), Account: m.AccountID, Purpose: m.Purpose, Attempts: m.Attempts, Due: m.Due, ExpiresAt: m.ExpiresAt,
	}, options.Replace().SetUpsert(true))
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
