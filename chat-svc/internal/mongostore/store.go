// Package mongostore keeps conversations, their members and their messages in
// MongoDB. It implements chat.Store, sequence.Store and readmark.Store, whose
// comments say what each method promises.
package mongostore

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

// The collections. c is a conversation, a an account, s a number in a
// conversation.
const (
	messages      = "messages"
	conversations = "conversations"
	members       = "members"     // by conversation: decides rights
	memberships   = "memberships" // by account: decides lists; always changed together with members
	creations     = "creations"   // by who made a conversation, until it is closed
	claims        = "claims"
	blocks        = "blocks"    // by who blocks
	barriers      = "barriers"  // by whose sends are barred; always changed together with blocks
	ephemeral     = "ephemeral" // what is told once: nobody reads it here
	feed          = "feed"      // how far feeds were read, and who does what alone

	tickets = "tickets" // by which browsers connect, until they are redeemed

	formers    = "formers"    // by account: memberships that ended
	departures = "departures" // deleted accounts, while there is something to do about them
)

// The fields of a conversation that only the checkpoint's keeper writes.
const (
	lastSeq       = "last_seq"
	lastMessageAt = "last_message_at"
)

// A Store keeps everything in one database.
type Store struct {
	db *mongodb.DB
}

var (
	_ chat.Store     = (*Store)(nil)
	_ sequence.Store = (*Store)(nil)
	_ readmark.Store = (*Store)(nil)
	_ events.Source  = (*Store)(nil)
	_ lists.Store    = (*Store)(nil)

	_ events.CheckpointStore = (*Store)(nil)
)

// New uses db, whose schema must be that of Schema.
func New(db *mongodb.DB) *Store { return &Store{db} }

// Reachable implements chat.Store.
func (s *Store) Reachable() error { return s.db.Reachable() }

// Schema is what the database holds. A message's _id is its place, so the
// uniqueness of _id gives each place to one message; it begins with the
// conversation, as every index of messages does. Ranges go by {c, s} because
// engines seek ranges badly by _id. The _id of members, memberships, creations,
// blocks and barriers is made of the two things they join, so it lets each pair be there
// once, and the news of a deletion, which names nothing else, tells the pair.
func Schema() mongodb.Schema {
	hasKey := bson.D{{Key: "key", Value: bson.D{{Key: "$exists", Value: true}}}}
	toSweep := bson.D{{Key: "sweep", Value: bson.D{{Key: "$exists", Value: true}}}}
	return mongodb.Schema{
		Service: "chat-svc",
		Version: 1,
		Collections: []mongodb.Collection{
			{Name: messages, ShardKey: []string{"c"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("c", "s")},
				{Keys: ascending("c", "created_at", "s")},
				{Keys: ascending("c", "sender", "key"), Options: options.Index().SetUnique(true).SetPartialFilterExpression(hasKey)},
			}},
			{Name: conversations, ShardKey: []string{"_id"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("sweep"), Options: options.Index().SetPartialFilterExpression(toSweep)},
			}},
			{Name: members, ShardKey: []string{"c"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("c", "a")},
				{Keys: ascending("c", "role")},
			}},
			{Name: memberships, ShardKey: []string{"a"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("a", "c")},
			}},
			{Name: creations, ShardKey: []string{"a"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("a", "c")},
			}},
			{Name: blocks, ShardKey: []string{"a"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("a", "id"), Options: options.Index().SetUnique(true)},
				{Keys: ascending("a", "created_at", "id")},
			}},
			{Name: barriers, ShardKey: []string{"a"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("a", "by")},
			}},
			{Name: ephemeral, ShardKey: []string{"c"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("expires_at"), Options: options.Index().SetExpireAfterSeconds(0)},
			}},
			{Name: feed, ShardKey: []string{"_id"}},
			{Name: formers, ShardKey: []string{"a"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("a", "c")},
			}},
			{Name: departures, ShardKey: []string{"_id"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("due")},
			}},
			{Name: tickets, ShardKey: []string{"_id"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("expires_at"), Options: options.Index().SetExpireAfterSeconds(0)},
			}},
			{Name: claims, ShardKey: []string{"a"}, Indexes: []mongo.IndexModel{
				{Keys: ascending("a", "key"), Options: options.Index().SetUnique(true)},
				{Keys: ascending("expires_at"), Options: options.Index().SetExpireAfterSeconds(0)},
			}},
		},
	}
}

func ascending(fields ...string) bson.D {
	var keys bson.D
	for _, field := range fields {
		keys = append(keys, bson.E{Key: field, Value: 1})
	}
	return keys
}

// uuidSubtype marks a UUID among BSON's binary values (https://bsonspec.org).
const uuidSubtype = 0x04

func binary(c id.Conversation) bson.Binary { return bson.Binary{Subtype: uuidSubtype, Data: c[:]} }

func binaries(of []id.Conversation) []bson.Binary {
	all := make([]bson.Binary, len(of))
	for i, c := range of {
		all[i] = binary(c)
	}
	return all
}

func conversationOf(b bson.Binary) (id.Conversation, error) {
	if len(b.Data) != len(id.Conversation{}) {
		return id.Conversation{}, errors.New("a stored conversation id has another length than a UUID")
	}
	return id.Conversation(b.Data), nil
}

// in finds the documents of a conversation, and is where their shard key gets
// into every query.
func in(c id.Conversation, more ...bson.E) bson.D {
	return append(bson.D{{Key: "c", Value: binary(c)}}, more...)
}

// of finds the documents of an account.
func of(a id.Account, more ...bson.E) bson.D {
	return append(bson.D{{Key: "a", Value: a}}, more...)
}

func among[T any](field string, values []T) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$in", Value: values}}}
}

// findOne decodes the one document of a filter; fault.ErrNotFound without one.
func findOne[T any](ctx context.Context, c *mongo.Collection, filter bson.D, o ...options.Lister[options.FindOneOptions]) (T, error) {
	doc, err := mongodb.One[T](c.FindOne(ctx, filter, o...))
	if errors.Is(err, mongo.ErrNoDocuments) {
		return doc, fault.ErrNotFound
	}
	return doc, mongodb.Fault(err)
}

// batch is how many documents the database sends in one answer: the most that
// a request asks for. Its own way is 101 at first.
const batch = 5000

// findAll decodes every document of a filter; callers bound the number.
func findAll[T any](ctx context.Context, c *mongo.Collection, filter bson.D, o ...options.Lister[options.FindOptions]) ([]T, error) {
	cursor, err := c.Find(ctx, filter, append(o, options.Find().SetBatchSize(batch))...)
	if err != nil {
		return nil, mongodb.Fault(err)
	}
	docs, err := mongodb.All[T](ctx, cursor)
	return docs, mongodb.Fault(err)
}

// each maps documents to what they mean.
func each[D, T any](docs []D, meaning func(D) (T, error)) ([]T, error) {
	all := make([]T, len(docs))
	for i, doc := range docs {
		var err error
		if all[i], err = meaning(doc); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func utc(t time.Time) time.Time { return t.UTC() }
