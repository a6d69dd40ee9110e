package mongostore

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/mongodb"
)

type actionDoc struct {
	Conversation bson.Binary `bson:"c"`
	Account      id.Account  `bson:"a"`
	Action       string      `bson:"action"`
	ExpiresAt    time.Time   `bson:"expires_at"`
}

// TellAction implements chat.Store. One member of a replica set is enough, and
// its memory: what is lost with it would soon be over anyway.
func (s *Store) TellAction(ctx context.Context, c id.Conversation, a id.Account, action string, at time.Time) error {
	journaled := false
	lightly := options.Collection().SetWriteConcern(&writeconcern.WriteConcern{W: 1, Journal: &journaled})
	_, err := s.db.Collection(ephemeral, lightly).InsertOne(ctx, actionDoc{
		Conversation: binary(c), Account: a, Action: action, ExpiresAt: at.Add(events.EphemeralLife),
	})
	if err != nil {
		return mongodb.Fault(fmt.Errorf("tell an action in %s: %w", c, err))
	}
	return nil
}

func (d changeDoc) actionEvent() (events.Event, error) {
	if d.Operation != "insert" { // it has expired
		return events.Event{}, nil
	}
	var doc actionDoc
	if err := bson.Unmarshal(d.Full, &doc); err != nil {
		return events.Event{}, err
	}
	c, err := conversationOf(doc.Conversation)
	return events.Event{Kind: events.Typing, Conversation: c, Account: doc.Account, Action: doc.Action}, err
}
