package restapi

import (
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/paging"
)

type createRequest struct {
	Type     chat.Type `json:"type"`
	Name     string    `json:"name"`
	Members  *[]string `json:"members"`
	Metadata struct {
		Description string `json:"description"`
		Avatar      string `json:"avatar"`
	} `json:"metadata"`
}

func (r createRequest) conversation(key string) (chat.NewConversation, error) {
	n := chat.NewConversation{Type: r.Type, Name: r.Name, Metadata: chat.Metadata(r.Metadata), Key: key}
	if r.Members == nil {
		return n, fault.Field("members", "is needed; it may be empty for a group")
	}
	var err error
	n.Members, err = agentIDs("members", *r.Members...)
	return n, err
}

type conversationSummary struct {
	ConversationID string           `json:"conversation_id"`
	Type           chat.Type        `json:"type"`
	Name           string           `json:"name"`
	LastMessageAt  *httpserver.Time `json:"last_message_at"`
	UpdatedAt      httpserver.Time  `json:"updated_at"`
	LastSeq        int64            `json:"last_seq"`
	UnreadCount    int64            `json:"unread_count"`
}

func summary(v chat.View) conversationSummary {
	return conversationSummary{
		ConversationID: v.ID.String(), Type: v.Type, Name: v.Name,
		LastMessageAt: httpserver.NullTime(&v.Last.At), UpdatedAt: httpserver.Time(v.ChangedAt()),
		LastSeq: v.Last.Seq, UnreadCount: v.Unread(),
	}
}

func (a *API) postConversation(c *fiber.Ctx) error {
	body, err := httpserver.Body[createRequest](c)
	if err != nil {
		return err
	}
	key, err := httpserver.IdempotencyKey(c, nil)
	if err != nil {
		return err
	}
	wanted, err := body.conversation(key)
	if err != nil {
		return err
	}
	if wanted.Client, err = httpserver.ClientID(c); err != nil {
		return err
	}
	created, err := a.chat.Create(c.UserContext(), caller(c), wanted)
	if err != nil {
		return err
	}
	httpserver.Replayed(c, created.Replayed)
	if created.Made {
		c.Status(http.StatusCreated)
	}
	return c.JSON(summary(created.View))
}

type conversationPage struct {
	Conversations []conversationSummary `json:"conversations"`
	Cursor        string                `json:"cursor"`
	HasMore       bool                  `json:"has_more"`
}

// listPlace is a chat.ListPage in a cursor.
type listPlace struct {
	At    time.Time       `json:"at"`
	ID    id.Conversation `json:"id"`
	Known []byte          `json:"k"`
}

func listPlaceOf(p chat.ListPage) listPlace {
	return listPlace{p.Behind.At, p.Behind.ID, p.Known.Bytes()}
}

func (p listPlace) page() (*chat.ListPage, error) {
	known, err := events.FromBytes(p.Known)
	if err != nil {
		return nil, paging.ErrCursor.Because(err)
	}
	return &chat.ListPage{Behind: chat.Position{At: p.At, ID: p.ID}, Known: known}, nil
}

func (a *API) getConversations(c *fiber.Ctx) error {
	limit, err := paging.Limit(c.Query("limit"), defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	list := cursorList{a.cursors, "conversations", caller(c)}
	var from *chat.ListPage
	if c.Query("cursor") != "" {
		var at listPlace
		if err := list.read(c, &at); err != nil {
			return err
		}
		if from, err = at.page(); err != nil {
			return err
		}
	}
	views, next, err := a.chat.Conversations(c.UserContext(), caller(c), from, limit)
	if err != nil {
		return err
	}
	page := conversationPage{Conversations: make([]conversationSummary, len(views)), HasMore: next != nil}
	for i, v := range views {
		page.Conversations[i] = summary(v)
	}
	if next != nil {
		page.Cursor, err = list.cursor(true, listPlaceOf(*next))
	}
	if err != nil {
		return err
	}
	return c.JSON(page)
}

type member struct {
	AgentID  id.Account      `json:"agent_id"`
	Role     chat.Role       `json:"role"`
	JoinedAt httpserver.Time `json:"joined_at"`
}

type metadata struct {
	Description string `json:"description"`
	Avatar      string `json:"avatar"`
}

type conversationDetail struct {
	ConversationID string           `json:"conversation_id"`
	Type           chat.Type        `json:"type"`
	Name           string           `json:"name"`
	CreatorID      id.Account       `json:"creator_id"`
	Members        []member         `json:"members"`
	Status         string           `json:"status"`
	Metadata       metadata         `json:"metadata"`
	LastMessageAt  *httpserver.Time `json:"last_message_at"`
	CreatedAt      httpserver.Time  `json:"created_at"`
	UpdatedAt      httpserver.Time  `json:"updated_at"`
	MemberCount    int              `json:"member_count"`
	LastSeq        int64            `json:"last_seq"`
	UnreadCount    int64            `json:"unread_count"`
}

func showDetail(d chat.Detail) conversationDetail {
	s := summary(d.View)
	return conversationDetail{
		ConversationID: s.ConversationID, Type: s.Type, Name: s.Name,
		CreatorID: d.Creator, Members: shownMembers(d.Members), Status: "active", Metadata: metadata(d.Metadata),
		LastMessageAt: s.LastMessageAt, CreatedAt: httpserver.Time(d.CreatedAt), UpdatedAt: s.UpdatedAt,
		MemberCount: d.MemberCount, LastSeq: s.LastSeq, UnreadCount: s.UnreadCount,
	}
}

func (a *API) getConversation(c *fiber.Ctx) error {
	conversation, err := pathConversation(c)
	if err != nil {
		return err
	}
	detail, err := a.chat.Conversation(c.UserContext(), caller(c), conversation)
	if err != nil {
		return err
	}
	return c.JSON(showDetail(detail))
}
