// Package token checks access tokens: signed JWTs (RFC 9068) of auth-svc,
// verified offline against its published keys and kept in a bounded cache.
package token

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"time"
)

// The scopes of the platform; docs/api/auth.md says what each permits.
const (
	MessagesRead       = "messages:read"
	MessagesWrite      = "messages:write"
	ConversationsRead  = "conversations:read"
	ConversationsWrite = "conversations:write"
	PresenceUpdate     = "presence:update"
	LLMChat            = "llm:chat"
	AgentsRead         = "agents:read"
	AgentsWrite        = "agents:write"
)

// AllScopes lists every scope, in the order that documents show them.
func AllScopes() Scopes {
	return Scopes{
		MessagesRead, MessagesWrite, ConversationsRead, ConversationsWrite,
		PresenceUpdate, LLMChat, AgentsRead, AgentsWrite,
	}
}

// DefaultScopes are those of a key that names none.
func DefaultScopes() Scopes {
	return Scopes{MessagesRead, MessagesWrite, ConversationsRead, PresenceUpdate, LLMChat}
}

// SeeConversations are the scopes each of which lets an account list and look
// at its conversations, ManageConversations those that let it make and change
// them. Who may send may do both (docs/api/auth.md).
func SeeConversations() Scopes { return append(ManageConversations(), ConversationsRead) }

// ManageConversations is described at SeeConversations.
func ManageConversations() Scopes { return Scopes{ConversationsWrite, MessagesWrite} }

// Scopes is a list of scopes; its order has no meaning.
type Scopes []string

// Has reports whether scope is among s.
func (s Scopes) Has(scope string) bool { return slices.Contains(s, scope) }

// HasAny reports whether at least one of the scopes is among s.
func (s Scopes) HasAny(scopes ...string) bool { return slices.ContainsFunc(scopes, s.Has) }

// String joins the scopes with spaces, as the scope parameter of RFC 6749 §3.3
// has them.
func (s Scopes) String() string { return strings.Join(s, " ") }

// Claims are what a checked token says.
type Claims struct {
	// Subject is the agent's id; in the tokens of services, the service's name.
	Subject string
	// KeyID is the API key that the token was made from.
	KeyID  string
	Scopes Scopes
	// ID tells tokens apart, and is what a revocation names.
	ID        string
	IssuedAt  time.Time
	ExpiresAt time.Time
	// AuthTime is when the key itself was last presented: refreshing a token
	// keeps it.
	AuthTime time.Time

	kid string            // the signing key's id
	key ed25519.PublicKey // the signing key, which must still be published under its id
}
