package rpcapi

import (
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/paging"
)

type message struct {
	ID             string          `json:"id"`
	ConversationID string          `json:"conversation_id"`
	Sender         account         `json:"sender"`
	Content        string          `json:"content"` // of a deleted message there is none: ""
	Type           string          `json:"type,omitempty"`
	Seq            int64           `json:"seq"`
	CreatedAt      httpserver.Time `json:"created_at"`

	ReplyTo     string           `json:"reply_to_message_id,omitempty"`
	EditedAt    *httpserver.Time `json:"edited_at,omitempty"`
	Deleted     bool             `json:"deleted,omitempty"`
	ClientMsgID string           `json:"client_msg_id,omitempty"`
}

// message is a message as one account sees it: the key of a send is its sender's.
func (p people) message(m sequence.Message, to id.Account) message {
	shown := message{
		ID: m.ID.Bare(), ConversationID: m.ID.Conversation.Bare(), Sender: p.show(m.Sender),
		Content: m.Body.Content, Seq: m.ID.Seq, CreatedAt: httpserver.Time(m.CreatedAt),
		EditedAt: httpserver.NullTime(&m.EditedAt), Deleted: m.Deleted || m.Withdrawn,
	}
	if m.Body.Type != chat.Text {
		shown.Type = m.Body.Type
	}
	if m.Body.InReplyTo != 0 {
		shown.ReplyTo = id.Message{Conversation: m.ID.Conversation, Seq: m.Body.InReplyTo}.Bare()
	}
	if m.Sender == to {
		shown.ClientMsgID = m.Key
	}
	return shown
}

type sendRequest struct {
	ChatID      string  `json:"chat_id"`
	Text        string  `json:"text"`
	ReplyTo     *string `json:"reply_to_message_id"`
	ClientMsgID *string `json:"client_msg_id"`
}

func (r sendRequest) message(key string) (chat.NewMessage, error) {
	wanted, err := chatID(r.ChatID)
	if err != nil {
		return chat.NewMessage{}, err
	}
	replyTo, err := messageID("reply_to_message_id", r.ReplyTo)
	return chat.NewMessage{Conversation: &wanted, Content: r.Text, InReplyTo: replyTo, Key: key}, err
}

func (a *API) sendMessage(c *fiber.Ctx) (any, error) {
	body, err := httpserver.Body[sendRequest](c)
	if err != nil {
		return nil, err
	}
	key, err := httpserver.IdempotencyKey(c, body.ClientMsgID)
	if err != nil {
		return nil, err
	}
	wanted, err := body.message(key)
	if err != nil {
		return nil, err
	}
	// What the answer needs is there before anything is sent.
	people, err := a.people(c.UserContext(), caller(c))
	if err != nil {
		return nil, err
	}
	receipt, err := a.chat.Send(c.UserContext(), caller(c), wanted)
	if err != nil {
		return nil, err
	}
	httpserver.Replayed(c, receipt.Replayed)
	return people.message(receipt.Message, caller(c)), nil
}

type historyRequest struct {
	ChatID string  `json:"chat_id"`
	Limit  *int    `json:"limit"`
	Before *string `json:"before"`
}

// from is the number below which the page begins; 0 for the newest page.
func (r historyRequest) from(of id.Conversation) (int64, error) {
	before, err := messageID("before", r.Before)
	if err != nil || before == nil {
		return 0, err
	}
	if before.Conversation != of {
		return 0, fault.Field("before", "must be a message of this chat")
	}
	return before.Seq, nil
}

type historyPage struct {
	Items []message `json:"items"`
	// NextCursor is the place down to which was read, where there are older messages:
	// the before of the next request.
	NextCursor string `json:"next_cursor,omitempty"`
}

func (a *API) getChatHistory(c *fiber.Ctx) (any, error) {
	body, err := httpserver.Body[historyRequest](c)
	if err != nil {
		return nil, err
	}
	wanted, err := chatID(body.ChatID)
	if err != nil {
		return nil, err
	}
	limit, err := paging.Clamp(body.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	from, err := body.from(wanted)
	if err != nil {
		return nil, err
	}
	release, err := a.chat.Reading(c.UserContext())
	if err != nil {
		return nil, err
	}
	found, below, err := a.chat.History(c.UserContext(), caller(c), wanted, from, limit)
	release()
	if err != nil {
		return nil, err
	}
	page := historyPage{}
	if page.Items, err = a.messages(c, found.Messages); err != nil {
		return nil, err
	}
	if found.More {
		page.NextCursor = id.Message{Conversation: wanted, Seq: below}.Bare()
	}
	if len(page.Items) == 0 {
		a.foundNothing(c)
	}
	a.chat.Count(chat.Delivered, len(page.Items))
	return page, nil
}

// messages shows messages with the names of their senders.
func (a *API) messages(c *fiber.Ctx, all []sequence.Message) ([]message, error) {
	senders := make([]id.Account, len(all))
	for i, m := range all {
		senders[i] = m.Sender
	}
	people, err := a.people(c.UserContext(), senders...)
	if err != nil {
		return nil, err
	}
	shown := make([]message, len(all))
	for i, m := range all {
		shown[i] = people.message(m, caller(c))
	}
	return shown, nil
}
