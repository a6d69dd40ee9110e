// Package rpcapi is the RPC door of chat-svc: every method of
// docs/api/conversations-rpc.md, over the same domain as the REST door.
// Handlers decode and call; what they give is encoded in one place.
package rpcapi

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/paging"
	"chatplatform.io/svckit/token"
)

// API serves the methods.
type API struct {
	chat     *chat.Service
	accounts Accounts
	verifier *token.Verifier
	cursors  *paging.Codec
	polled   Polled
	catchUp  CatchUp

	foundNothing FoundNothing
}

// Polled puts a list of messages, named by its route, under the polling
// contract (docs/api/chat.md#poll).
type Polled func(route string, next fiber.Handler) fiber.Handler

// FoundNothing notes that what is answered to a poll tells nothing.
type FoundNothing func(*fiber.Ctx)

// CatchUp makes what the lists of messages take as after: behind a position, for
// an account.
type CatchUp func(account id.Account, behind events.Position) (string, error)

// Deps are what the door works with.
type Deps struct {
	Chat     *chat.Service
	Accounts Accounts
	Verifier *token.Verifier
	Cursors  *paging.Codec
	Polled   Polled
	CatchUp  CatchUp

	FoundNothing FoundNothing
}

// New makes the door.
func New(d Deps) *API {
	return &API{
		chat: d.Chat, accounts: d.Accounts, verifier: d.Verifier, cursors: d.Cursors,
		polled: d.Polled, catchUp: d.CatchUp, foundNothing: d.FoundNothing,
	}
}

// A method has a name, the scopes of which a caller needs one, and a handler
// that gives the result.
type method struct {
	name   string
	scopes token.Scopes
	handle func(*fiber.Ctx) (any, error)
	polls  bool // lists messages
}

func (a *API) methods() []method {
	see, manage := token.SeeConversations(), token.ManageConversations()
	read, write := token.Scopes{token.MessagesRead}, token.Scopes{token.MessagesWrite}
	return []method{
		{"getChats", see, a.getChats, false},
		{"getChat", see, a.getChat, false},
		{"startChat", manage, a.startChat, false},
		{"sendMessage", write, a.sendMessage, false},
		{"getChatHistory", read, a.getChatHistory, true},
		{"markRead", read, a.markRead, false},
		{"deleteMessages", write, a.deleteMessages, false},
		{"sendChatAction", write, a.sendChatAction, false},
	}
}

// Methods are the names served here.
func (a *API) Methods() []string {
	var names []string
	for _, m := range a.methods() {
		names = append(names, m.name)
	}
	return names
}

// Mount adds the methods to f.
func (a *API) Mount(f *fiber.App) {
	for _, m := range a.methods() {
		handle := a.answer(m)
		if m.polls {
			handle = a.polled("chat", handle)
		}
		f.Post("/api/"+m.name, token.Require(a.verifier, m.scopes...), handle)
	}
}

func (a *API) answer(m method) fiber.Handler {
	return func(c *fiber.Ctx) error {
		result, err := m.handle(c)
		if err != nil {
			return inWordsOfRPC(a.chat.Disclose(c.UserContext(), err))
		}
		return httpserver.RPCResult(c, result)
	}
}

// inWordsOfRPC has a refusal name the field as this family calls it.
func inWordsOfRPC(err error) error {
	f := fault.Of(err)
	named, _ := f.Details["field"].(string)
	detail, ok := strings.CutPrefix(f.Message, named+": ")
	if !ok {
		return err
	}
	switch named {
	case "content":
		return f.Say("text: %s", detail)
	case "in_reply_to":
		return f.Say("reply_to_message_id: %s", detail)
	case "members":
		return f.Say("user_ids: %s", detail)
	}
	return err
}

// Pages of every list.
const (
	defaultLimit = 50
	maxLimit     = 100
)

// caller is the account whose token it is.
func caller(c *fiber.Ctx) id.Account { return id.Account(token.From(c).Subject) }

// chatID reads the id of a conversation in a body.
func chatID(text string) (id.Conversation, error) {
	conversation, err := id.ParseBareConversation(text)
	if err != nil {
		return conversation, fault.Field("chat_id", "must be the id of a chat, a UUID")
	}
	return conversation, nil
}

// messageID reads the id of a message in a field of a body; nil where it is
// left out.
func messageID(field string, text *string) (*id.Message, error) {
	if text == nil {
		return nil, nil
	}
	message, err := id.ParseBareMessage(*text)
	if err != nil {
		return nil, fault.Field(field, "must be the id of a message")
	}
	return &message, nil
}
