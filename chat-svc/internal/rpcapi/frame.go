package rpcapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/fasthttp/websocket"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/push"
	"chatplatform.io/svckit/paging"
)

// A Frame is what clients are sent at either door, made once for all of them.
type Frame struct {
	stream []byte
	socket *websocket.PreparedMessage
}

// wireFrame is a frame's JSON (docs/api/events.md).
type wireFrame struct {
	Method string `json:"method"`
	Params any    `json:"params"`
	ID     string `json:"id,omitempty"`
}

const framePrefix = "events."

func (w wireFrame) frame() (Frame, error) {
	data, err := json.Marshal(w)
	if err != nil {
		return Frame{}, fmt.Errorf("encode a frame of %s: %w", w.Method, err)
	}
	var stream bytes.Buffer
	if w.ID != "" {
		stream.WriteString("id: " + w.ID + "\n")
	}
	stream.WriteString("data: ")
	stream.Write(data) // JSON has no line ends
	stream.WriteString("\n\n")
	socket, err := websocket.NewPreparedMessage(websocket.TextMessage, data)
	return Frame{stream.Bytes(), socket}, err
}

// Frame makes what an account's clients are sent. fault.ErrNotFound where it may
// not see it any more.
func (a *API) Frame(ctx context.Context, t push.Telling, to id.Account) (Frame, error) {
	params, err := a.params(ctx, t, to)
	if err != nil {
		return Frame{}, err
	}
	eventID, err := a.eventID(t.Event.Position)
	if err != nil {
		return Frame{}, err
	}
	return wireFrame{framePrefix + string(t.Method), params, eventID}.frame()
}

// eventsList is the list that ids of events belong to. They are the same for
// every account: one sees no more by another's.
const eventsList = "events"

func (a *API) eventID(p events.Position) (string, error) {
	return a.cursors.Encode(eventsList, "", p.Bytes())
}

// position reads the id of an event.
func (a *API) position(text string) (events.Position, error) {
	var raw []byte
	if err := a.cursors.Decode(eventsList, "", text, &raw); err != nil {
		return events.Position{}, errSince.Because(err)
	}
	p, err := events.FromBytes(raw)
	if err != nil {
		return p, errSince.Because(err)
	}
	return p, nil
}

// errSince refuses what is the id of no event of this data.
var errSince = paging.ErrCursor.Say("since: this is not the id of an event; begin without one, and read from a list what there is.").
	With("field", "since")

// change is about one account in a conversation.
type change struct {
	ConversationID string `json:"conversation_id"`
	Username       string `json:"username"`
	Role           string `json:"role,omitempty"`
	Removed        bool   `json:"removed,omitempty"`
	UpToSeq        int64  `json:"up_to_seq,omitempty"`
	Action         string `json:"action,omitempty"`
}

type deletion struct {
	ConversationID string `json:"conversation_id"`
	ID             string `json:"id"`
	Withdrawn      bool   `json:"withdrawn,omitempty"`
}

type gap struct {
	CatchUp string `json:"catch_up"`
}

func (a *API) params(ctx context.Context, t push.Telling, to id.Account) (any, error) {
	e := t.Event
	switch t.Method {
	case push.ConversationNew:
		return a.conversationNew(ctx, e.Conversation, to)
	case push.MessageDeleted:
		return deletion{e.Conversation.Bare(), e.Message.ID.Bare(), e.Message.Withdrawn}, nil
	case push.Lost:
		next, err := a.catchUp(to, t.From)
		return gap{next}, err
	}
	about := e.Account
	switch {
	case t.Method == push.Hello:
		about = to
	case e.Message != nil:
		about = e.Message.Sender
	}
	people, err := a.people(ctx, about)
	if err != nil {
		return nil, err
	}
	who := people.show(about)
	switch t.Method {
	case push.Hello:
		return who, nil
	case push.MessageNew, push.MessageEdited:
		return people.message(*e.Message, to), nil
	case push.MemberChanged, push.Read, push.Typing:
		return change{
			ConversationID: e.Conversation.Bare(), Username: who.Username, Role: e.Role,
			Removed: e.Kind == events.MemberGone, UpToSeq: e.Seq, Action: e.Action,
		}, nil
	}
	return nil, fmt.Errorf("there is no frame of %s", t.Method)
}

// conversationNew shows a conversation to who has come into it: nothing in it
// is unread, as what is said from now on is told.
func (a *API) conversationNew(ctx context.Context, c id.Conversation, to id.Account) (any, error) {
	detail, err := a.chat.Conversation(ctx, to, c)
	if err != nil {
		return nil, err
	}
	detail.Read = detail.Last.Seq
	return a.conversation(ctx, detail)
}
