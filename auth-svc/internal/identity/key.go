package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/token"
)

const (
	maxExpiryDays     = 3650
	maxOverlapSeconds = 7 * 24 * 3600
)

// NewKey is what a key should be.
type NewKey struct {
	Name          string
	Scopes        []string // nil: token.DefaultScopes
	ExpiresInDays *int     // nil: never
}

// CreateKey makes a key. Its secret is returned this once.
func (s *Service) CreateKey(ctx context.Context, accountID string, n NewKey) (Key, secret.Secret, error) {
	if err := n.validate(); err != nil {
		return Key{}, secret.Secret{}, err
	}
	key, value, err := s.makeKey(accountID)
	if err != nil {
		return Key{}, secret.Secret{}, err
	}
	key.Name, key.Scopes = n.Name, n.scopes()
	if n.ExpiresInDays != nil {
		key.live(time.Duration(*n.ExpiresInDays) * 24 * time.Hour)
	}
	if err := s.deps.Store.InsertKey(ctx, key, s.config.Limits.KeysPerAccount); err != nil {
		return Key{}, secret.Secret{}, fmt.Errorf("create a key of %s: %w", accountID, err)
	}
	s.deps.Audit.InfoContext(ctx, "key created", "account", accountID, "key", key.ID, "scopes", key.Scopes.String())
	return key, value, nil
}

func (n NewKey) validate() error {
	if length := utf8.RuneCountInString(n.Name); length < 1 || length > 100 || strings.TrimSpace(n.Name) == "" {
		return ErrKeyName
	}
	if n.ExpiresInDays != nil && (*n.ExpiresInDays < 1 || *n.ExpiresInDays > maxExpiryDays) {
		return fault.Field("expires_in_days", "must be from 1 to %d", maxExpiryDays)
	}
	return knownScopes("scopes", n.Scopes)
}

func (n NewKey) scopes() token.Scopes {
	if n.Scopes == nil {
		return token.DefaultScopes()
	}
	return inOrder(n.Scopes)
}

// inOrder gives the chosen scopes without repetition, in the order of AllScopes.
func inOrder(chosen token.Scopes) token.Scopes {
	ordered := token.Scopes{}
	for _, scope := range token.AllScopes() {
		if chosen.Has(scope) {
			ordered = append(ordered, scope)
		}
	}
	return ordered
}

func knownScopes(field string, scopes []string) error {
	if scopes != nil && len(scopes) == 0 {
		return fault.Field(field, "must name at least one scope, or be left out for the default ones")
	}
	for _, scope := range scopes {
		if !token.AllScopes().Has(scope) {
			return fault.Field(field, "%q is not a scope; the scopes are %s", scope, token.AllScopes())
		}
	}
	return nil
}

func (s *Service) makeKey(accountID string) (Key, secret.Secret, error) {
	value, err := s.deps.Maker.APIKey()
	if err != nil {
		return Key{}, secret.Secret{}, err
	}
	id, err := s.deps.Maker.KeyID()
	if err != nil {
		return Key{}, secret.Secret{}, err
	}
	return Key{ID: id, AccountID: accountID, Secret: s.deps.Peppers.Hash(value), CreatedAt: s.deps.Now()}, value, nil
}

// live has a key end when it has lived for a time; 0 is without end.
func (k *Key) live(lives time.Duration) {
	k.Lives = lives
	if lives > 0 {
		expires := k.CreatedAt.Add(lives)
		k.ExpiresAt = &expires
	}
}

// Keys lists the keys of an account, newest first: every live one, and the
// newest of those that have ended.
func (s *Service) Keys(ctx context.Context, accountID string) ([]Key, error) {
	keys, err := s.deps.Store.Keys(ctx, accountID, s.deps.Now())
	if err != nil {
		return nil, fmt.Errorf("list the keys of %s: %w", accountID, err)
	}
	return keys, nil
}

// RevokeKey ends a key and every token made from it.
func (s *Service) RevokeKey(ctx context.Context, accountID, keyID string) error {
	if err := s.deps.Store.RevokeKey(ctx, accountID, keyID, s.deps.Now()); err != nil {
		return fmt.Errorf("revoke key %s of %s: %w", keyID, accountID, err)
	}
	s.deps.Audit.InfoContext(ctx, "key revoked", "account", accountID, "key", keyID)
	return nil
}

var errKeyEnded = fault.ErrNotFound.Say("The key has ended; create another.")

// RotateKey makes a key of the same name, scopes and length of life. The old
// one serves for overlapSeconds more (0: ends at once, with its tokens), and
// meanwhile both count towards the quota.
func (s *Service) RotateKey(ctx context.Context, accountID, keyID string, overlapSeconds int) (Key, secret.Secret, error) {
	if overlapSeconds < 0 || overlapSeconds > maxOverlapSeconds {
		return Key{}, secret.Secret{}, fault.Field("overlap_seconds", "must be from 0 to %d", maxOverlapSeconds)
	}
	old, err := s.deps.Store.Key(ctx, accountID, keyID)
	if err != nil {
		return Key{}, secret.Secret{}, fmt.Errorf("rotate key %s of %s: %w", keyID, accountID, err)
	}
	if !old.Live(s.deps.Now()) {
		return Key{}, secret.Secret{}, errKeyEnded
	}
	fresh, value, err := s.makeKey(accountID)
	if err != nil {
		return Key{}, secret.Secret{}, err
	}
	fresh.Name, fresh.Scopes = old.Name, old.Scopes
	fresh.live(old.Lives)
	until := fresh.CreatedAt.Add(time.Duration(overlapSeconds) * time.Second)
	err = s.deps.Store.RotateKey(ctx, old, fresh, until, s.config.Limits.KeysPerAccount)
	if errors.Is(err, fault.ErrNotFound) {
		return Key{}, secret.Secret{}, errKeyEnded
	}
	if err != nil {
		return Key{}, secret.Secret{}, fmt.Errorf("rotate key %s of %s: %w", keyID, accountID, err)
	}
	s.deps.Audit.InfoContext(ctx, "key rotated", "account", accountID, "key", keyID, "fresh", fresh.ID, "overlap_seconds", overlapSeconds)
	return fresh, value, nil
}
