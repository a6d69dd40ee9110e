package mongostore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/push"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/token"
)

var _ push.TicketStore = (*Store)(nil)

// ticketDoc is what a token says for which a ticket stands; the token itself is
// kept nowhere.
type ticketDoc struct {
	Digest    []byte     `bson:"_id"` // SHA-256 of the ticket
	Account   id.Account `bson:"a"`
	Key       string     `bson:"key"`
	Token     string     `bson:"token"` // its id
	Scopes    []string   `bson:"scopes"`
	IssuedAt  time.Time  `bson:"issued_at"`
	Until     time.Time  `bson:"until"` // of the token
	ExpiresAt time.Time  `bson:"expires_at"`
}

// InsertTicket implements push.TicketStore.
func (s *Store) InsertTicket(ctx context.Context, t push.Ticket) error {
	_, err := s.db.Collection(tickets).InsertOne(ctx, ticketDoc{
		Digest: t.Digest[:], Account: id.Account(t.Claims.Subject), Key: t.Claims.KeyID, Token: t.Claims.ID,
		Scopes: t.Claims.Scopes, IssuedAt: t.Claims.IssuedAt, Until: t.Claims.ExpiresAt, ExpiresAt: t.ExpiresAt,
	})
	return mongodb.Fault(err)
}

// TakeTicket implements push.TicketStore.
func (s *Store) TakeTicket(ctx context.Context, digest [sha256.Size]byte) (push.Ticket, error) {
	doc, err := mongodb.One[ticketDoc](s.db.Collection(tickets).FindOneAndDelete(ctx, bson.D{{Key: "_id", Value: digest[:]}}))
	if errors.Is(err, mongo.ErrNoDocuments) {
		return push.Ticket{}, fault.ErrNotFound
	}
	if err != nil {
		return push.Ticket{}, mongodb.Fault(fmt.Errorf("take a ticket: %w", err))
	}
	return push.Ticket{
		Digest: digest, ExpiresAt: utc(doc.ExpiresAt),
		Claims: token.Claims{
			Subject: string(doc.Account), KeyID: doc.Key, ID: doc.Token, Scopes: doc.Scopes,
			IssuedAt: utc(doc.IssuedAt), ExpiresAt: utc(doc.Until),
		},
	}, nil
}
