package mongostore

import (
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
)

// changeDoc is one change, as the database tells it.
type changeDoc struct {
	Operation string `bson:"operationType"`
	Namespace struct {
		Collection string `bson:"coll"`
	} `bson:"ns"`
	Key    bson.Raw `bson:"documentKey"`
	Full   bson.Raw `bson:"fullDocument"`
	Update struct {
		Set   bson.Raw `bson:"updatedFields"`
		Unset []string `bson:"removedFields"`
	} `bson:"updateDescription"`
}

func (d changeDoc) event() (events.Event, error) {
	switch d.Namespace.Collection {
	case messages:
		return d.messageEvent()
	case members:
		return d.memberEvent()
	case memberships:
		return d.readEvent()
	case conversations:
		return d.conversationEvent()
	case blocks:
		return d.blockEvent()
	case feed:
		return d.checkpointEvent()
	case ephemeral:
		return d.actionEvent()
	}
	return events.Event{}, nil
}

func (d changeDoc) messageEvent() (events.Event, error) {
	if len(d.Full) == 0 { // removed, now or before the change was looked up
		return events.Event{}, nil
	}
	var doc messageDoc
	if err := bson.Unmarshal(d.Full, &doc); err != nil {
		return events.Event{}, err
	}
	m, err := doc.message()
	e := events.Event{Kind: events.MessageChanged, Conversation: m.ID.Conversation, Message: &m}
	if d.Operation == "insert" {
		e.Kind = events.MessageSent
	}
	return e, err
}

func (d changeDoc) memberEvent() (events.Event, error) {
	if d.Operation == "delete" {
		c, a, err := memberOf(d.Key)
		if a == gone { // all of them were before
			return events.Event{}, err
		}
		return events.Event{Kind: events.MemberGone, Conversation: c, Account: a}, err
	}
	if len(d.Full) == 0 { // it is gone meanwhile; its going follows
		return events.Event{}, nil
	}
	var doc memberDoc
	if err := bson.Unmarshal(d.Full, &doc); err != nil {
		return events.Event{}, err
	}
	c, err := conversationOf(doc.Conversation)
	if doc.Account == gone {
		return events.Event{Kind: events.ConversationClosed, Conversation: c}, err
	}
	return events.Event{
		Kind: events.MemberSet, Conversation: c, Account: doc.Account,
		Role: string(doc.Role), Joined: d.Operation == "insert", JoinedAt: utc(doc.JoinedAt),
	}, err
}

// readEvent passes over the mark with which a membership begins: what there is
// to tell is that the account joined.
func (d changeDoc) readEvent() (events.Event, error) {
	if d.Operation == "delete" || len(d.Full) == 0 {
		return events.Event{}, nil
	}
	var doc membershipDoc
	if err := bson.Unmarshal(d.Full, &doc); err != nil || d.Operation == "insert" {
		return events.Event{}, err
	}
	c, err := conversationOf(doc.Conversation)
	return events.Event{Kind: events.ReadMoved, Conversation: c, Account: doc.Account, Seq: doc.Read}, err
}

func (d changeDoc) blockEvent() (events.Event, error) {
	var key struct {
		Pair []byte `bson:"_id"`
	}
	if err := bson.Unmarshal(d.Key, &key); err != nil {
		return events.Event{}, err
	}
	if len(key.Pair) < id.AccountSize {
		return events.Event{}, fmt.Errorf("the key of a block has %d bytes", len(key.Pair))
	}
	b := chat.Block{Blocker: id.Account(key.Pair[:id.AccountSize])}
	var err error
	b.Target, err = targetOf(string(key.Pair[id.AccountSize:]))
	return events.Event{Kind: events.BlocksChanged, Account: b.Blocker, Barred: b.Barred()}, err
}

// conversationEvent passes over what the keeper writes: the feed has told it
// before.
func (d changeDoc) conversationEvent() (events.Event, error) {
	var key struct {
		ID bson.Binary `bson:"_id"`
	}
	if err := bson.Unmarshal(d.Key, &key); err != nil {
		return events.Event{}, err
	}
	c, err := conversationOf(key.ID)
	if err != nil || d.Operation == "update" && onlyActivity(d.Update.Set) {
		return events.Event{}, err
	}
	making, err := d.making()
	return events.Event{Kind: events.ConversationSet, Conversation: c, Making: making}, err
}

// making is nil for a change of a conversation that was there before.
func (d changeDoc) making() (*events.Making, error) {
	if len(d.Full) == 0 || d.Operation != "insert" && !slices.Contains(d.Update.Unset, "pending") {
		return nil, nil
	}
	var doc conversationDoc
	err := bson.Unmarshal(d.Full, &doc)
	return &events.Making{At: utc(doc.CreatedAt), Creator: doc.Creator, Client: doc.Client, Pending: doc.Pending}, err
}

func onlyActivity(set bson.Raw) bool {
	fields, err := set.Elements()
	if err != nil || len(fields) == 0 {
		return false
	}
	for _, field := range fields {
		if field.Key() != lastSeq && field.Key() != lastMessageAt {
			return false
		}
	}
	return true
}

func (d changeDoc) checkpointEvent() (events.Event, error) {
	var doc struct {
		ID       string `bson:"_id"`
		Position []byte `bson:"position"`
	}
	if len(d.Full) == 0 {
		return events.Event{}, nil
	}
	if err := bson.Unmarshal(d.Full, &doc); err != nil || doc.ID != checkpointID {
		return events.Event{}, err
	}
	p, err := events.FromBytes(doc.Position)
	return events.Event{Kind: events.CheckpointMoved, Checkpoint: p}, err
}
