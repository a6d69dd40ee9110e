package restapi

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/auth-svc/internal/access"
	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/token"
)

type tokenRequest struct {
	GrantType string  `json:"grant_type"`
	Scope     *string `json:"scope"`
}

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
}

func (a *API) postToken(c *fiber.Ctx) error {
	key, err := a.guard.Key(c)
	if err != nil {
		return err
	}
	body, err := oauthBody(c, tokenForm)
	if err != nil {
		return err
	}
	if body.GrantType != "client_credentials" {
		return fault.Field("grant_type", "must be client_credentials")
	}
	var scopes []string
	if body.Scope != nil {
		scopes = strings.Fields(*body.Scope)
	}
	made, err := a.identity.Exchange(key, scopes)
	if err != nil {
		return err
	}
	return answerToken(c, made)
}

// tokenForm reads RFC 6749 §4.4.2.
func tokenForm(form map[string]string) (tokenRequest, error) {
	request := tokenRequest{GrantType: form["grant_type"]}
	if request.GrantType == "" {
		return request, fault.ErrInvalid.Say("grant_type is missing; it must be client_credentials.")
	}
	if scope, ok := form["scope"]; ok {
		request.Scope = &scope
	}
	return request, nil
}

func answerToken(c *fiber.Ctx, made identity.AccessToken) error {
	return secretly(c, http.StatusOK, tokenAnswer{
		AccessToken: made.Value, TokenType: "Bearer", ExpiresIn: int(made.ExpiresIn.Seconds()), Scope: made.Scopes.String(),
	})
}

func (a *API) postRefresh(c *fiber.Ctx) error {
	claims, err := a.guard.Token(c)
	if err != nil {
		return err
	}
	made, err := a.identity.Refresh(c.UserContext(), claims)
	if err != nil {
		return err
	}
	return answerToken(c, made)
}

type revokeRequest struct {
	Token *string `json:"token"`
}

// errOtherAccount is RFC 7009's refusal of a token that is not the caller's.
var errOtherAccount = fault.New(fault.Forbidden, fault.ErrForbidden.Code, "The token belongs to another account.")

func (a *API) postRevoke(c *fiber.Ctx) error {
	accountID, claims, err := a.revoker(c)
	if err != nil {
		return err
	}
	if err := a.revoking(accountID); err != nil {
		return err
	}
	body, err := oauthBody(c, revokeForm)
	if err != nil {
		return err
	}
	if body.Token != nil {
		claims, err = a.verifier.Verify(c.UserContext(), *body.Token)
		if fault.Of(err).Kind == fault.Unauthenticated {
			return c.JSON(status{"revoked"}) // RFC 7009 §2.2: it is not valid, which is what was wanted
		}
		if err != nil {
			return err
		}
	}
	if claims == nil {
		return fault.Field("token", "must be given with a Basic credential")
	}
	if claims.Subject != accountID {
		return errOtherAccount
	}
	if err := a.identity.Revoke(c.UserContext(), claims); err != nil {
		return err
	}
	return c.JSON(status{"revoked"})
}

// revokeForm reads RFC 7009 §2.1.
func revokeForm(form map[string]string) (revokeRequest, error) {
	if value, ok := form["token"]; ok {
		return revokeRequest{Token: &value}, nil
	}
	return revokeRequest{}, nil
}

// revoker is the account that revokes, and the token by which it proved
// itself, nil for an API key.
func (a *API) revoker(c *fiber.Ctx) (string, *token.Claims, error) {
	if access.IsBasic(c) {
		key, err := a.guard.Key(c)
		return key.AccountID, nil, err
	}
	claims, err := a.guard.Token(c)
	if err != nil {
		return "", nil, err
	}
	return claims.Subject, claims, nil
}
