package restapi

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/svckit/httpserver"
)

type updateRequest struct {
	Name     *string `json:"name"`
	Metadata struct {
		Description *string `json:"description"`
		Avatar      *string `json:"avatar"`
	} `json:"metadata"`
}

type updatedConversation struct {
	ConversationID string          `json:"conversation_id"`
	Type           chat.Type       `json:"type"`
	Name           string          `json:"name"`
	UpdatedAt      httpserver.Time `json:"updated_at"`
}

func (a *API) putConversation(c *fiber.Ctx) error {
	conversation, err := pathConversation(c)
	if err != nil {
		return err
	}
	body, err := httpserver.Body[updateRequest](c)
	if err != nil {
		return err
	}
	updated, err := a.chat.Update(c.UserContext(), caller(c), conversation, chat.Settings{
		Name: body.Name, Description: body.Metadata.Description, Avatar: body.Metadata.Avatar,
	})
	if err != nil {
		return err
	}
	return c.JSON(updatedConversation{
		ConversationID: updated.ID.String(), Type: updated.Type, Name: updated.Name,
		UpdatedAt: httpserver.Time(updated.UpdatedAt),
	})
}

func (a *API) deleteConversation(c *fiber.Ctx) error {
	conversation, err := pathConversation(c)
	if err != nil {
		return err
	}
	if err := a.chat.Close(c.UserContext(), caller(c), conversation); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}
