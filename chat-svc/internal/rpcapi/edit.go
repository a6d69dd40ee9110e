package rpcapi

import (
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/httpserver"
)

type deleteAnswer struct {
	Deleted int `json:"deleted"`
}

func (a *API) deleteMessages(c *fiber.Ctx) (any, error) {
	body, err := httpserver.Body[struct {
		MessageIDs []string `json:"message_ids"`
	}](c)
	if err != nil {
		return nil, err
	}
	all := make([]id.Message, len(body.MessageIDs))
	for i, text := range body.MessageIDs {
		message, err := messageID("message_ids", &text)
		if err != nil {
			return nil, err
		}
		all[i] = *message
	}
	deleted, err := a.chat.DeleteAll(c.UserContext(), caller(c), all)
	return deleteAnswer{Deleted: deleted}, err
}
