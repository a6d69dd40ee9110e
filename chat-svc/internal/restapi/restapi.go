// Package restapi is the REST door of chat-svc: every path of docs/api/chat.md.
// Handlers decode, call and encode; the rules are in package chat.
package restapi

import (
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/paging"
	"chatplatform.io/svckit/token"
)

// API serves the REST paths.
type API struct {
	chat     *chat.Service
	verifier *token.Verifier
	cursors  *paging.Codec
	polls    *Polls
}

// New makes the door.
func New(service *chat.Service, verifier *token.Verifier, cursors *paging.Codec, polls *Polls) *API {
	return &API{chat: service, verifier: verifier, cursors: cursors, polls: polls}
}

// Mount adds the routes to f.
func (a *API) Mount(f *fiber.App) {
	look := token.Require(a.verifier, token.SeeConversations()...)
	manage := token.Require(a.verifier, token.ManageConversations()...)
	read := token.Require(a.verifier, token.MessagesRead)
	send := token.Require(a.verifier, token.MessagesWrite)

	f.Get("/api/messages", read, a.polls.Polled("all", a.getTimeline))
	f.Post("/api/messages", send, a.postMessage)
	f.Put("/api/messages/:message_id", send, a.putMessage)
	f.Delete("/api/messages/:message_id", send, a.deleteMessage)
	f.Post("/api/conversations", manage, a.postConversation)
	f.Get("/api/conversations", look, a.getConversations)
	f.Get("/api/conversations/:conversation_id", look, a.getConversation)
	f.Get("/api/conversations/:conversation_id/messages", read, a.polls.Polled("conversation", a.getMessages))
	f.Put("/api/conversations/:conversation_id", manage, a.putConversation)
	f.Delete("/api/conversations/:conversation_id", manage, a.deleteConversation)
	f.Get("/api/conversations/:conversation_id/members", look, a.getMembers)
	f.Post("/api/conversations/:conversation_id/members", manage, a.postMember)
	f.Delete("/api/conversations/:conversation_id/members/:agent_id", manage, a.deleteMember)
	f.Put("/api/conversations/:conversation_id/role", manage, a.putRole)
	f.Post("/api/conversations/:conversation_id/leave", manage, a.postLeave)
	f.Post("/api/conversations/:conversation_id/transfer", manage, a.postTransfer)
	f.Post("/api/conversations/:conversation_id/read", read, a.postRead)
	f.Post("/api/blocks", send, a.postBlock)
	f.Get("/api/blocks", send, a.getBlocks)
	f.Delete("/api/blocks/:block_id", send, a.deleteBlock)
}

// Pages of every list.
const (
	defaultLimit = 50
	maxLimit     = 100
)

// caller is the account whose token it is.
func caller(c *fiber.Ctx) id.Account { return id.Account(token.From(c).Subject) }

// pathConversation reads the conversation in the path; a malformed one is none.
func pathConversation(c *fiber.Ctx) (id.Conversation, error) {
	conversation, err := id.ParseConversation(c.Params("conversation_id"))
	if err != nil {
		return id.Conversation{}, fault.ErrNotFound
	}
	return conversation, nil
}

// agentIDs reads account ids in a body.
func agentIDs(field string, texts ...string) ([]id.Account, error) {
	accounts := make([]id.Account, len(texts))
	for i, text := range texts {
		a, err := id.ParseAccount(text)
		if err != nil {
			return accounts, chat.ErrAgentID.Say("%s: must be agt_ and 20 characters.", field).With("field", field)
		}
		accounts[i] = a
	}
	return accounts, nil
}
