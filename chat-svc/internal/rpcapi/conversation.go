package rpcapi

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/paging"
)

type conversation struct {
	ID               string          `json:"id"`
	Kind             chat.Type       `json:"kind"`
	Title            string          `json:"title,omitempty"`
	Participants     []account       `json:"participants"`
	ParticipantCount int             `json:"participant_count"`
	UpdatedAt        httpserver.Time `json:"updated_at"`
	UnreadCount      int64           `json:"unread_count"`
}

// conversations shows details with the names of everybody in them.
func (a *API) conversations(ctx context.Context, details ...chat.Detail) ([]conversation, error) {
	var members []id.Account
	for _, d := range details {
		for _, m := range d.Members {
			members = append(members, m.Account)
		}
	}
	people, err := a.people(ctx, members...)
	if err != nil {
		return nil, err
	}
	shown := make([]conversation, len(details))
	for i, d := range details {
		shown[i] = conversation{
			ID: d.ID.Bare(), Kind: d.Type, Title: d.Name,
			Participants: make([]account, len(d.Members)), ParticipantCount: d.MemberCount,
			UpdatedAt: httpserver.Time(d.ChangedAt()), UnreadCount: d.Unread(),
		}
		for n, m := range d.Members {
			shown[i].Participants[n] = people.show(m.Account)
		}
	}
	return shown, nil
}

func (a *API) conversation(ctx context.Context, d chat.Detail) (any, error) {
	shown, err := a.conversations(ctx, d)
	if err != nil {
		return nil, err
	}
	return shown[0], nil
}

type chatsRequest struct {
	Cursor string `json:"cursor"`
	Limit  *int   `json:"limit"`
}

type chatsPage struct {
	Items      []conversation `json:"items"`
	NextCursor string         `json:"next_cursor,omitempty"`
}

// chatsList is the list that cursors of chats belong to; they hold a
// chat.ListPage.
const chatsList = "getChats"

func (a *API) getChats(c *fiber.Ctx) (any, error) {
	body, err := httpserver.OptionalBody[chatsRequest](c)
	if err != nil {
		return nil, err
	}
	limit, err := paging.Clamp(body.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	var from *chat.ListPage
	if body.Cursor != "" {
		if err := a.cursors.Decode(chatsList, string(caller(c)), body.Cursor, &from); err != nil {
			return nil, err
		}
	}
	views, next, err := a.chat.Conversations(c.UserContext(), caller(c), from, limit)
	if err != nil {
		return nil, err
	}
	details, err := a.chat.Details(c.UserContext(), caller(c), views)
	if err != nil {
		return nil, err
	}
	var page chatsPage
	if page.Items, err = a.conversations(c.UserContext(), details...); err != nil || next == nil {
		return page, err
	}
	page.NextCursor, err = a.cursors.Encode(chatsList, string(caller(c)), next)
	return page, err
}

func (a *API) getChat(c *fiber.Ctx) (any, error) {
	body, err := httpserver.Body[struct {
		ChatID string `json:"chat_id"`
	}](c)
	if err != nil {
		return nil, err
	}
	wanted, err := chatID(body.ChatID)
	if err != nil {
		return nil, err
	}
	detail, err := a.chat.Conversation(c.UserContext(), caller(c), wanted)
	if err != nil {
		return nil, err
	}
	return a.conversation(c.UserContext(), detail)
}

func (a *API) startChat(c *fiber.Ctx) (any, error) {
	body, err := httpserver.Body[struct {
		UserIDs []string `json:"user_ids"`
	}](c)
	if err != nil {
		return nil, err
	}
	key, err := httpserver.IdempotencyKey(c, nil)
	if err != nil {
		return nil, err
	}
	client, err := httpserver.ClientID(c)
	if err != nil {
		return nil, err
	}
	detail, again, err := a.chat.Start(c.UserContext(), caller(c), body.UserIDs, key, client)
	if err != nil {
		return nil, err
	}
	httpserver.Replayed(c, again)
	return a.conversation(c.UserContext(), detail)
}
