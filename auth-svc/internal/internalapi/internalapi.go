// Package internalapi is the door for the platform's own services, on the
// second listener, which the edge never routes. Every path but the exchange of
// a service's credential wants a token whose audience is auth-svc.
package internalapi

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/auth-svc/internal/access"
	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/token"
)

// API serves the internal paths.
type API struct {
	identity *identity.Service
	services *secret.Services
	caller   fiber.Handler
	agents   *token.Verifier
	epoch    string
}

// New makes the door: services proves callers, callers checks the tokens made
// from that, agents those that callers ask about; epoch is that of the data.
func New(service *identity.Service, services *secret.Services, callers, agents *token.Verifier, epoch string) *API {
	return &API{identity: service, services: services, caller: token.Require(callers), agents: agents, epoch: epoch}
}

// Mount adds the paths to f.
func (a *API) Mount(f *fiber.App) {
	f.Post("/internal/token", a.postToken)
	f.Post("/internal/introspect", a.caller, a.postIntrospect)
	f.Post("/internal/accounts", a.caller, a.postAccounts)
	f.Get("/internal/changes", a.caller, a.getChanges)
}

type tokenRequest struct {
	GrantType string `json:"grant_type"`
	Audience  string `json:"audience"`
}

// postToken changes a service's own credential for a token by which it calls
// another service.
func (a *API) postToken(c *fiber.Ctx) error {
	name, given, ok := access.ParseBasic(c.Get(fiber.HeaderAuthorization))
	if !ok || !a.services.Verify(name, given) {
		c.Set(fiber.HeaderWWWAuthenticate, `Basic realm="chatplatform"`)
		return fault.ErrUnauthenticated.Say("The service or its credential is wrong.")
	}
	body, err := httpserver.Body[tokenRequest](c)
	if err != nil {
		return err
	}
	if body.GrantType != "client_credentials" {
		return fault.Field("grant_type", "must be client_credentials")
	}
	if !slices.Contains(identity.Services(), body.Audience) {
		return fault.Field("audience", "must be the name of a service")
	}
	made, err := a.identity.ServiceToken(name, body.Audience)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.JSON(fiber.Map{
		"access_token": made.Value, "token_type": "Bearer", "expires_in": int(made.ExpiresIn.Seconds()),
	})
}

type introspection struct {
	Active   bool   `json:"active"`
	Subject  string `json:"sub,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Expires  int64  `json:"exp,omitempty"`
	IssuedAt int64  `json:"iat,omitempty"`
	ID       string `json:"jti,omitempty"`
}

// postIntrospect says what a token is worth now (RFC 7662), asking the
// database.
func (a *API) postIntrospect(c *fiber.Ctx) error {
	claims, err := a.agents.Verify(c.UserContext(), string(c.Request().PostArgs().Peek("token")))
	if err == nil {
		err = a.identity.CheckToken(c.UserContext(), claims)
	}
	if err != nil && fault.Of(err).Kind == fault.Unauthenticated {
		return c.JSON(introspection{})
	}
	if err != nil {
		return httpserver.AsOAuth(err, "temporarily_unavailable")
	}
	return c.JSON(introspection{
		Active: true, Subject: claims.Subject, ClientID: claims.KeyID, Scope: claims.Scopes.String(),
		Expires: claims.ExpiresAt.Unix(), IssuedAt: claims.IssuedAt.Unix(), ID: claims.ID,
	})
}

func (a *API) postAccounts(c *fiber.Ctx) error {
	body, err := httpserver.Body[accounts.LookupRequest](c)
	if err != nil {
		return err
	}
	found, err := a.identity.Lookup(c.UserContext(), body.IDs, body.Names)
	if err != nil {
		return err
	}
	answer := accounts.LookupAnswer{Accounts: make([]accounts.Account, len(found))}
	for i, who := range found {
		answer.Accounts[i] = accounts.Account{
			ID: who.ID, Name: who.Name, Kind: string(who.Kind), DisplayName: who.DisplayName(), Deleted: who.DeletedAt != nil,
		}
	}
	return c.JSON(answer)
}

// maxWait is how long a reader of changes may wait for one.
const maxWait = 30

const readTimeout = 5 * time.Second

// getChanges gives the changes after a position, or, to a reader that has
// none, since an instant (RFC 3339). It waits up to wait seconds for the
// first. A position from another epoch of the data, or past the end of the feed,
// is 400 INVALID_CURSOR: a backup was restored, and the reader starts again.
func (a *API) getChanges(c *fiber.Ctx) error {
	position, err := a.position(c)
	if err != nil {
		return err
	}
	wait, err := strconv.Atoi(c.Query("wait", "0"))
	if err != nil || wait < 0 || wait > maxWait {
		return fault.Field("wait", "must be from 0 to %d seconds", maxWait)
	}
	// A wait outlasts an ordinary request, and ends when the service drains.
	patience := time.Duration(wait) * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.UserContext()), patience+readTimeout)
	defer cancel()
	defer context.AfterFunc(c.Context(), cancel)()
	changes, err := a.identity.Changes(ctx, position, patience)
	if err != nil {
		return err
	}
	answer := accounts.ChangesAnswer{Epoch: a.epoch, Position: position, Changes: make([]accounts.Change, len(changes))}
	for i, change := range changes {
		answer.Position = change.Position
		answer.Changes[i] = accounts.Change{
			Position: change.Position, Kind: string(change.Kind), AccountID: change.AccountID, At: change.At,
			TokenID: change.TokenID, KeyIDs: change.KeyIDs, Content: string(change.Content),
		}
	}
	return c.JSON(answer)
}

func (a *API) position(c *fiber.Ctx) (int64, error) {
	if raw := c.Query("since"); raw != "" {
		since, err := time.Parse(time.RFC3339, raw)
		if err != nil {
			return 0, fault.Field("since", "must be an instant of RFC 3339")
		}
		return a.identity.PositionAt(c.UserContext(), since)
	}
	if epoch := c.Query("epoch"); epoch != "" && epoch != a.epoch {
		return 0, identity.ErrPosition
	}
	position, err := strconv.ParseInt(c.Query("after"), 10, 64)
	if err != nil || position < 0 {
		return 0, fault.Field("after", "must be a position, a whole number")
	}
	return position, nil
}
