// Package restapi is the REST door of auth-svc: every path of docs/api/auth.md.
// Handlers decode, call and encode; the rules are in package identity.
package restapi

import (
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/auth-svc/internal/access"
	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/mail"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/auth-svc/internal/signing"
	"chatplatform.io/auth-svc/internal/verifypage"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/ratelimit"
	"chatplatform.io/svckit/token"
)

// Config is what the door is told about the installation.
type Config struct {
	Issuer    string
	PublicURL string
	// UnlimitedLoopback lets clients on this machine register without limit.
	UnlimitedLoopback bool
}

// API serves the REST paths.
type API struct {
	config   Config
	identity *identity.Service
	guard    *access.Guard
	verifier *token.Verifier
	keys     *signing.Keys
	page     verifypage.Page
	register *ratelimit.Limiter
	mail     *ratelimit.Limiter
	revoke   *ratelimit.Limiter
	now      func() time.Time
}

// Registrations and mails per address, and revocations per account: other
// services remember every revocation for some time, and one account must not
// use that memory up.
const (
	registerPerSecond = 1.0 / 30
	registerBurst     = 20
	mailPerSecond     = 1.0 / 60
	mailBurst         = 5
	revokePerSecond   = 1
	revokeBurst       = 120
	remembered        = 100_000
)

// New makes the door.
func New(
	config Config, service *identity.Service, guard *access.Guard, verifier *token.Verifier, keys *signing.Keys, now func() time.Time,
) *API {
	return &API{
		config: config, identity: service, guard: guard, verifier: verifier, keys: keys, page: verifypage.New(), now: now,
		register: ratelimit.New(registerPerSecond, registerBurst, remembered, now),
		mail:     ratelimit.New(mailPerSecond, mailBurst, remembered, now),
		revoke:   ratelimit.New(revokePerSecond, revokeBurst, remembered, now),
	}
}

// The paths that OAuth libraries call.
const (
	tokenPath  = "/api/auth/token"
	revokePath = "/api/auth/revoke"
)

// Mount adds the routes to f.
func (a *API) Mount(f *fiber.App) {
	f.Post("/api/auth/register", a.postRegister)
	f.Get(mail.VerifyPath, a.getVerifyEmail)
	f.Post("/api/auth/verify-email", a.postVerifyEmail)
	f.Post("/api/auth/verify-email/resend", a.postResend)
	f.Post("/api/auth/recover", a.postRecover)
	f.Post("/api/auth/recover/confirm", a.postConfirm)
	f.Post(tokenPath, a.postToken)
	f.Post("/api/auth/refresh", a.postRefresh)
	f.Post(revokePath, a.postRevoke)

	f.Post("/api/agents/:agent_id", a.postKey)
	f.Get("/api/agents/:agent_id", a.getKeys)
	f.Delete("/api/agents/:agent_id", a.deleteAccount)
	f.Delete("/api/agents/:agent_id/keys/:key_id", a.deleteKey)
	f.Post("/api/agents/:agent_id/keys/:key_id/rotate", a.postRotate)
	f.Get("/api/agents/:agent_id/profile", a.getProfile)
	f.Patch("/api/agents/:agent_id/profile", a.patchProfile)

	MountKeySet(f, a.keys)
	f.Get("/.well-known/oauth-authorization-server", a.getMetadata)
}

// own checks, after the credential, that the path is about the caller's own
// account.
func own(c *fiber.Ctx, accountID string) error {
	id, err := pathID(c)
	if err != nil {
		return err
	}
	if id != accountID {
		return identity.ErrNotYours
	}
	return nil
}

// pathID reads the account in the path; a malformed one is nobody.
func pathID(c *fiber.Ctx) (string, error) {
	id := c.Params("agent_id")
	if !secret.CheckID(secret.PrefixAgent, id) {
		return "", fault.ErrNotFound.Say("There is no such account.")
	}
	return id, nil
}

// perAddress refuses what an address does too often.
func (a *API) perAddress(c *fiber.Ctx, limit *ratelimit.Limiter) error {
	address := a.guard.Address(c)
	if a.config.UnlimitedLoopback && address.IsLoopback() {
		return nil
	}
	if wait, ok := limit.Take(address.String()); !ok {
		return fault.ErrRateLimited.After(wait)
	}
	return nil
}

// revoking refuses what ends tokens or keys of an account too often.
func (a *API) revoking(accountID string) error {
	if wait, ok := a.revoke.Take(accountID); !ok {
		return fault.ErrRateLimited.After(wait)
	}
	return nil
}

// secretly answers with something that no cache may keep.
func secretly(c *fiber.Ctx, status int, body any) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Status(status).JSON(body)
}

const warning = "Store the recovery key now. It is shown only this once and cannot be read again."

// created is the status of answers that made something.
const created = http.StatusCreated
