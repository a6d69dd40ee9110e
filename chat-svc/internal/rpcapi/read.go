package rpcapi

import (
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/svckit/httpserver"
)

type readAnswer struct {
	UnreadCount int64 `json:"unread_count"`
}

func (a *API) markRead(c *fiber.Ctx) (any, error) {
	body, err := httpserver.Body[struct {
		ChatID string  `json:"chat_id"`
		UpTo   *string `json:"up_to"`
	}](c)
	if err != nil {
		return nil, err
	}
	wanted, err := chatID(body.ChatID)
	if err != nil {
		return nil, err
	}
	upTo, err := messageID("up_to", body.UpTo)
	if err != nil {
		return nil, err
	}
	unread, err := a.chat.MarkRead(c.UserContext(), caller(c), wanted, upTo)
	return readAnswer{UnreadCount: unread}, err
}
