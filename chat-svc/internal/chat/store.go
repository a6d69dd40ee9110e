package chat

import (
	"context"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/chat-svc/internal/sequence"
)

// Store keeps conversations, their members and their messages. Each method is
// one atomic thing and reads what a majority has. A store that cannot be
// reached is fault.ErrUnavailable. A conversation that is still being made is
// not there yet, except where its members are concerned; a closed one is not
// there any more.
type Store interface {
	// Reachable is fault.ErrUnavailable, at once, while it is known that the
	// store cannot be reached.
	Reachable() error

	// InsertConversation keeps a new conversation with its first members, at
	// most MaxChunk; a pending one is not there until PublishConversation.
	// fault.ErrConflict where the id is taken.
	InsertConversation(ctx context.Context, c Conversation, first []Member, pending bool) error
	// AddMembers adds at most MaxChunk members to a pending conversation: all
	// of them, or none because the first of them is a member already, or
	// because the conversation is no longer pending.
	AddMembers(ctx context.Context, c id.Conversation, chunk []Member) error
	// Pending tells whether a conversation is still being made.
	Pending(ctx context.Context, c id.Conversation) (bool, error)
	// PublishConversation ends the making of a conversation.
	PublishConversation(ctx context.Context, c id.Conversation) error
	// CountConversations counts the conversations that an account is in, up to
	// most.
	CountConversations(ctx context.Context, a id.Account, most int) (int, error)
	// CountCreations counts the groups that an account has made and that were not
	// closed, up to most.
	CountCreations(ctx context.Context, a id.Account, most int) (int, error)

	// View is a conversation as one member sees it; fault.ErrNotFound for
	// others.
	View(ctx context.Context, a id.Account, c id.Conversation) (View, error)
	// Views are the conversations of an account that stand behind a position
	// in its list (nil: from the top), at most limit (0: all), in the list's
	// order.
	Views(ctx context.Context, a id.Account, behind *Position, limit int) ([]View, error)

	// Conversations finds those of the conversations that exist.
	Conversations(ctx context.Context, wanted []id.Conversation) (map[id.Conversation]Conversation, error)

	// MembersAmong finds those of the accounts that are members, in no order.
	MembersAmong(ctx context.Context, c id.Conversation, accounts []id.Account) ([]Member, error)
	// Members are at most limit members whose ids stand behind one (""; all do),
	// in the order of their ids.
	Members(ctx context.Context, c id.Conversation, behind id.Account, limit int) ([]Member, error)
	// AllMembers are the members of several conversations that have at most a
	// number of members each, in no order.
	AllMembers(ctx context.Context, of []id.Conversation, most int) (map[id.Conversation][]Member, error)
	// Leaders are the owner first and then the admins, at most limit.
	Leaders(ctx context.Context, c id.Conversation, limit int) ([]Member, error)

	// HasMessage tells whether a message is there, deleted or not; a withdrawn
	// one is not.
	HasMessage(ctx context.Context, m id.Message) (bool, error)
	// Message reads one message, withdrawn or not; fault.ErrNotFound.
	Message(ctx context.Context, m id.Message) (sequence.Message, error)
	// Messages reads those of the messages that are there, withdrawn or not, in
	// no order.
	Messages(ctx context.Context, c id.Conversation, seqs []int64) ([]sequence.Message, error)
	// SentUnder reads the message that sender wrote under key, withdrawn or
	// not; fault.ErrNotFound.
	SentUnder(ctx context.Context, c id.Conversation, sender id.Account, key string) (sequence.Message, error)
	// EditMessage changes the content; fault.ErrConflict where the message is
	// no longer as it was read. editedAt must be behind was.EditedAt.
	EditMessage(ctx context.Context, was sequence.Message, content string, editedAt time.Time) error
	// DeleteMessages hides the content of messages for good and notes by whom;
	// those that are deleted or withdrawn already stay as they are, and deleted
	// counts the others.
	DeleteMessages(ctx context.Context, c id.Conversation, seqs []int64, by id.Account, deletedAt time.Time) (deleted int, err error)
	// WithdrawMessage erases what was said, deleted or not, and leaves the
	// place; fault.ErrConflict where it is withdrawn already.
	WithdrawMessage(ctx context.Context, m id.Message) error
	// History gives the newest limit messages that were not withdrawn and whose
	// number is above one and at most the other, newest first, without those of
	// hidden senders.
	History(ctx context.Context, c id.Conversation, above, upTo int64, limit int, hidden ...id.Account) ([]sequence.Message, error)

	// SeqAt is the number of the last message that was created at an instant or
	// before; 0 for none.
	SeqAt(ctx context.Context, c id.Conversation, at time.Time) (int64, error)
	// CreatedSince gives the first limit messages that were created at an
	// instant or later, and up to another one (zero: none), and whose number is
	// above one, in order, without withdrawn ones and those of hidden senders.
	CreatedSince(ctx context.Context, c id.Conversation, at, upTo time.Time, above int64, limit int, hidden ...id.Account) ([]sequence.Message, error)

	// InsertClaim keeps a claim, for 24 hours; where the account has used the
	// key before it returns that claim, and false.
	InsertClaim(ctx context.Context, c Claim) (standing Claim, inserted bool, err error)
	// TakeClaim renews an unfinished claim; fault.ErrConflict where it is no
	// longer as it was.
	TakeClaim(ctx context.Context, was Claim, startedAt time.Time) error
	// FinishClaim notes that the conversation is there, and whether it was
	// made for this claim.
	FinishClaim(ctx context.Context, c Claim, made bool) error
	// ReleaseClaim lets the next repeat take the claim at once; it does nothing
	// where the claim is no longer as it was.
	ReleaseClaim(ctx context.Context, c Claim) error
	// DropClaim forgets the claim; it does nothing where the claim is no longer
	// as it was.
	DropClaim(ctx context.Context, c Claim) error

	ActionStore
	ChangeStore
	BlockStore
	DepartureStore
	RightsStore
	readmark.Store
}

