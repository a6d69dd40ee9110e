package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

// streamWait is how long the database waits for a change before it says that
// there was none. What is known grows by such words too, and is then up to two
// of these waits old: that must stay well below what the feed calls fresh.
const streamWait = 250 * time.Millisecond

// closeWait bounds how long a database that does not answer holds up the end of
// a stream.
const closeWait = 2 * time.Second

// checkpointID is the one document of the collection feed that is no lease.
const checkpointID = "checkpoint"

type checkpointDoc struct {
	Position []byte `bson:"position"`
}

// Checkpoint implements events.Source. Where there is none yet it is made at
// the newest change, before anything was sent.
func (s *Store) Checkpoint(ctx context.Context) (events.Position, error) {
	doc, err := findOne[checkpointDoc](ctx, s.db.Collection(feed), bson.D{{Key: "_id", Value: checkpointID}})
	if errors.Is(err, fault.ErrNotFound) {
		return s.firstCheckpoint(ctx)
	}
	if err != nil {
		return events.Position{}, fmt.Errorf("read the checkpoint: %w", err)
	}
	return events.FromBytes(doc.Position)
}

func (s *Store) firstCheckpoint(ctx context.Context) (events.Position, error) {
	p, err := s.newestChange(ctx)
	if err != nil {
		return p, err
	}
	return p, s.SaveCheckpoint(ctx, p)
}

// Repair implements events.Source. It reads the last message behind what each
// conversation's document has, one bounded read each.
func (s *Store) Repair(ctx context.Context) (p events.Position, err error) {
	err = s.atNewest(ctx, func(ctx context.Context, newest events.Position) error {
		p = newest
		return s.repair(ctx)
	})
	if err != nil {
		return p, fmt.Errorf("repair conversations from their messages: %w", err)
	}
	return p, s.SaveCheckpoint(ctx, p)
}

func (s *Store) repair(ctx context.Context) error {
	var late []events.Activity
	for doc, err := range s.everyConversation(ctx, lastSeq) {
		if err != nil {
			return err
		}
		if late, err = s.appendLate(ctx, late, doc); err != nil {
			return err
		}
		if len(late) < maxLookup {
			continue
		}
		if err := s.SaveActivity(ctx, late); err != nil {
			return err
		}
		late = late[:0]
	}
	if len(late) == 0 {
		return nil
	}
	return s.SaveActivity(ctx, late)
}

// appendLate adds the last message of a conversation whose document lacks it.
func (s *Store) appendLate(ctx context.Context, late []events.Activity, doc listedDoc) ([]events.Activity, error) {
	c, err := conversationOf(doc.ID)
	if err != nil {
		return late, err
	}
	last, err := findAll[messageDoc](ctx, s.db.Collection(messages),
		in(c, bson.E{Key: "s", Value: bson.D{{Key: "$gt", Value: doc.LastSeq}}}),
		options.Find().SetSort(bson.D{{Key: "s", Value: -1}}).SetLimit(1).
			SetProjection(bson.D{{Key: "s", Value: 1}, {Key: "created_at", Value: 1}}).SetComment(beside))
	if err != nil {
		return late, fmt.Errorf("read the end of %s: %w", c, err)
	}
	for _, m := range last {
		late = append(late, events.Activity{Conversation: c, Last: sequence.Place{Seq: m.Seq, At: utc(m.CreatedAt)}})
	}
	return late, nil
}

// newestChange is the position of the database's newest change.
func (s *Store) newestChange(ctx context.Context) (p events.Position, err error) {
	err = s.atNewest(ctx, func(_ context.Context, newest events.Position) error {
		p = newest
		return nil
	})
	return p, err
}

// atNewest lets do read what there is at the database's newest change, or later.
func (s *Store) atNewest(ctx context.Context, do func(context.Context, events.Position) error) error {
	session, err := s.db.Client().StartSession(options.Session().SetCausalConsistency(true))
	if err != nil {
		return mongodb.Fault(fmt.Errorf("start a session: %w", err))
	}
	defer session.EndSession(context.WithoutCancel(ctx))
	ctx = mongo.NewSessionContext(ctx, session)
	if err := s.db.RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err(); err != nil {
		return mongodb.Fault(fmt.Errorf("ask for the newest change: %w", err))
	}
	return do(ctx, newest(session))
}

