package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/token"
)

// signInClient is the client_id of tokens that were made without a key.
const signInClient = "sign-in"

// An AccessToken is a signed token and what its holder is told of it.
type AccessToken struct {
	Value     string
	ExpiresIn time.Duration
	Scopes    token.Scopes
}

// accessClaims are the token's JSON (RFC 9068 §2.2).
type accessClaims struct {
	jwt.RegisteredClaims
	ClientID string           `json:"client_id"`
	Scope    string           `json:"scope"`
	AuthTime *jwt.NumericDate `json:"auth_time"`
}

// Exchange makes a token of a key. requested narrows the key's scopes; nil
// asks for all of them.
func (s *Service) Exchange(key Key, requested []string) (AccessToken, error) {
	scopes := key.Scopes
	if requested != nil {
		if err := knownScopes("scope", requested); err != nil {
			return AccessToken{}, err
		}
		for _, scope := range requested {
			if !key.Scopes.Has(scope) {
				return AccessToken{}, ErrScopeNotGranted.Say("scope: the key does not have the scope %s.", scope)
			}
		}
		scopes = inOrder(requested)
	}
	return s.issue(grant{subject: key.AccountID, client: key.ID, scopes: scopes, since: s.deps.Now(), keyExpires: key.ExpiresAt})
}

// ErrScopeNotGranted is the refusal of a scope that the key does not have;
// "invalid_scope" in RFC 6749's words.
var ErrScopeNotGranted = fault.ErrInvalid.Say("scope: the key does not have this scope.").With("field", "scope")

// SignIn makes a token for a person's account by name alone; local mode only.
func (s *Service) SignIn(ctx context.Context, name string) (AccessToken, Account, error) {
	account, err := s.LivingByName(ctx, name)
	if err != nil {
		return AccessToken{}, Account{}, err
	}
	if account.Kind != KindHuman {
		return AccessToken{}, Account{}, fault.ErrForbidden.Say("Only people sign in; an agent exchanges its API key for a token.")
	}
	made, err := s.issue(grant{subject: account.ID, client: signInClient, scopes: token.AllScopes(), since: s.deps.Now()})
	return made, account, err
}

// Refresh makes a fresh token of the same key and scopes. A chain of fresh
// tokens ends at Limits.ChainTTL after the key itself was presented.
func (s *Service) Refresh(ctx context.Context, claims *token.Claims) (AccessToken, error) {
	if claims.KeyID == "" || claims.KeyID == signInClient {
		return AccessToken{}, fault.ErrUnauthenticated.Say("This token was not made from an API key; sign in again.")
	}
	key, err := s.deps.Store.Key(ctx, claims.Subject, claims.KeyID)
	if errors.Is(err, fault.ErrNotFound) || err == nil && !key.Live(s.deps.Now()) {
		return AccessToken{}, fault.ErrUnauthenticated.Say("The key of this token has ended.")
	}
	if err != nil {
		return AccessToken{}, fmt.Errorf("refresh a token of key %s: %w", claims.KeyID, err)
	}
	if !s.deps.Now().Before(claims.AuthTime.Add(s.config.Limits.ChainTTL)) {
		return AccessToken{}, fault.ErrUnauthenticated.Say("This token was refreshed for as long as it may be; exchange the API key again.")
	}
	return s.issue(grant{
		subject: key.AccountID, client: key.ID, scopes: claims.Scopes, since: claims.AuthTime, keyExpires: key.ExpiresAt,
	})
}

// grant is what a token is made from.
type grant struct {
	subject, client string
	scopes          token.Scopes
	since           time.Time  // when the key was presented
	keyExpires      *time.Time // a token does not outlive its key
}

func (s *Service) issue(g grant) (AccessToken, error) {
	now := s.deps.Now()
	expires := earliest(now.Add(s.config.Limits.TokenTTL), g.since.Add(s.config.Limits.ChainTTL))
	if g.keyExpires != nil {
		expires = earliest(expires, *g.keyExpires)
	}
	value, err := s.deps.Signer.Sign(accessClaims{
		RegisteredClaims: s.registered(g.subject, s.config.Audience, now, expires),
		ClientID:         g.client,
		Scope:            g.scopes.String(),
		AuthTime:         jwt.NewNumericDate(g.since),
	})
	if err != nil {
		return AccessToken{}, fmt.Errorf("sign a token of %s: %w", g.subject, err)
	}
	return AccessToken{Value: value, ExpiresIn: expires.Sub(now), Scopes: g.scopes}, nil
}

