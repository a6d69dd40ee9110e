package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

type claimDoc struct {
	Account      id.Account  `bson:"a"`
	Key          string      `bson:"key"`
	Fingerprint  []byte      `bson:"fingerprint"`
	Conversation bson.Binary `bson:"c"`
	Block        id.Block    `bson:"block,omitempty"` // where the key made a block
	StartedAt    time.Time   `bson:"started_at"`
	Finished     bool        `bson:"finished"`
	Made         bool        `bson:"made"`
	ExpiresAt    time.Time   `bson:"expires_at"`
}

func (d claimDoc) claim() (chat.Claim, error) {
	c, err := conversationOf(d.Conversation)
	claim := chat.Claim{
		Account: d.Account, Key: d.Key, Conversation: c,
		StartedAt: utc(d.StartedAt), Finished: d.Finished, Made: d.Made,
	}
	copy(claim.Fingerprint[:], d.Fingerprint)
	return claim, err
}

func claimed(c chat.Claim, more ...bson.E) bson.D {
	return of(c.Account, append([]bson.E{{Key: "key", Value: c.Key}}, more...)...)
}

// unfinished finds a claim while it is as its holder knows it.
func unfinished(c chat.Claim) bson.D {
	return claimed(c, bson.E{Key: "started_at", Value: c.StartedAt}, bson.E{Key: "finished", Value: false})
}

// InsertClaim implements chat.Store.
func (s *Store) InsertClaim(ctx context.Context, c chat.Claim) (chat.Claim, bool, error) {
	_, err := s.db.Collection(claims).InsertOne(ctx, claimDoc{
		Account: c.Account, Key: c.Key, Fingerprint: c.Fingerprint[:], Conversation: binary(c.Conversation),
		StartedAt: c.StartedAt, ExpiresAt: c.StartedAt.Add(chat.ClaimsKept),
	})
	if err == nil {
		return c, true, nil
	}
	if !mongo.IsDuplicateKeyError(err) {
		return chat.Claim{}, false, mongodb.Fault(fmt.Errorf("insert a claim: %w", err))
	}
	doc, err := findOne[claimDoc](ctx, s.db.Collection(claims), claimed(c))
	if errors.Is(err, fault.ErrNotFound) { // it expired in between
		return chat.Claim{}, false, fault.ErrUnavailable
	}
	if err != nil {
		return chat.Claim{}, false, fmt.Errorf("read a claim: %w", err)
	}
	standing, err := doc.claim()
	return standing, false, err
}

// TakeClaim implements chat.Store.
func (s *Store) TakeClaim(ctx context.Context, was chat.Claim, startedAt time.Time) error {
	result, err := s.db.Collection(claims).UpdateOne(ctx, unfinished(was), set(bson.D{{Key: "started_at", Value: startedAt}}))
	if err != nil {
		return mongodb.Fault(fmt.Errorf("take a claim: %w", err))
	}
	if result.MatchedCount == 0 {
		return fault.ErrConflict
	}
	return nil
}

// FinishClaim implements chat.Store.
func (s *Store) FinishClaim(ctx context.Context, c chat.Claim, made bool) error {
	return s.updateClaim(ctx, claimed(c), bson.D{{Key: "finished", Value: true}, {Key: "made", Value: made}})
}

// ReleaseClaim implements chat.Store.
func (s *Store) ReleaseClaim(ctx context.Context, c chat.Claim) error {
	return s.updateClaim(ctx, unfinished(c), bson.D{{Key: "started_at", Value: time.Time{}}})
}

func (s *Store) updateClaim(ctx context.Context, which, fields bson.D) error {
	if _, err := s.db.Collection(claims).UpdateOne(ctx, which, set(fields)); err != nil {
		return mongodb.Fault(fmt.Errorf("update a claim: %w", err))
	}
	return nil
}

// DropClaim implements chat.Store.
func (s *Store) DropClaim(ctx context.Context, c chat.Claim) error {
	if _, err := s.db.Collection(claims).DeleteOne(ctx, unfinished(c)); err != nil {
		return mongodb.Fault(fmt.Errorf("drop a claim: %w", err))
	}
	return nil
}

func set(fields bson.D) bson.D { return bson.D{{Key: "$set", Value: fields}} }
