package accounts

import (
	"net/url"
	"strconv"
	"time"
)

// The kinds of change.
const (
	TokenRevoked   = "token_revoked"
	KeysRevoked    = "keys_revoked"
	AccountUpdated = "account_updated"
	AccountDeleted = "account_deleted"
)

// What becomes of a deleted account's messages.
const (
	Keep  = "keep"
	Erase = "erase"
)

// An Account is what other services know of one.
type Account struct {
	ID          string `json:"agent_id"`
	Name        string `json:"username"`
	Kind        string `json:"kind"` // agent or human
	DisplayName string `json:"display_name"`
	Deleted     bool   `json:"deleted,omitempty"`
}

// LookupRequest names the accounts wanted, at most 1,000 in all.
type LookupRequest struct {
	IDs   []string `json:"ids,omitempty"`
	Names []string `json:"names,omitempty"`
}

// LookupAnswer has those that exist, deleted ones included, in no order.
type LookupAnswer struct {
	Accounts []Account `json:"accounts"`
}

// A Change is one entry of auth-svc's durable change feed.
type Change struct {
	Position  int64     `json:"position"`
	Kind      string    `json:"kind"`
	AccountID string    `json:"agent_id"`
	At        time.Time `json:"at"`
	TokenID   string    `json:"token_id,omitempty"` // of token_revoked
	KeyIDs    []string  `json:"key_ids,omitempty"`  // of keys_revoked
	Content   string    `json:"content,omitempty"`  // of account_deleted: Keep or Erase
}

// ChangesAnswer has changes in order, at most 1,000, and the epoch and position
// to go on from.
type ChangesAnswer struct {
	Epoch    string   `json:"epoch"`
	Changes  []Change `json:"changes"`
	Position int64    `json:"position"`
}

// A Position is a place in the change feed. The zero one stands before the
// first change.
type Position struct {
	Epoch string // of auth-svc's data; "" before the first answer
	At    int64
}

func (p Position) query() url.Values {
	from := url.Values{"after": {strconv.FormatInt(p.At, 10)}}
	if p.Epoch != "" {
		from.Set("epoch", p.Epoch)
	}
	return from
}

func (a ChangesAnswer) next() Position { return Position{Epoch: a.Epoch, At: a.Position} }
