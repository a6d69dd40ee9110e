// Package rpcapi serves the account methods of the RPC family
// (docs/api/accounts-rpc.md) over the same domain as the REST door.
package rpcapi

import (
	"errors"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/auth-svc/internal/access"
	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/paging"
)

// API serves the methods.
type API struct {
	identity *identity.Service
	guard    *access.Guard
	cursors  *paging.Codec
	// signIn is whether people sign in by name alone: on a developer's machine.
	signIn bool
}

// New makes the door.
func New(service *identity.Service, guard *access.Guard, cursors *paging.Codec, signIn bool) *API {
	return &API{identity: service, guard: guard, cursors: cursors, signIn: signIn}
}

// Methods are the names served here.
func Methods() []string { return []string{"signIn", "getMe", "getUser", "getUsers"} }

// Mount adds the methods to f.
func (a *API) Mount(f *fiber.App) {
	f.Post("/api/signIn", a.postSignIn)
	f.Post("/api/getMe", a.getMe)
	f.Post("/api/getUser", a.getUser)
	f.Post("/api/getUsers", a.getUsers)
}

type account struct {
	Username    string        `json:"username"`
	Kind        identity.Kind `json:"kind"`
	DisplayName string        `json:"display_name"`
	AgentID     string        `json:"agent_id"`
}

func accountOf(a identity.Account) account {
	return account{Username: a.Name, Kind: a.Kind, DisplayName: a.DisplayName(), AgentID: a.ID}
}

type signedIn struct {
	AccessToken string  `json:"access_token"`
	ExpiresIn   int     `json:"expires_in"`
	Account     account `json:"account"`
}

func (a *API) postSignIn(c *fiber.Ctx) error {
	if !a.signIn {
		return fault.ErrNotFound.Say("signIn is served on a developer's machine only.")
	}
	body, err := httpserver.Body[struct {
		Username string `json:"username"`
	}](c)
	if err != nil {
		return err
	}
	made, who, err := a.identity.SignIn(c.UserContext(), body.Username)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return httpserver.RPCResult(c, signedIn{AccessToken: made.Value, ExpiresIn: int(made.ExpiresIn.Seconds()), Account: accountOf(who)})
}

func (a *API) getMe(c *fiber.Ctx) error {
	claims, err := a.guard.Token(c)
	if err != nil {
		return err
	}
	me, err := a.identity.Living(c.UserContext(), claims.Subject)
	if err != nil {
		return err
	}
	return httpserver.RPCResult(c, accountOf(me))
}

func (a *API) getUser(c *fiber.Ctx) error {
	if _, err := a.guard.Token(c); err != nil {
		return err
	}
	body, err := httpserver.Body[struct {
		UserID string `json:"user_id"`
	}](c)
	if err != nil {
		return err
	}
	if !identity.ValidName(body.UserID) {
		return fault.Field("user_id", "must be a username, 3 to 50 letters, digits or hyphens")
	}
	found, err := a.identity.LivingByName(c.UserContext(), body.UserID)
	if errors.Is(err, fault.ErrNotFound) {
		return fault.ErrNotFound.Say("There is no account named %s.", body.UserID)
	}
	if err != nil {
		return err
	}
	return httpserver.RPCResult(c, accountOf(found))
}

type usersRequest struct {
	Kind   identity.Kind `json:"kind"`
	Cursor string        `json:"cursor"`
	Limit  *int          `json:"limit"`
}

type usersPage struct {
	Items      []account `json:"items"`
	NextCursor string    `json:"next_cursor,omitempty"`
}

// usersPlace is where a list of accounts goes on.
type usersPlace struct {
	Kind  identity.Kind `json:"k"`
	After string        `json:"a"`
}

const (
	usersRoute   = "getUsers"
	usersDefault = 50
	usersMost    = 100
)

func (a *API) getUsers(c *fiber.Ctx) error {
	claims, err := a.guard.Token(c)
	if err != nil {
		return err
	}
	body, err := httpserver.OptionalBody[usersRequest](c)
	if err != nil {
		return err
	}
	place, limit, err := a.usersPlace(claims.Subject, body)
	if err != nil {
		return err
	}
	found, more, err := a.identity.List(c.UserContext(), place.Kind, place.After, limit)
	if err != nil {
		return err
	}
	page := usersPage{Items: make([]account, len(found))}
	for i, who := range found {
		page.Items[i] = accountOf(who)
	}
	if more {
		place.After = found[len(found)-1].Name
		page.NextCursor, err = a.cursors.Encode(usersRoute, claims.Subject, place)
	}
	if err != nil {
		return err
	}
	return httpserver.RPCResult(c, page)
}

func (a *API) usersPlace(caller string, body usersRequest) (usersPlace, int, error) {
	place := usersPlace{Kind: body.Kind}
	limit, err := paging.Clamp(body.Limit, usersDefault, usersMost)
	if err != nil || body.Cursor == "" {
		return place, limit, err
	}
	if err := a.cursors.Decode(usersRoute, caller, body.Cursor, &place); err != nil {
		return place, 0, err
	}
	if place.Kind != body.Kind {
		return place, 0, paging.ErrCursor
	}
	return place, limit, nil
}
