package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

// settleWait bounds a read that waits until a refusing write is durable.
const settleWait = 5 * time.Second

// A session is sequence.Session: the driver's causally consistent session.
// Its reads carry the cluster time of its writes, refused ones too, so that at
// read concern majority they wait for what refused them.
type session struct {
	*mongo.Session
	messages *mongo.Collection
}

// Begin implements sequence.Store.
func (s *Store) Begin() (sequence.Session, error) {
	if err := s.db.Reachable(); err != nil {
		return nil, err
	}
	begun, err := s.db.Client().StartSession(options.Session().SetCausalConsistency(true))
	if err != nil {
		return nil, mongodb.Fault(fmt.Errorf("start a session: %w", err))
	}
	return session{begun, s.db.Collection(messages)}, nil
}

// End implements sequence.Session.
func (s session) End() { s.EndSession(context.Background()) }

// Insert implements sequence.Session.
func (s session) Insert(ctx context.Context, run []sequence.Message) (sequence.Outcome, error) {
	docs := make([]messageDoc, len(run))
	for i, m := range run {
		docs[i] = messageDocOf(m)
	}
	_, err := s.messages.InsertMany(mongo.NewSessionContext(ctx, s.Session), docs, options.InsertMany().SetOrdered(true))
	if err == nil {
		return sequence.Outcome{Stored: len(run)}, nil
	}
	outcome, known := refused(err)
	if !known {
		return sequence.Outcome{}, mongodb.Fault(fmt.Errorf("insert %d messages: %w", len(run), err))
	}
	return outcome, nil
}

// refused reads how far an ordered insert came from its error. Nothing is
// known where no majority confirmed in time, or the server was on its way out.
func refused(err error) (o sequence.Outcome, known bool) {
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) || bulk.WriteConcernError != nil || len(bulk.WriteErrors) != 1 ||
		errors.Is(mongodb.Fault(err), fault.ErrUnavailable) {
		return o, false
	}
	first := bulk.WriteErrors[0]
	o = sequence.Outcome{Stored: first.Index, Refusal: sequence.Rejected, Err: first}
	if !mongo.IsDuplicateKeyError(err) {
		return o, true
	}
	index, _ := first.Raw.Lookup("keyPattern").DocumentOK()
	if _, err := index.LookupErr("_id"); err == nil {
		o.Refusal = sequence.PlaceTaken
	} else if _, err := index.LookupErr("key"); err == nil {
		o.Refusal = sequence.KeyRepeated
	}
	return o, true
}

// From implements sequence.Session.
func (s session) From(ctx context.Context, c id.Conversation, seq int64, limit int) ([]sequence.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	docs, err := findAll[messageDoc](mongo.NewSessionContext(ctx, s.Session), s.messages,
		in(c, bson.E{Key: "s", Value: bson.D{{Key: "$gte", Value: seq}}}),
		options.Find().SetSort(bson.D{{Key: "s", Value: 1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("read %s from %d on: %w", c, seq, err)
	}
	return each(docs, messageDoc.message)
}

// ByKey implements sequence.Session.
func (s session) ByKey(ctx context.Context, c id.Conversation, sender id.Account, key string) (sequence.Message, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	doc, err := findOne[messageDoc](mongo.NewSessionContext(ctx, s.Session), s.messages,
		sentUnder(c, sender, key))
	if errors.Is(err, fault.ErrNotFound) {
		return sequence.Message{}, false, nil
	}
	if err != nil {
		return sequence.Message{}, false, fmt.Errorf("read the first message under a key in %s: %w", c, err)
	}
	m, err := doc.message()
	return m, true, err
}
