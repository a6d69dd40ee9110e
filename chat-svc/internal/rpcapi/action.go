package rpcapi

import (
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/svckit/httpserver"
)

func (a *API) sendChatAction(c *fiber.Ctx) (any, error) {
	body, err := httpserver.Body[struct {
		ChatID string `json:"chat_id"`
		Action string `json:"action"`
	}](c)
	if err != nil {
		return nil, err
	}
	wanted, err := chatID(body.ChatID)
	if err != nil {
		return nil, err
	}
	return struct{}{}, a.chat.Act(c.UserContext(), caller(c), wanted, body.Action)
}
