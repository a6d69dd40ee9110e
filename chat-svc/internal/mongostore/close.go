package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sweep"
	"chatplatform.io/svckit/mongodb"
)

var _ sweep.Store = (*Store)(nil)

// closed is the status of a conversation that is not there any more.
const closed = "closed"

// closing is what a closed conversation's document says; sweep stands while
// it may have members.
func closing(held chat.Conversation) bson.D {
	fields := bson.D{{Key: "status", Value: closed}}
	if held.MemberCount > chat.MaxChunk {
		fields = append(fields, bson.E{Key: "sweep", Value: true})
	}
	return fields
}

// closeTo takes a conversation away from all its members: few are removed at
// once, many are told by one row that they are none any more.
func (s *Store) closeTo(ctx context.Context, held chat.Conversation) error {
	if err := s.deleteCreation(ctx, held.Creator, held.ID); err != nil {
		return err
	}
	if held.MemberCount <= chat.MaxChunk {
		_, err := s.removeChunk(ctx, held.ID, s.deleteMembers)
		return err
	}
	_, err := s.db.Collection(members).InsertOne(ctx, newMember(held.ID, chat.Member{Account: gone}))
	return err
}

func (s *Store) deleteCreation(ctx context.Context, creator id.Account, c id.Conversation) error {
	_, err := s.db.Collection(creations).DeleteOne(ctx, of(creator, bson.E{Key: "c", Value: binary(c)}))
	return err
}

// removeChunk runs inside a transaction, and tells how many members it removed.
func (s *Store) removeChunk(ctx context.Context, c id.Conversation,
	remove func(context.Context, id.Conversation, ...id.Account) error) (int, error) {
	chunk, err := s.Members(ctx, c, gone, chat.MaxChunk)
	if err != nil || len(chunk) == 0 {
		return 0, err
	}
	accounts := make([]id.Account, len(chunk))
	for i, m := range chunk {
		accounts[i] = m.Account
	}
	return len(chunk), remove(ctx, c, accounts...)
}

// Unswept implements sweep.Store. It is no hot query: it asks every shard.
func (s *Store) Unswept(ctx context.Context, begun time.Time, limit int) ([]id.Conversation, error) {
	docs, err := findAll[conversationDoc](ctx, s.db.Collection(conversations),
		bson.D{{Key: "sweep", Value: true}, {Key: "$or", Value: bson.A{
			bson.D{{Key: "status", Value: closed}},
			bson.D{{Key: "created_at", Value: bson.D{{Key: "$lt", Value: begun}}}},
		}}},
		options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)).SetComment(beside))
	if err != nil {
		return nil, fmt.Errorf("find closed and abandoned conversations: %w", err)
	}
	return each(docs, func(d conversationDoc) (id.Conversation, error) { return conversationOf(d.ID) })
}

// Sweep implements sweep.Store.
func (s *Store) Sweep(ctx context.Context, c id.Conversation) (done bool, err error) {
	err = s.db.Transact(ctx, func(ctx context.Context) error {
		done, err = s.sweep(ctx, bson.D{{Key: "_id", Value: binary(c)}, {Key: "sweep", Value: true}})
		return err
	})
	if err != nil {
		return false, mongodb.Fault(fmt.Errorf("remove members of closed conversation %s: %w", c, err))
	}
	return done, nil
}

// sweep runs inside a transaction. One that was never made is closed by it, too.
func (s *Store) sweep(ctx context.Context, which bson.D) (done bool, err error) {
	var doc conversationDoc
	err = s.db.Collection(conversations).FindOneAndUpdate(ctx, which, append(touch(), set(bson.D{{Key: "status", Value: closed}})...)).Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) { // another process was first
		return true, nil
	}
	if err != nil {
		return false, err
	}
	c, err := conversationOf(doc.ID)
	if err != nil {
		return false, err
	}
	remove := s.deleteMembers
	if doc.Pending { // nobody has said anything there
		remove = s.dropMembers
		if err := s.deleteCreation(ctx, doc.Creator, c); err != nil {
			return false, err
		}
	}
	removed, err := s.removeChunk(ctx, c, remove)
	if err != nil || removed == chat.MaxChunk {
		return false, err
	}
	if _, err := s.db.Collection(members).DeleteOne(ctx, in(c, bson.E{Key: "a", Value: gone})); err != nil {
		return false, err
	}
	_, err = s.db.Collection(conversations).UpdateOne(ctx, which, bson.D{{Key: "$unset", Value: bson.D{{Key: "sweep", Value: ""}}}})
	return true, err
}