func (s *Service) registered(subject, audience string, now, expires time.Time) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{
		Issuer: s.config.Issuer, Subject: subject, Audience: jwt.ClaimStrings{audience}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
	}
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Services are the names that tokens of services have as their audience; that
// of agents' tokens is none of them.
func Services() []string { return []string{"auth-svc", "chat-svc", "agent-llm-svc"} }

// ServiceToken makes the token by which one of the platform's own services
// calls audience, another one.
func (s *Service) ServiceToken(service, audience string) (AccessToken, error) {
	now := s.deps.Now()
	expires := now.Add(s.config.Limits.TokenTTL)
	value, err := s.deps.Signer.Sign(accessClaims{
		RegisteredClaims: s.registered(service, audience, now, expires), ClientID: service, AuthTime: jwt.NewNumericDate(now),
	})
	if err != nil {
		return AccessToken{}, fmt.Errorf("sign a token of the service %s: %w", service, err)
	}
	return AccessToken{Value: value, ExpiresIn: expires.Sub(now)}, nil
}

// clockSkew is longer than verifiers take a token after its end.
const clockSkew = time.Minute

// Revoke ends the token that claims are of. A development token never ends: it
// is made anew from its name each time.
func (s *Service) Revoke(ctx context.Context, claims *token.Claims) error {
	if claims.Dev() {
		return fault.Field("token", "development tokens are not revoked")
	}
	if err := s.deps.Store.RevokeToken(ctx, claims.Subject, claims.ID, s.deps.Now(), claims.ExpiresAt.Add(clockSkew)); err != nil {
		return fmt.Errorf("revoke a token of %s: %w", claims.Subject, err)
	}
	return nil
}

// CheckToken asks the database whether a verified token is still good: neither
// it nor its key nor its account has ended. Other services learn the same from
// the change feed.
func (s *Service) CheckToken(ctx context.Context, claims *token.Claims) error {
	ended := fault.ErrUnauthenticated.Say("The token was revoked.")
	revoked, err := s.deps.Store.TokenRevoked(ctx, claims.ID)
	if err != nil {
		return fmt.Errorf("check a token of %s: %w", claims.Subject, err)
	}
	if revoked {
		return ended
	}
	if claims.KeyID == "" || claims.KeyID == signInClient {
		_, err := s.Living(ctx, claims.Subject)
		return notFoundIs(err, ended)
	}
	key, err := s.deps.Store.Key(ctx, claims.Subject, claims.KeyID)
	if err == nil && !key.Live(s.deps.Now()) {
		return ended
	}
	return notFoundIs(err, ended)
}

// notFoundIs replaces fault.ErrNotFound by what its absence means.
func notFoundIs(err error, f *fault.Fault) error {
	if errors.Is(err, fault.ErrNotFound) {
		return f
	}
	return err
}

// AuthenticateKey finds the live key that the credential is of. An unknown
// account, a wrong key and an ended one look alike: ErrCredential.
func (s *Service) AuthenticateKey(ctx context.Context, accountID string, given secret.Secret) (Key, error) {
	key, err := s.deps.Store.KeyBySecret(ctx, accountID, s.deps.Peppers.Candidates(given))
	if err != nil && !errors.Is(err, fault.ErrNotFound) {
		return Key{}, fmt.Errorf("check a key of %s: %w", accountID, err)
	}
	if !s.deps.Peppers.Verify(given, key.Secret) || !key.Live(s.deps.Now()) {
		return Key{}, ErrCredential
	}
	return key, nil
}

// AuthenticateRecovery finds the living account whose recovery key is given.
// An unknown account and a wrong key look alike: ErrCredential.
func (s *Service) AuthenticateRecovery(ctx context.Context, accountID string, given secret.Secret) (Account, error) {
	account, err := s.deps.Store.Account(ctx, accountID)
	if err != nil && !errors.Is(err, fault.ErrNotFound) {
		return Account{}, fmt.Errorf("check the recovery key of %s: %w", accountID, err)
	}
	if !s.deps.Peppers.Verify(given, account.Recovery) || account.DeletedAt != nil {
		return Account{}, ErrCredential
	}
	return account, nil
}

// DevClaims makes the claims of a development token: all scopes of the living
// account that it names.
func (s *Service) DevClaims(ctx context.Context, name string) (*token.Claims, error) {
	account, err := s.LivingByName(ctx, name)
	if err != nil {
		return nil, notFoundIs(err, token.ErrDevName)
	}
	return token.DevClaims(account.ID, s.deps.Now()), nil
}
