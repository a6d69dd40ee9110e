package restapi

import (
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

type readRequest struct {
	UpTo string `json:"up_to"`
}

type readAnswer struct {
	UnreadCount int64 `json:"unread_count"`
}

func (a *API) postRead(c *fiber.Ctx) error {
	conversation, err := pathConversation(c)
	if err != nil {
		return err
	}
	body, err := httpserver.Body[readRequest](c)
	if err != nil {
		return err
	}
	upTo, err := id.ParseMessage(body.UpTo)
	if err != nil {
		return fault.Field("up_to", "is not the id of a message")
	}
	unread, err := a.chat.MarkRead(c.UserContext(), caller(c), conversation, &upTo)
	if err != nil {
		return err
	}
	return c.JSON(readAnswer{UnreadCount: unread})
}
