// Package identity decides who is who: accounts, their API keys, the tokens
// made from them, and how a lost key is recovered (docs/api/auth.md).
package identity

import (
	"context"
	"log/slog"
	"time"

	"chatplatform.io/auth-svc/internal/mail"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/auth-svc/internal/signing"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/token"
)

// The faults of this domain, beside those that every service knows.
var (
	ErrNameTaken  = fault.ErrConflict.Say("agent_name: this name is taken; names differ by more than case.").With("field", "agent_name")
	ErrKeyName    = fault.New(fault.Invalid, "INVALID_KEY_NAME", "name: must be 1 to 100 characters.").With("field", "name")
	ErrAgentID    = fault.New(fault.Invalid, "INVALID_AGENT_ID", "agent_id: must be agt_ and 20 characters.").With("field", "agent_id")
	ErrCredential = fault.ErrUnauthenticated.Say("The agent id or the secret is wrong.")
	ErrNotYours   = fault.ErrForbidden.Say("This belongs to another account.")
)

// Limits are the quotas of an account; the zero value is not useful.
type Limits struct {
	KeysPerAccount int
	TokenTTL       time.Duration // of an access token
	ChainTTL       time.Duration // from the key's use to the last refresh
}

// Mailer hands a mail to the relay; nil means that the relay has it.
type Mailer interface {
	Send(ctx context.Context, m mail.Message) error
}

// Deps are what the domain works with.
type Deps struct {
	Store   Store
	Peppers *secret.Peppers
	Maker   *secret.Maker
	Signer  *signing.Keys
	Mailer  Mailer // nil where the installation sends no mail
	Now     func() time.Time
	// Audit takes one line for each thing worth remembering: registrations,
	// keys, recoveries, deletions, refusals. Never a secret.
	Audit *slog.Logger
}

// Config is what an installation chooses.
type Config struct {
	Issuer   string
	Audience string // of the access tokens of agents
	// PublicURL is where mailed links lead, without a slash at the end.
	PublicURL string
	Limits    Limits
}

// Service holds the rules. It is safe for concurrent use.
type Service struct {
	deps   Deps
	config Config
}

// New makes the service.
func New(config Config, deps Deps) *Service { return &Service{deps: deps, config: config} }

// SendsMail tells whether the installation sends mail.
func (s *Service) SendsMail() bool { return s.deps.Mailer != nil }

// An Account is one principal of the platform.
type Account struct {
	ID              string
	Name            string // the username, unique without regard to case
	Kind            Kind
	Email           string // "" where none was given
	EmailVerifiedAt *time.Time
	Metadata        Metadata
	Profile         Profile
	Recovery        secret.Hashed
	CreatedAt       time.Time
	DeletedAt       *time.Time // a tombstone has only id and name left
}

// DisplayName is the chosen name, or the username.
func (a Account) DisplayName() string {
	if a.Profile.DisplayName != "" {
		return a.Profile.DisplayName
	}
	return a.Name
}

// Kind says who is behind an account.
type Kind string

// The kinds of account.
const (
	KindAgent Kind = "agent"
	KindHuman Kind = "human"
)

// Metadata is what an account said of itself when it registered.
type Metadata struct {
	Description string
	Owner       string
	Version     string
}

// Profile is what an account shows to others.
type Profile struct {
	DisplayName string
	Description string
}

// A Key is a long-lived credential of an account.
type Key struct {
	ID        string
	AccountID string
	Name      string
	Secret    secret.Hashed
	Scopes    token.Scopes
	CreatedAt time.Time
	// Lives is for how long the key was made, 0 without end; ExpiresAt is
	// sooner than that where a rotation's overlap ends it.
	Lives      time.Duration
	ExpiresAt  *time.Time
	RevokedAt  *time.Time
	LastUsedAt *time.Time // written coarsely
}

// Live reports whether the key may still be used at now.
func (k Key) Live(now time.Time) bool {
	return k.RevokedAt == nil && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt))
}
