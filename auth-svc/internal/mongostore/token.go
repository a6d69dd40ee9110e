package mongostore

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

// RevokeToken implements identity.Store.
func (s *Store) RevokeToken(ctx context.Context, accountID, tokenID string, at, expires time.Time) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		result, err := s.db.Collection(revokedTokens).UpdateOne(ctx, byID(tokenID),
			bson.D{{Key: "$setOnInsert", Value: bson.D{{Key: "expires_at", Value: expires}}}},
			options.UpdateOne().SetUpsert(true))
		if err != nil || result.UpsertedCount == 0 {
			return mongodb.Fault(err)
		}
		return s.appendChange(ctx, identity.Change{
			Kind: identity.ChangeTokenRevoked, AccountID: accountID, At: at, TokenID: tokenID,
		})
	})
}

// TokenRevoked implements identity.Store.
func (s *Store) TokenRevoked(ctx context.Context, tokenID string) (bool, error) {
	_, err := findOne[bson.Raw](ctx, s.db.Collection(revokedTokens), byID(tokenID))
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
