package restapi

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/polling"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/paging"
)

type sendRequest struct {
	ConversationID   *string  `json:"conversation_id"`
	RecipientAgentID *string  `json:"recipient_agent_id"`
	Content          string   `json:"content"`
	Type             string   `json:"type"`
	InReplyTo        *string  `json:"in_reply_to"`
	Mention          []string `json:"mention"`
	ClientMsgID      *string  `json:"client_msg_id"`
}

func (r sendRequest) message(key string) (chat.NewMessage, error) {
	n := chat.NewMessage{Content: r.Content, Type: r.Type, Key: key}
	if r.ConversationID != nil {
		conversation, err := id.ParseConversation(*r.ConversationID)
		if err != nil {
			return n, fault.Field("conversation_id", "is not the id of a conversation")
		}
		n.Conversation = &conversation
	}
	if r.RecipientAgentID != nil {
		recipient, err := agentIDs("recipient_agent_id", *r.RecipientAgentID)
		if err != nil {
			return n, err
		}
		n.Recipient = &recipient[0]
	}
	if r.InReplyTo != nil {
		message, err := id.ParseMessage(*r.InReplyTo)
		if err != nil {
			return n, fault.Field("in_reply_to", "is not the id of a message")
		}
		n.InReplyTo = &message
	}
	var err error
	n.Mention, err = agentIDs("mention", r.Mention...)
	return n, err
}

type sentMessage struct {
	MessageID      string          `json:"message_id"`
	ConversationID string          `json:"conversation_id"`
	SenderID       id.Account      `json:"sender_id"`
	Content        string          `json:"content,omitempty"`
	Type           string          `json:"type"`
	Status         string          `json:"status"`
	CreatedAt      httpserver.Time `json:"created_at"`
	Seq            int64           `json:"seq"`
	// What a repeat may find.
	EditedAt *httpserver.Time `json:"edited_at,omitempty"`
	Deleted  bool             `json:"deleted,omitempty"`
	// The message is stored; the order of lists follows.
	Stale bool `json:"stale_conversation_list_order,omitempty"`
}

func (a *API) postMessage(c *fiber.Ctx) error {
	body, err := httpserver.Body[sendRequest](c)
	if err != nil {
		return err
	}
	key, err := httpserver.IdempotencyKey(c, body.ClientMsgID)
	if err != nil {
		return err
	}
	wanted, err := body.message(key)
	if err != nil {
		return err
	}
	if wanted.Client, err = httpserver.ClientID(c); err != nil {
		return err
	}
	receipt, err := a.chat.Send(c.UserContext(), caller(c), wanted)
	if err != nil {
		return err
	}
	httpserver.Replayed(c, receipt.Replayed)
	m := receipt.Message
	return c.Status(http.StatusCreated).JSON(sentMessage{
		MessageID: m.ID.String(), ConversationID: m.ID.Conversation.String(), SenderID: m.Sender,
		Content: m.Body.Content, Type: m.Body.Type, Status: "sent",
		CreatedAt: httpserver.Time(m.CreatedAt), Seq: m.ID.Seq,
		EditedAt: httpserver.NullTime(&m.EditedAt), Deleted: m.Deleted || m.Withdrawn,
		Stale: a.chat.ListsAreStale(),
	})
}

type listedMessage struct {
	MessageID      string          `json:"message_id"`
	ConversationID string          `json:"conversation_id"`
	SenderID       id.Account      `json:"sender_id"`
	Content        string          `json:"content,omitempty"` // of a deleted message there is none
	Type           string          `json:"type"`
	CreatedAt      httpserver.Time `json:"created_at"`
	Seq            int64           `json:"seq"`
	InReplyTo      string          `json:"in_reply_to,omitempty"`
	Mention        []id.Account    `json:"mention,omitempty"`

	EditedAt *httpserver.Time `json:"edited_at,omitempty"`
	Deleted  bool             `json:"deleted,omitempty"`
}

func listed(m sequence.Message) listedMessage {
	l := listedMessage{
		MessageID: m.ID.String(), ConversationID: m.ID.Conversation.String(), SenderID: m.Sender,
		Content: m.Body.Content, Type: m.Body.Type, CreatedAt: httpserver.Time(m.CreatedAt),
		Seq: m.ID.Seq, Mention: m.Body.Mention,
		EditedAt: httpserver.NullTime(&m.EditedAt), Deleted: m.Deleted,
	}
	if m.Body.InReplyTo != 0 {
		l.InReplyTo = id.Message{Conversation: m.ID.Conversation, Seq: m.Body.InReplyTo}.String()
	}
	return l
}

type messagePage struct {
	Messages []listedMessage `json:"messages"`
	Cursor   string          `json:"cursor"`
	HasMore  bool            `json:"has_more"`
	Next     string          `json:"next"`
}

func (a *API) getMessages(c *fiber.Ctx) error {
	conversation, err := pathConversation(c)
	if err != nil {
		return err
	}
	q, err := messageQueryOf(c)
	if err != nil {
		return err
	}
	if q.after != "" {
		return a.catchUp(c, &conversation, q)
	}
	key := polling.Key{Account: caller(c), Conversation: conversation, Limit: q.limit}
	var version uint64
	if q.cursor == "" {
		var done bool
		if version, done = a.remembered(c, key); done {
			return nil
		}
	}
	list := cursorList{a.cursors, "messages of " + conversation.String(), caller(c)}
	at, next, err := list.place(c) // its number is the one under which the page begins
	if err != nil {
		return err
	}
	release, err := a.polls.Read(c.UserContext())
	if err != nil {
		return err
	}
	defer release()
	found, below, err := a.chat.History(c.UserContext(), caller(c), conversation, at.Seq, q.limit)
	if err != nil {
		return err
	}
	if q.cursor == "" {
		a.chat.Track(c.UserContext(), caller(c)) // the next poll is answered from memory
	} else {
		found.Next = next
	}
	cursor, err := list.cursor(found.More, place{Seq: below, Next: nextBytesOf(found.Next)})
	if err != nil {
		return err
	}
	if q.cursor == "" {
		return a.firstPage(c, key, version, found, cursor)
	}
	return a.answerMessages(c, found, cursor)
}

// A cursorList is a list as one account walks it.
type cursorList struct {
	codec   *paging.Codec
	name    string
	account id.Account
}

// place decodes the cursor of a list of messages, and the next in it; both are
// zero for the first page.
func (l cursorList) place(c *fiber.Ctx) (at place, next chat.Next, err error) {
	if err := l.read(c, &at); err != nil || c.Query("cursor") == "" {
		return at, next, err
	}
	if next, err = at.Next.next(); err != nil {
		return at, next, paging.ErrCursor.Because(err)
	}
	return at, next, nil
}

// read decodes the cursor in the query into place, where there is one.
func (l cursorList) read(c *fiber.Ctx, place any) error {
	cursor := c.Query("cursor")
	if cursor == "" {
		return nil
	}
	return l.codec.Decode(l.name, string(l.account), cursor, place)
}

// cursor is the way to the page that begins behind place; "" on the last page.
func (l cursorList) cursor(more bool, place any) (string, error) {
	if !more {
		return "", nil
	}
	return l.codec.Encode(l.name, string(l.account), place)
}
