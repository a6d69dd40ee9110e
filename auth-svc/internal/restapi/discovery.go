package restapi

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/auth-svc/internal/signing"
	"chatplatform.io/svckit/token"
)

// MountKeySet publishes the signing keys (RFC 7517). They stand on both
// listeners, so that a service needs only the internal one. Who has this very
// set already is answered 304 (RFC 9110 §13.1.2).
func MountKeySet(f *fiber.App, keys *signing.Keys) {
	f.Get("/.well-known/jwks.json", func(c *fiber.Ctx) error {
		document := keys.JWKS()
		c.Set(fiber.HeaderCacheControl, "public, max-age=60")
		c.Set(fiber.HeaderETag, document.ETag)
		if c.Fresh() {
			return c.SendStatus(http.StatusNotModified)
		}
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.Send(document.Body)
	})
}

// serverMetadata is RFC 8414 §2.
type serverMetadata struct {
	Issuer               string   `json:"issuer"`
	TokenEndpoint        string   `json:"token_endpoint"`
	RevocationEndpoint   string   `json:"revocation_endpoint"`
	JWKSURI              string   `json:"jwks_uri"`
	ScopesSupported      []string `json:"scopes_supported"`
	ResponseTypes        []string `json:"response_types_supported"`
	GrantTypes           []string `json:"grant_types_supported"`
	TokenAuthMethods     []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethod []string `json:"revocation_endpoint_auth_methods_supported"`
}

func (a *API) getMetadata(c *fiber.Ctx) error {
	basic := []string{"client_secret_basic"}
	c.Set(fiber.HeaderCacheControl, "public, max-age=3600")
	return c.JSON(serverMetadata{
		Issuer:               a.config.Issuer,
		TokenEndpoint:        a.config.PublicURL + tokenPath,
		RevocationEndpoint:   a.config.PublicURL + revokePath,
		JWKSURI:              a.config.PublicURL + "/.well-known/jwks.json",
		ScopesSupported:      token.AllScopes(),
		ResponseTypes:        []string{},
		GrantTypes:           []string{"client_credentials"},
		TokenAuthMethods:     basic,
		RevocationAuthMethod: basic,
	})
}
