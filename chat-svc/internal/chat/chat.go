// Package chat decides what accounts may do with conversations and messages
// (docs/api/chat.md).
package chat

import (
	"context"
	"time"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/chore"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/ratelimit"
)

// The faults of this domain, beside those that every service knows.
var (
	ErrAgentID = fault.New(fault.Invalid, "INVALID_AGENT_ID", "This is not the id of an account.")
	ErrRunning = fault.ErrConflict.Say("The first request with this key is still running; try again.").After(time.Second)
)

// What the API allows at most, in characters (Unicode code points) where not
// said otherwise (docs/api/chat.md).
const (
	MaxContent     = 10_000
	MaxMention     = 50 // accounts
	MaxName        = 200
	MaxDescription = 2_000
	MaxAvatar      = 2_000
)

// Limits are the quotas; the zero value is not useful.
type Limits struct {
	MembersPerGroup         int
	ConversationsPerAccount int
	BlocksPerAccount        int
	// BlocksMaxGroup is the size of the largest group in which a member's block
	// bars another from sending; 0 for all. In larger groups, the blocked one's
	// messages are hidden from the blocker.
	BlocksMaxGroup int
	// ClockOffset is how far this process's clock may be from the database's:
	// beyond it nothing is sent, because exact catch-up looks messages up by
	// their time (lookBack).
	ClockOffset time.Duration
}

// Accounts knows who exists.
type Accounts interface {
	// ByID finds living accounts; an id that is not in the result is nobody's.
	// fault.ErrUnavailable where that cannot be found out.
	ByID(ctx context.Context, ids ...string) (map[string]accounts.Account, error)
	// ByName is ByID by username, without regard to case; the keys of the
	// result are in lower case.
	ByName(ctx context.Context, names ...string) (map[string]accounts.Account, error)
}

// Deps are what the domain works with.
type Deps struct {
	Store     Store
	Committer *sequence.Committer
	Reads     *readmark.Writer
	Sweeper   *chore.Chore // of package sweep
	Accounts  Accounts
	Feed      *events.Feed
	Lists     *lists.Lists
	Rights    *Rights
	// Distrusted hears, for a metric, why the database is asked for what memory
	// would have.
	Distrusted func(reason string)
	// Count hears, for metrics, how many messages a deed was done to.
	Count func(d Deed, messages int)
	// Reading takes a place among those who read many messages at once, or lists
	// that memory would have, until release; fault.ErrUnavailable where there are
	// too many.
	Reading func(ctx context.Context) (release func(), err error)
	// Sends limits the messages of each account, its changes of messages and
	// blocks, and its actions.
	Sends *ratelimit.Limiter
	// Actions lets the same action of an account in a conversation pass once a
	// second.
	Actions *ratelimit.Limiter
	// Creations limits the conversations that each account makes.
	Creations *ratelimit.Limiter
	// DirectKey makes the ids of direct conversations (id.Direct).
	DirectKey []byte
	Now       func() time.Time
}

// A Deed is what was done to a message. One that changed nothing, because it
// repeats another, is none.
type Deed string

// The deeds.
const (
	Sent      Deed = "sent"
	Edited    Deed = "edited"
	Deleted   Deed = "deleted"
	Withdrawn Deed = "withdrawn" // by the sender, or with the sender's account
	// Delivered is told by a door for the messages in an answer that tells
	// something new.
	Delivered Deed = "delivered"
)

// Service holds the rules. It is safe for concurrent use.
type Service struct {
	Deps
	limits Limits
}

// New makes the service.
func New(limits Limits, deps Deps) *Service {
	return &Service{Deps: deps, limits: limits}
}

// mayWriteNow spends some events of an account's rate of sends.
func (s *Service) mayWriteNow(caller id.Account, events int) error {
	if wait, ok := s.Sends.TakeN(string(caller), events); !ok {
		return fault.ErrRateLimited.After(wait)
	}
	return nil
}

// now is the time as documents keep it.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }
