package accounts

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"chatplatform.io/svckit/token"
)

const (
	// tokenLife is longer than any access token lives: what was revoked
	// earlier need not be known.
	tokenLife   = 20 * time.Minute
	followWait  = 25 * time.Second
	followRetry = time.Second // at most this long until auth-svc is asked again
)

// Follow reads auth-svc's change feed until ctx ends: revocations take effect,
// and accounts that changed are looked up anew. With auth-svc away it keeps
// trying, and Unheard grows.
func (c *Client) Follow(ctx context.Context) {
	from := c.recently()
	silent := false
	for ctx.Err() == nil {
		answer, err := c.changes(ctx, from, followWait)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrPosition):
			c.deps.Logger.Warn("auth-svc's change feed began anew, as after a restored backup; it is read again from some time ago")
			from = c.recently()
			pause(ctx, followRetry)
		case err != nil:
			if !silent {
				c.deps.Logger.Warn("auth-svc's change feed is not heard", "error", err)
			}
			silent = true
			pause(ctx, followRetry)
		default:
			if silent {
				c.deps.Logger.Info("auth-svc's change feed is heard again")
			}
			silent = false
			c.hear()
			c.apply(answer.Changes)
			from = answer.next().query()
		}
	}
}

// recently is where a reader begins that has no position.
func (c *Client) recently() url.Values {
	return url.Values{"since": {c.deps.Now().Add(-tokenLife).UTC().Format(time.RFC3339)}}
}

// hear notes that the feed answered.
func (c *Client) hear() {
	now := c.deps.Now()
	c.heard.Store(&now)
}

// Unheard is how long the change feed has not answered; a quiet feed answers
// every 25 s. While it grows, revocations and changes are not known here.
func (c *Client) Unheard() time.Duration { return c.deps.Now().Sub(*c.heard.Load()) }

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (c *Client) apply(changes []Change) {
	deleted := false
	for _, change := range changes {
		switch change.Kind {
		case TokenRevoked:
			c.revoked.add(change.TokenID)
		case KeysRevoked:
			c.revoked.add(change.KeyIDs...)
		case AccountUpdated:
			c.forget(change.AccountID)
		case AccountDeleted:
			c.forget(change.AccountID)
			c.revoked.add(change.AccountID)
			deleted = true
		}
	}
	if deleted && c.deps.Deleted != nil {
		c.deps.Deleted()
	}
}

// revocationsMax bounds what is remembered. Past it, every token issued before
// now is refused instead: their holders fetch new ones. auth-svc limits how
// much one account ends (docs/api/auth.md, "Access tokens"), so that it takes
// many accounts to get there.
const revocationsMax = 200_000

// revocations remembers ids of tokens, keys and accounts (they never collide)
// for as long as a token of theirs may live.
type revocations struct {
	now func() time.Time

	mu     sync.RWMutex
	ended  map[string]time.Time
	before time.Time // tokens issued before it are refused
}

func newRevocations(now func() time.Time) *revocations {
	return &revocations{now: now, ended: map[string]time.Time{}}
}

func (r *revocations) add(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if len(r.ended)+len(ids) > revocationsMax {
		r.forgetOld(now)
	}
	for _, id := range ids {
		r.ended[id] = now
	}
}

func (r *revocations) forgetOld(now time.Time) {
	for id, at := range r.ended {
		if now.Sub(at) > tokenLife {
			delete(r.ended, id)
		}
	}
	if len(r.ended) > revocationsMax/2 {
		clear(r.ended)
		r.before = now
	}
}

func (r *revocations) has(claims *token.Claims) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if claims.IssuedAt.Before(r.before) {
		return true
	}
	for _, id := range []string{claims.ID, claims.KeyID, claims.Subject} {
		if _, ok := r.ended[id]; ok {
			return true
		}
	}
	return false
}
