// Package access finds out who sends a request, by the three credentials of
// docs/api/auth.md, and slows down those who guess.
package access

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/ratelimit"
	"chatplatform.io/svckit/token"
)

// Failures are forgiven at these rates. They count per account and address
// together, and per address: a stranger's failures never shut an account out
// for its owner, who comes from elsewhere.
const (
	pairPerSecond    = 1.0 / 6
	pairBurst        = 10
	addressPerSecond = 1
	addressBurst     = 100
	remembered       = 100_000 // keys of each limiter
)

// A Guard authenticates requests. It is safe for concurrent use.
type Guard struct {
	identity *identity.Service
	verifier *token.Verifier
	usage    *identity.Usage
	trusted  []netip.Prefix
	audit    *slog.Logger

	pair    *ratelimit.Limiter
	address *ratelimit.Limiter
}

// New makes a guard; trusted are the proxies whose X-Forwarded-For counts, and
// audit takes a line for each refusal.
func New(
	service *identity.Service, verifier *token.Verifier, usage *identity.Usage,
	trusted []netip.Prefix, audit *slog.Logger, now func() time.Time,
) *Guard {
	return &Guard{
		identity: service, verifier: verifier, usage: usage, trusted: trusted, audit: audit,
		pair:    ratelimit.New(pairPerSecond, pairBurst, remembered, now),
		address: ratelimit.New(addressPerSecond, addressBurst, remembered, now),
	}
}

// Address is what per-address rules count: the client's address, of IPv6 its
// /64, which one client has whole.
func (g *Guard) Address(c *fiber.Ctx) netip.Addr {
	addr := httpserver.ClientIP(c, g.trusted)
	if addr.Is6() && !addr.IsLoopback() {
		prefix, _ := addr.Prefix(64) // 64 bits fit every IPv6 address
		return prefix.Addr()
	}
	return addr
}

// Token wants a good Bearer token, whatever its scopes, and asks the database
// that it was not revoked.
func (g *Guard) Token(c *fiber.Ctx) (*token.Claims, error) {
	raw, ok := token.Bearer(c.Request().Header.Peek(fiber.HeaderAuthorization))
	if !ok {
		return nil, fault.ErrUnauthenticated.Say("Send an access token: Authorization: Bearer <token>.")
	}
	claims, err := g.verifier.Verify(c.UserContext(), raw)
	if err != nil {
		return nil, err
	}
	return claims, g.identity.CheckToken(c.UserContext(), claims)
}

// RecoveryKey wants Basic agent_id:recovery_key.
func (g *Guard) RecoveryKey(c *fiber.Ctx) (identity.Account, error) {
	var account identity.Account
	err := g.basic(c, secret.PrefixRecovery, func(id string, given secret.Secret) (err error) {
		account, err = g.identity.AuthenticateRecovery(c.UserContext(), id, given)
		return err
	})
	return account, err
}

// Key wants Basic agent_id:api_key, and notes that the key was used.
func (g *Guard) Key(c *fiber.Ctx) (identity.Key, error) {
	var key identity.Key
	err := g.basic(c, secret.PrefixAPIKey, func(id string, given secret.Secret) (err error) {
		key, err = g.identity.AuthenticateKey(c.UserContext(), id, given)
		return err
	})
	if err == nil {
		g.usage.Note(key)
	}
	return key, err
}

// IsBasic tells whether the request carries a Basic credential.
func IsBasic(c *fiber.Ctx) bool {
	scheme, _, _ := bytes.Cut(c.Request().Header.Peek(fiber.HeaderAuthorization), []byte(" "))
	return bytes.EqualFold(scheme, []byte("Basic"))
}

// basic reads the credential and checks it, unless too many checks from this
// address have failed.
func (g *Guard) basic(c *fiber.Ctx, prefix string, check func(id string, given secret.Secret) error) error {
	c.Set(fiber.HeaderWWWAuthenticate, `Basic realm="chatplatform", charset="UTF-8"`)
	id, given, ok := ParseBasic(c.Get(fiber.HeaderAuthorization))
	if !ok {
		return fault.ErrUnauthenticated.Say("Send Authorization: Basic, with base64 of agent_id:%s...", prefix)
	}
	err := g.Slowed(c, id, func() error {
		if !secret.CheckID(secret.PrefixAgent, id) || !secret.Check(prefix, given.Reveal()) {
			return identity.ErrCredential.Say("The agent id or the secret is wrong; this call takes agent_id:%s...", prefix)
		}
		return check(id, given)
	})
	if err == nil {
		c.Response().Header.Del(fiber.HeaderWWWAuthenticate)
	}
	return err
}

// Slowed runs a check of something that can be guessed about an account. It
// counts refusals, and past the limits refuses without a check.
func (g *Guard) Slowed(c *fiber.Ctx, account string, check func() error) error {
	account, address := known(account), g.Address(c).String()
	pair := account + " " + address
	if wait := max(g.pair.Wait(pair), g.address.Wait(address)); wait > 0 {
		return fault.ErrRateLimited.Say("Too many failed tries; wait as long as Retry-After says.").After(wait)
	}
	err := check()
	if refused(err) {
		g.pair.Take(pair)
		g.address.Take(address)
		g.audit.WarnContext(c.UserContext(), "credential refused",
			"account", account, "address", address, "path", c.Route().Path)
	}
	return err
}

// refused tells a wrong credential or proof from a failure to check it.
func refused(err error) bool {
	return errors.Is(err, fault.ErrUnauthenticated) || errors.Is(err, identity.ErrProof)
}

// known keeps what a stranger sent as an account out of the memory and the log,
// unless it has the form of one: it may be large, or a secret in the wrong place.
func known(account string) string {
	if account == "" || secret.CheckID(secret.PrefixAgent, account) {
		return account
	}
	return "malformed"
}

// maxBasic bounds the header: an id, a colon and a secret are 57 bytes.
const maxBasic = 512

// ParseBasic reads a Basic credential (RFC 7617). It accepts base64 with and
// without padding.
func ParseBasic(header string) (id string, given secret.Secret, ok bool) {
	scheme, encoded, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Basic") || len(encoded) > maxBasic {
		return "", secret.Secret{}, false
	}
	encoded = strings.TrimRight(strings.TrimSpace(encoded), "=")
	raw, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return "", secret.Secret{}, false
	}
	id, value, found := strings.Cut(string(raw), ":")
	if !found || id == "" || value == "" {
		return "", secret.Secret{}, false
	}
	return id, secret.From(value), true
}
