package httpserver

import (
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/svckit/fault"
)

const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotency-Replayed"
	maxKey         = 255 // characters
)

// IdempotencyKey reads the key of a safe repeat, "" for none, from the header
// or, where a body has one, from its client_msg_id (docs/api/conventions.md,
// "Safe repeats").
func IdempotencyKey(c *fiber.Ctx, inBody *string) (string, error) {
	field, key := keyHeader, c.Get(keyHeader)
	given := c.Request().Header.Peek(keyHeader) != nil
	if inBody != nil {
		if given && key != *inBody {
			return "", fault.Field("client_msg_id", "must equal the Idempotency-Key header where both are sent")
		}
		field, key, given = "client_msg_id", *inBody, true
	}
	if given && (key == "" || !utf8.ValidString(key) || utf8.RuneCountInString(key) > maxKey) {
		return "", fault.Field(field, "must have 1 to %d characters", maxKey)
	}
	return key, nil
}

// Replayed marks the answer to an earlier request.
func Replayed(c *fiber.Ctx, is bool) {
	if is {
		c.Set(replayedHeader, "true")
	}
}
