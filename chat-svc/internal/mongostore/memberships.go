package mongostore

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/mongodb"
)

// listed is a conversation as a list needs it.
type listedDoc struct {
	ID        bson.Binary `bson:"_id"`
	CreatedAt time.Time   `bson:"created_at"`
	LastSeq   int64       `bson:"last_seq"`
	LastAt    time.Time   `bson:"last_message_at"`
	Pending   bool        `bson:"pending"`
	Status    string      `bson:"status"`
	FirstSeq  int64       `bson:"first_seq"`
	FirstAt   time.Time   `bson:"first_message_at"`
}

// last is the last message that the document knows of.
func (d listedDoc) last() sequence.Place {
	if d.LastSeq == 0 {
		return sequence.Place{}
	}
	return sequence.Place{Seq: d.LastSeq, At: utc(d.LastAt)}
}

// maxLookup bounds the conversations that one query asks for.
const maxLookup = 1000

// From implements chat.RightsStore: it reads in a session whose clock stands at
// the position or later, so that a majority has what the feed has told.
func (s *Store) From(ctx context.Context, p events.Position, read func(context.Context) error) error {
	if err := s.db.Reachable(); err != nil {
		return err
	}
	session, err := s.db.Client().StartSession(options.Session().SetCausalConsistency(true))
	if err != nil {
		return mongodb.Fault(fmt.Errorf("start a session: %w", err))
	}
	defer session.EndSession(context.WithoutCancel(ctx))
	if !p.IsZero() {
		if err := session.AdvanceOperationTime(&bson.Timestamp{T: p.Seconds, I: p.Ordinal}); err != nil {
			return fmt.Errorf("read from %v on: %w", p, err)
		}
	}
	return read(mongo.NewSessionContext(ctx, session))
}

// Memberships implements lists.Store.
func (s *Store) Memberships(ctx context.Context, a id.Account, from events.Position) (all []lists.Entry, err error) {
	err = s.From(ctx, from, func(ctx context.Context) error {
		all, err = s.memberships(ctx, a)
		return err
	})
	return all, err
}

func (s *Store) memberships(ctx context.Context, a id.Account) ([]lists.Entry, error) {
	docs, err := findAll[membershipDoc](ctx, s.db.Collection(memberships), of(a))
	if err != nil {
		return nil, fmt.Errorf("read the memberships of %s: %w", a, err)
	}
	reads := make(map[id.Conversation]int64, len(docs))
	wanted := make([]bson.Binary, len(docs))
	for i, doc := range docs {
		c, err := conversationOf(doc.Conversation)
		if err != nil {
			return nil, err
		}
		reads[c], wanted[i] = doc.Read, doc.Conversation
	}
	return s.entries(ctx, wanted, reads)
}

func (s *Store) entries(ctx context.Context, wanted []bson.Binary, reads map[id.Conversation]int64) ([]lists.Entry, error) {
	all := make([]lists.Entry, 0, len(wanted))
	projection := only("created_at", lastSeq, lastMessageAt, "pending", "status")
	for len(wanted) > 0 {
		some := wanted[:min(len(wanted), maxLookup)]
		wanted = wanted[len(some):]
		docs, err := findAll[listedDoc](ctx, s.db.Collection(conversations), bson.D{among("_id", some)},
			options.Find().SetProjection(projection))
		if err != nil {
			return nil, fmt.Errorf("read %d conversations: %w", len(some), err)
		}
		for _, doc := range docs {
			if doc.Status == closed {
				continue
			}
			c, err := conversationOf(doc.ID)
			if err != nil {
				return nil, err
			}
			all = append(all, lists.Entry{
				Conversation: c, CreatedAt: utc(doc.CreatedAt), Last: doc.last(), Read: reads[c], Pending: doc.Pending,
			})
		}
	}
	return all, nil
}

// Conversations implements chat.Store.
func (s *Store) Conversations(ctx context.Context, wanted []id.Conversation) (map[id.Conversation]chat.Conversation, error) {
	docs, err := findAll[conversationDoc](ctx, s.db.Collection(conversations), bson.D{among("_id", binaries(wanted))})
	if err != nil {
		return nil, fmt.Errorf("read %d conversations: %w", len(wanted), err)
	}
	found := make(map[id.Conversation]chat.Conversation, len(docs))
	for _, doc := range docs {
		if doc.Status == closed {
			continue
		}
		c, err := doc.conversation()
		if err != nil {
			return nil, err
		}
		found[c.ID] = c
	}
	return found, nil
}

// until finds instants up to one that has whole milliseconds, as all in the
// database have. It is no $lte: where the field is not the last one of an index,
// the engine leaves out what equals the bound of that.
func until(at time.Time) bson.E { return bson.E{Key: "$lt", Value: at.Add(time.Millisecond)} }

// SeqAt implements chat.Store.
func (s *Store) SeqAt(ctx context.Context, c id.Conversation, at time.Time) (int64, error) {
	docs, err := findAll[messageDoc](ctx, s.db.Collection(messages),
		in(c, bson.E{Key: "created_at", Value: bson.D{until(at)}}),
		options.Find().SetSort(bson.D{{Key: "created_at", Value: -1}, {Key: "s", Value: -1}}).SetLimit(1).
			SetProjection(bson.D{{Key: "s", Value: 1}}))
	if err != nil {
		return 0, fmt.Errorf("find where %s was at %s: %w", c, at, err)
	}
	if len(docs) == 0 {
		return 0, nil
	}
	return docs[0].Seq, nil
}

// CreatedSince implements chat.Store.
func (s *Store) CreatedSince(
	ctx context.Context, c id.Conversation, at, upTo time.Time, above int64, limit int, hidden ...id.Account,
) ([]sequence.Message, error) {
	created := bson.D{{Key: "$gte", Value: at}}
	if !upTo.IsZero() {
		created = append(created, until(upTo))
	}
	docs, err := findAll[messageDoc](ctx, s.db.Collection(messages),
		in(c, shown(hidden, bson.E{Key: "created_at", Value: created},
			bson.E{Key: "s", Value: bson.D{{Key: "$gt", Value: above}}})...),
		options.Find().SetSort(bson.D{{Key: "created_at", Value: 1}, {Key: "s", Value: 1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("read what was said in %s since %s: %w", c, at, err)
	}
	return each(docs, messageDoc.message)
}