func newest(session *mongo.Session) events.Position {
	at := session.OperationTime()
	if at == nil {
		return events.Position{}
	}
	return events.Position{Seconds: at.T, Ordinal: at.I}
}

// stream is events.Stream over a change stream of the driver.
type stream struct {
	session *mongo.Session
	changes *mongo.ChangeStream
	count   count
}

// A count numbers changes that share their cluster time, as those of one
// transaction do, in the order in which every stream tells them. It must see
// all of them: a stream that is opened anew begins at a cluster time, or goes on
// with the count that it has.
type count struct{ last events.Position }

func (c *count) position(at bson.Timestamp) events.Position {
	p := events.Position{Seconds: at.T, Ordinal: at.I}
	if p.Seconds == c.last.Seconds && p.Ordinal == c.last.Ordinal {
		p.Index = c.last.Index + 1
	}
	c.last = p
	return p
}

// Changes implements events.Source. The stream begins at the cluster time of
// the position, so that changes which share it are counted as they were before.
func (s *Store) Changes(ctx context.Context, after events.Position) (events.Stream, error) {
	session, err := s.db.Client().StartSession()
	if err != nil {
		return nil, mongodb.Fault(fmt.Errorf("start a session: %w", err))
	}
	o := options.ChangeStream().SetFullDocument(options.UpdateLookup).SetMaxAwaitTime(streamWait).SetComment(beside).
		SetStartAtOperationTime(&bson.Timestamp{T: after.Seconds, I: after.Ordinal})
	changes, err := s.db.Watch(mongo.NewSessionContext(ctx, session),
		mongo.Pipeline{match(bson.D{among("ns.coll", []string{messages, conversations, members, memberships, blocks, feed, ephemeral})})}, o)
	if err != nil {
		session.EndSession(context.WithoutCancel(ctx))
		return nil, tooOld(err)
	}
	return &stream{session: session, changes: changes}, nil
}

// tooOld tells what no stream from the same position gets over, as the loss of
// its history, from what passes.
func tooOld(err error) error {
	var e mongo.ServerError
	const historyLost, fatal, capped = 286, 280, 136
	if errors.As(err, &e) && (e.HasErrorCode(historyLost) || e.HasErrorCode(fatal) || e.HasErrorCode(capped)) {
		return errors.Join(events.ErrTooOld, err)
	}
	return mongodb.Fault(err)
}

// errEnded is what is left of a stream that the database has ended by itself, as
// when its collections are dropped: it would say for ever that nothing came.
var errEnded = errors.New("the database has ended the change stream")

// Next implements events.Stream.
func (s *stream) Next(ctx context.Context) ([]events.Event, events.Position, error) {
	var batch []events.Event
	ctx = mongo.NewSessionContext(ctx, s.session)
	for len(batch) == 0 || s.changes.RemainingBatchLength() > 0 {
		if !s.changes.TryNext(ctx) {
			break
		}
		event, err := s.event()
		if err != nil {
			return nil, events.Position{}, err
		}
		batch = append(batch, event)
	}
	if err := s.changes.Err(); err != nil {
		return nil, events.Position{}, tooOld(err)
	}
	if s.changes.ID() == 0 && len(batch) == 0 {
		return nil, events.Position{}, errEnded
	}
	if err := ctx.Err(); err != nil {
		return nil, events.Position{}, err
	}
	return batch, newest(s.session), nil
}

// Close implements events.Stream.
func (s *stream) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	_ = s.changes.Close(ctx) // the database ends what it cannot be told of
	s.session.EndSession(ctx)
}

// event reads the change at hand and gives it its position.
func (s *stream) event() (event events.Event, err error) {
	seconds, ordinal, ok := s.changes.Current.Lookup("clusterTime").TimestampOK()
	if !ok {
		return events.Event{}, errors.New("a change has no cluster time")
	}
	at := s.count.position(bson.Timestamp{T: seconds, I: ordinal})
	var doc changeDoc
	if err = bson.Unmarshal(s.changes.Current, &doc); err == nil {
		event, err = doc.event()
	}
	if err != nil {
		err = fmt.Errorf("read a change of %s at %v: %w", doc.Namespace.Collection, at, err)
		event = events.Event{Kind: events.Unreadable, Err: err}
	}
	event.Position = at
	return event, nil
}
