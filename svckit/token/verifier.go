package token

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"

	"chatplatform.io/svckit/fault"
)

const (
	// Type is the typ header of an access token (RFC 9068 §2.1).
	Type    = "at+jwt"
	maxSize = 4096 // bytes of a token
)

// ErrUnknownKey is what a KeySource returns for a key that is not published.
var ErrUnknownKey = errors.New("no such signing key is published")

// KeySource gives the published key of an id, or ErrUnknownKey. Any other
// error means that it could not find out.
type KeySource interface {
	Key(ctx context.Context, kid string) (ed25519.PublicKey, error)
}

// Config says which tokens a Verifier takes.
type Config struct {
	Issuer   string
	Audience string
	Keys     KeySource
	// Revoked tells whether a token that is otherwise good was withdrawn; nil
	// where the caller finds out by itself.
	Revoked func(*Claims) bool
	// Dev resolves the name in a development token (dev:<name>); nil turns
	// such tokens off.
	Dev func(ctx context.Context, name string) (*Claims, error)
	// Capacity bounds the cache of verified tokens.
	Capacity int
	Now      func() time.Time
	Registry prometheus.Registerer
}

// A Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	config   Config
	parser   *jwt.Parser
	verified *otter.Cache[[sha256.Size]byte, *Claims]

	cached, cold, refused prometheus.Counter
}

// NewVerifier makes a verifier of EdDSA tokens of one issuer and audience.
func NewVerifier(config Config) *Verifier {
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "token_checks_total",
		Help: "Access tokens checked, by result: cached, verified or refused.",
	}, []string{"result"})
	config.Registry.MustRegister(checks)
	return &Verifier{
		config: config,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
			jwt.WithIssuer(config.Issuer),
			jwt.WithAudience(config.Audience),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithStrictDecoding(),      // one text for one token
			jwt.WithLeeway(5*time.Second), // clocks of two machines
			jwt.WithTimeFunc(config.Now),
		),
		verified: otter.Must(&otter.Options[[sha256.Size]byte, *Claims]{MaximumSize: config.Capacity}),
		cached:   checks.WithLabelValues("cached"),
		cold:     checks.WithLabelValues("verified"),
		refused:  checks.WithLabelValues("refused"),
	}
}

// Verify returns the claims of raw. It refuses with fault.ErrUnauthenticated
// whatever is not a live token for this audience, and with
// fault.ErrUnavailable what it cannot decide because the issuer's keys cannot
// be had. The claims are shared and must not be changed.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Claims, error) {
	claims, err := v.verify(ctx, raw)
	if err != nil {
		v.refused.Inc()
	}
	return claims, err
}

func (v *Verifier) verify(ctx context.Context, raw string) (*Claims, error) {
	if name, ok := strings.CutPrefix(raw, devPrefix); ok && v.config.Dev != nil {
		return v.config.Dev(ctx, name)
	}
	if len(raw) > maxSize {
		return nil, fault.ErrUnauthenticated.Say("The token is longer than any of ours.")
	}
	digest := sha256.Sum256([]byte(raw))
	claims, hit := v.verified.GetIfPresent(digest)
	if hit && v.live(ctx, claims) {
		v.cached.Inc()
		return claims, v.revoked(claims)
	}
	claims, err := v.parse(ctx, raw)
	if err != nil {
		return nil, err
	}
	v.cold.Inc()
	v.verified.Set(digest, claims)
	return claims, v.revoked(claims)
}

// live checks what can change about a verified token: time, and that its
// signing key is still published.
func (v *Verifier) live(ctx context.Context, claims *Claims) bool {
	if !v.config.Now().Before(claims.ExpiresAt) {
		return false
	}
	key, err := v.config.Keys.Key(ctx, claims.kid)
	if err != nil {
		return !errors.Is(err, ErrUnknownKey)
	}
	return key.Equal(claims.key)
}

func (v *Verifier) revoked(claims *Claims) error {
	if v.config.Revoked != nil && v.config.Revoked(claims) {
		return fault.ErrUnauthenticated.Say("The token was revoked.")
	}
	return nil
}

// wire is the token's JSON (RFC 9068 §2.2).
type wire struct {
	jwt.RegisteredClaims
	ClientID string           `json:"client_id"`
	Scope    string           `json:"scope"`
	AuthTime *jwt.NumericDate `json:"auth_time"`
}

func (v *Verifier) parse(ctx context.Context, raw string) (*Claims, error) {
	var body wire
	var kid string
	var key ed25519.PublicKey
	var keyFault error
	_, err := v.parser.ParseWithClaims(raw, &body, func(t *jwt.Token) (any, error) {
		if typ, _ := t.Header["typ"].(string); !strings.EqualFold(typ, Type) {
			return nil, errors.New("the typ header is not " + Type)
		}
		kid, _ = t.Header["kid"].(string)
		found, err := v.config.Keys.Key(ctx, kid)
		if err != nil && !errors.Is(err, ErrUnknownKey) {
			keyFault = err
		}
		key = found
		return found, err
	})
	if keyFault != nil {
		return nil, fault.ErrUnavailable.Say("The token cannot be checked at the moment; try again.").Because(keyFault)
	}
	if err != nil {
		return nil, fault.ErrUnauthenticated.Say("The token is not valid: %s.", reason(err)).Because(err)
	}
	if body.Subject == "" || body.ID == "" {
		return nil, fault.ErrUnauthenticated.Say("The token is not valid: it names nobody.")
	}
	claims := &Claims{
		Subject: body.Subject, KeyID: body.ClientID, Scopes: strings.Fields(body.Scope),
		ID: body.ID, ExpiresAt: body.ExpiresAt.Time, kid: kid, key: key,
	}
	if body.IssuedAt != nil {
		claims.IssuedAt = body.IssuedAt.Time
	}
	if body.AuthTime != nil {
		claims.AuthTime = body.AuthTime.Time
	}
	return claims, nil
}

// reason tells the holder what to do about a token, without repeating it.
func reason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "it has expired, ask for a fresh one"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "it is not valid yet"
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "it was issued by or for somebody else"
	default:
		return "it is malformed or was not signed by this platform"
	}
}
