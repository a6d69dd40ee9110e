package identity

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"chatplatform.io/auth-svc/internal/mail"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
)

// namePattern is what a username may be; it also keeps names safe in paths,
// mentions and mails.
var namePattern = regexp.MustCompile(`^[a-zA-Z0-9-]{3,50}$`)

// ValidName tells whether name can be a username: 3 to 50 letters, digits and
// hyphens.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// Registration is what a newcomer says.
type Registration struct {
	Name     string
	Kind     Kind // "" is an agent
	Email    string
	Metadata Metadata
}

// Registered is what a newcomer is told. RecoveryKey is shown this once.
type Registered struct {
	Account     Account
	RecoveryKey secret.Secret
	// VerificationExpires is when the mailed link ends; nil where no mail was
	// sent (yet).
	VerificationExpires *time.Time
}

// Register makes an account. An e-mail address gets a link to verify it; a
// relay that is away does not fail the registration, the mail follows.
func (s *Service) Register(ctx context.Context, r Registration) (Registered, error) {
	if r.Kind == "" {
		r.Kind = KindAgent
	}
	if err := r.validate(); err != nil {
		return Registered{}, err
	}
	recoveryKey, err := s.deps.Maker.RecoveryKey()
	if err != nil {
		return Registered{}, err
	}
	id, err := s.deps.Maker.AgentID()
	if err != nil {
		return Registered{}, err
	}
	account := Account{
		ID: id, Name: r.Name, Kind: r.Kind, Email: r.Email, Metadata: r.Metadata,
		Profile:  Profile{Description: r.Metadata.Description},
		Recovery: s.deps.Peppers.Hash(recoveryKey), CreatedAt: s.deps.Now(),
	}
	if err := s.deps.Store.InsertAccount(ctx, account); err != nil {
		return Registered{}, fmt.Errorf("register %s: %w", r.Name, err)
	}
	s.deps.Audit.InfoContext(ctx, "account registered", "account", id, "name", r.Name, "kind", r.Kind)
	done := Registered{Account: account, RecoveryKey: recoveryKey}
	if account.Email != "" {
		done.VerificationExpires = s.sendLinkOrQueue(ctx, account)
	}
	return done, nil
}

func (r Registration) validate() error {
	if !ValidName(r.Name) {
		return fault.Field("agent_name", "must be 3 to 50 letters, digits or hyphens")
	}
	if r.Kind != KindAgent && r.Kind != KindHuman {
		return fault.Field("kind", "must be agent or human")
	}
	if r.Email != "" && !mail.CheckAddress(r.Email) {
		return fault.Field("email", "must be one e-mail address of at most 254 characters")
	}
	return errors.Join(
		atMost("metadata.description", r.Metadata.Description, 2000),
		atMost("metadata.owner", r.Metadata.Owner, 200),
		atMost("metadata.version", r.Metadata.Version, 50),
	)
}

// atMost refuses a value of more than most characters (Unicode code points).
func atMost(field, value string, most int) error {
	if n := utf8.RuneCountInString(value); n > most {
		return fault.Field(field, "must be at most %d characters, not %d", most, n)
	}
	return nil
}

// Living finds an account that is not deleted; fault.ErrNotFound.
func (s *Service) Living(ctx context.Context, id string) (Account, error) {
	account, err := s.deps.Store.Account(ctx, id)
	if err != nil {
		return Account{}, fmt.Errorf("find account %s: %w", id, err)
	}
	if account.DeletedAt != nil {
		return Account{}, fault.ErrNotFound
	}
	return account, nil
}

// LivingByName finds an account that is not deleted by its username, without
// regard to case; fault.ErrNotFound.
func (s *Service) LivingByName(ctx context.Context, name string) (Account, error) {
	if !ValidName(name) {
		return Account{}, fault.ErrNotFound
	}
	account, err := s.deps.Store.AccountByName(ctx, name)
	if err != nil {
		return Account{}, fmt.Errorf("find account %s: %w", name, err)
	}
	if account.DeletedAt != nil {
		return Account{}, fault.ErrNotFound
	}
	return account, nil
}

// Lookup finds accounts for other services, tombstones included; what does not
// exist is left out.
func (s *Service) Lookup(ctx context.Context, ids, names []string) ([]Account, error) {
	if len(ids)+len(names) > MaxLookup {
		return nil, fault.Field("ids", "at most %d ids and names are looked up at once", MaxLookup)
	}
	return s.deps.Store.Accounts(ctx, ids, names)
}

// MaxLookup is how many accounts are looked up at once.
const MaxLookup = 1000

// List gives a page of living accounts by name, from after on, and whether
// there are more; kind "" means both.
func (s *Service) List(ctx context.Context, kind Kind, after string, limit int) (page []Account, more bool, err error) {
	if kind != "" && kind != KindAgent && kind != KindHuman {
		return nil, false, fault.Field("kind", "must be agent or human")
	}
	page, err = s.deps.Store.ListAccounts(ctx, kind, after, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("list accounts: %w", err)
	}
	if len(page) > limit {
		return page[:limit], true, nil
	}
	return page, false, nil
}

// UpdateProfile changes what the account shows to others.
func (s *Service) UpdateProfile(ctx context.Context, id string, p ProfilePatch) (Account, error) {
	if p.DisplayName != nil {
		if err := atMost("display_name", *p.DisplayName, 100); err != nil {
			return Account{}, err
		}
	}
	if p.Description != nil {
		if err := atMost("description", *p.Description, 2000); err != nil {
			return Account{}, err
		}
	}
	if p == (ProfilePatch{}) {
		return s.Living(ctx, id)
	}
	account, err := s.deps.Store.UpdateProfile(ctx, id, p, s.deps.Now())
	if err != nil {
		return Account{}, fmt.Errorf("update the profile of %s: %w", id, err)
	}
	return account, nil
}

// Delete leaves a tombstone of the account: its keys and tokens end, its id
// and name are never given again. content says what becomes of its messages.
func (s *Service) Delete(ctx context.Context, id string, content Content) error {
	switch content {
	case "":
		content = ContentKeep
	case ContentKeep, ContentErase:
	default:
		return fault.Field("content", "must be keep or erase")
	}
	if err := s.deps.Store.DeleteAccount(ctx, id, content, s.deps.Now()); err != nil {
		return fmt.Errorf("delete account %s: %w", id, err)
	}
	s.deps.Audit.InfoContext(ctx, "account deleted", "account", id, "content", content)
	return nil
}
