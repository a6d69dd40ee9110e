package restapi

import (
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

// pathMessage reads the message in the path; a malformed one is none.
func pathMessage(c *fiber.Ctx) (id.Message, error) {
	message, err := id.ParseMessage(c.Params("message_id"))
	if err != nil {
		return id.Message{}, fault.ErrNotFound
	}
	return message, nil
}

type editRequest struct {
	Content string `json:"content"`
}

func (a *API) putMessage(c *fiber.Ctx) error {
	message, err := pathMessage(c)
	if err != nil {
		return err
	}
	body, err := httpserver.Body[editRequest](c)
	if err != nil {
		return err
	}
	edited, err := a.chat.Edit(c.UserContext(), caller(c), message, body.Content)
	if err != nil {
		return err
	}
	return c.JSON(listed(edited))
}

type deleteRequest struct {
	Withdraw bool `json:"withdraw"`
}

type deleteAnswer struct {
	Status string `json:"status"`
}

func (a *API) deleteMessage(c *fiber.Ctx) error {
	message, err := pathMessage(c)
	if err != nil {
		return err
	}
	body, err := httpserver.OptionalBody[deleteRequest](c)
	if err != nil {
		return err
	}
	remove, done := a.chat.Delete, deleteAnswer{"deleted"}
	if body.Withdraw {
		remove, done = a.chat.Withdraw, deleteAnswer{"withdrawn"}
	}
	if err := remove(c.UserContext(), caller(c), message); err != nil {
		return err
	}
	return c.JSON(done)
}
