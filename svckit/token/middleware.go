package token

import (
	"bytes"
	"strings"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/svckit/fault"
)

type claimsKey struct{}

// Require lets a request pass whose Bearer token is good and has at least one
// of the scopes; without scopes any good token passes. Handlers read its
// claims by From.
func Require(v *Verifier, anyOf ...string) fiber.Handler { return RequireBy(v.Bearer, anyOf...) }

// RequireBy is Require where find takes the token's claims out of a request.
func RequireBy(find func(*fiber.Ctx) (*Claims, error), anyOf ...string) fiber.Handler {
	missing := fault.ErrScope.Say("The token needs the scope %s.", strings.Join(anyOf, " or ")).With("required", anyOf)
	return func(c *fiber.Ctx) error {
		claims, err := find(c)
		if err != nil {
			return err
		}
		if len(anyOf) > 0 && !claims.Scopes.HasAny(anyOf...) {
			return missing
		}
		c.Context().SetUserValue(claimsKey{}, claims)
		return c.Next()
	}
}

// Bearer verifies the token in a request's Authorization header.
func (v *Verifier) Bearer(c *fiber.Ctx) (*Claims, error) {
	raw, ok := Bearer(c.Request().Header.Peek(fiber.HeaderAuthorization))
	if !ok {
		return nil, fault.ErrUnauthenticated.Say("Send an access token: Authorization: Bearer <token>.")
	}
	return v.Verify(c.UserContext(), raw)
}

// From gives the claims of the token that Require let pass.
func From(c *fiber.Ctx) *Claims {
	claims, _ := c.Context().UserValue(claimsKey{}).(*Claims)
	return claims
}

// Bearer takes the token out of an Authorization header (RFC 6750 §2.1).
func Bearer(header []byte) (string, bool) {
	scheme, raw, ok := bytes.Cut(header, []byte(" "))
	if !ok || !bytes.EqualFold(scheme, []byte("Bearer")) {
		return "", false
	}
	raw = bytes.TrimSpace(raw)
	return string(raw), len(raw) > 0
}