// MaxChunk bounds the members that one call of the store adds.
const MaxChunk = 500

// Type says what kind of conversation it is.
type Type string

// The types of conversation.
const (
	Direct Type = "direct"
	Group  Type = "group"
)

// A Conversation is what is kept of one, beside its members and messages.
type Conversation struct {
	ID          id.Conversation
	Type        Type
	Name        string // "" for none
	Creator     id.Account
	Client      string // by which its creator made it; only while it is made
	Metadata    Metadata
	MemberCount int
	CreatedAt   time.Time
	UpdatedAt   time.Time // of name, metadata and members
}

// Metadata describes a group; its values may be empty.
type Metadata struct {
	Description string
	Avatar      string
}

// Role says what a member may do.
type Role string

// The roles. In a direct conversation both are RoleMember.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
)

// Leads reports whether the role is that of an owner or admin.
func (r Role) Leads() bool { return r == RoleOwner || r == RoleAdmin }

// A Member is an account in a conversation.
type Member struct {
	Account  id.Account
	Role     Role
	JoinedAt time.Time
}

// A View is a conversation as one of its members sees it.
type View struct {
	Conversation
	Last sequence.Place // of its messages; Seq 0 before the first
	Read int64          // the member's read mark
}

// Position is where the conversation stands in a list: newest first by its
// last message, or by its creation where nothing was said yet; then by id.
func (v View) Position() Position {
	at := v.Last.At
	if v.Last.Seq == 0 {
		at = v.CreatedAt
	}
	return Position{at, v.ID}
}

// ChangedAt is when the conversation or its messages last changed.
func (v View) ChangedAt() time.Time {
	if v.Last.At.After(v.UpdatedAt) {
		return v.Last.At
	}
	return v.UpdatedAt
}

// Unread counts the places behind the member's read mark.
func (v View) Unread() int64 { return max(0, v.Last.Seq-v.Read) }

// A Position is a place in a list of conversations.
type Position struct {
	At time.Time
	ID id.Conversation
}

// A Claim makes the creation of a conversation repeatable: it holds the id of
// what is to be made, so that a crash in between never makes two.
type Claim struct {
	Account      id.Account
	Key          string
	Fingerprint  [16]byte
	Conversation id.Conversation
	StartedAt    time.Time
	Finished     bool
	Made         bool // once finished: the conversation was not there before
}
