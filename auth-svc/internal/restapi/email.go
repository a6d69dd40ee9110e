package restapi

import (
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

type status struct {
	Status string `json:"status"`
}

type verifyRequest struct {
	Token string `json:"token"`
}

func (a *API) postVerifyEmail(c *fiber.Ctx) error {
	body, err := httpserver.Body[verifyRequest](c)
	if err != nil {
		return err
	}
	err = a.guard.Slowed(c, "", func() error {
		return a.identity.VerifyEmail(c.UserContext(), secret.From(body.Token))
	})
	if err != nil {
		return err
	}
	return c.JSON(status{"verified"})
}

func (a *API) postResend(c *fiber.Ctx) error {
	claims, err := a.guard.Token(c)
	if err != nil {
		return err
	}
	if wait, ok := a.mail.Take(claims.Subject); !ok {
		return fault.ErrRateLimited.After(wait)
	}
	expires, err := a.identity.ResendVerification(c.UserContext(), claims.Subject)
	if err != nil {
		return err
	}
	return c.JSON(sentUntil(expires))
}

// getVerifyEmail shows the page that a mailed link opens. It changes nothing:
// its button posts the token.
func (a *API) getVerifyEmail(c *fiber.Ctx) error {
	for name, value := range a.page.Headers {
		c.Set(name, value)
	}
	return c.Send(a.page.HTML)
}
