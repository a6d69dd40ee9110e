package push

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/ratelimit"
	"chatplatform.io/svckit/token"
)

// TicketLife is how long a ticket may be redeemed.
const TicketLife = 30 * time.Second

// A Ticket stands for the token with which it was asked for, once.
type Ticket struct {
	Digest    [sha256.Size]byte // of what the client has
	Claims    token.Claims
	ExpiresAt time.Time
}

// TicketStore keeps tickets until they are redeemed or have expired.
type TicketStore interface {
	InsertTicket(ctx context.Context, t Ticket) error
	// TakeTicket finds a ticket and forgets it: of several callers, on whatever
	// replica, one gets it. fault.ErrNotFound.
	TakeTicket(ctx context.Context, digest [sha256.Size]byte) (Ticket, error)
}

// Tickets let clients connect that cannot send a token in a header, and should
// not have one in an address.
type Tickets struct {
	store  TicketStore
	limits *ratelimit.Limiter
	now    func() time.Time
}

// NewTickets makes tickets, for each account as many as limits allow.
func NewTickets(store TicketStore, limits *ratelimit.Limiter, now func() time.Time) *Tickets {
	return &Tickets{store, limits, now}
}

const ticketPrefix = "tkt_"

// Issue makes a ticket that stands for a token. fault.ErrRateLimited.
func (t *Tickets) Issue(ctx context.Context, claims token.Claims) (secret string, err error) {
	if wait, ok := t.limits.Take(claims.Subject); !ok {
		return "", fault.ErrRateLimited.After(wait)
	}
	secret = ticketPrefix + rand.Text() // 130 bits
	err = t.store.InsertTicket(ctx, Ticket{sha256.Sum256([]byte(secret)), claims, t.now().Add(TicketLife)})
	if err != nil {
		return "", fmt.Errorf("keep a ticket of %s: %w", claims.Subject, err)
	}
	return secret, nil
}

// Redeem gives the claims of the token that a ticket stands for, once.
// fault.ErrUnauthenticated.
func (t *Tickets) Redeem(ctx context.Context, secret string) (*token.Claims, error) {
	found, err := t.store.TakeTicket(ctx, sha256.Sum256([]byte(secret)))
	if errors.Is(err, fault.ErrNotFound) || err == nil && !t.now().Before(found.ExpiresAt) {
		return nil, fault.ErrUnauthenticated.Say("The ticket was used or has expired; ask for another one.")
	}
	if err != nil {
		return nil, fmt.Errorf("redeem a ticket: %w", err)
	}
	return &found.Claims, nil
}
