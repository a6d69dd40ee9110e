package httpserver

import (
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/svckit/fault"
)

const clientHeader = "X-Client-Id"

// ClientID is what tells an account's clients apart: the request's X-Client-Id
// or, for browsers, which cannot set headers everywhere, its client_id; "" for
// none (docs/api/events.md). 1 to 64 characters of A-Z a-z 0-9 . _ -.
func ClientID(c *fiber.Ctx) (string, error) {
	id := c.Get(clientHeader, c.Query("client_id"))
	if id != "" && !validRequestID(id) {
		return "", fault.Field(clientHeader, "must be 1 to %d characters of A-Z a-z 0-9 . _ -", requestIDMax)
	}
	return id, nil
}
