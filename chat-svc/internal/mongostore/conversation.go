package mongostore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

type conversationDoc struct {
	ID          bson.Binary `bson:"_id"`
	Type        chat.Type   `bson:"type"`
	Name        string      `bson:"name,omitempty"`
	Creator     id.Account  `bson:"creator"`
	Client      string      `bson:"client,omitempty"` // of its creator; told once, when it was made
	Description string      `bson:"description,omitempty"`
	Avatar      string      `bson:"avatar,omitempty"`
	MemberCount int         `bson:"member_count"`
	Pending     bool        `bson:"pending,omitempty"`  // still being made
	Status      string      `bson:"status,omitempty"`   // "" while it is active
	Sweep       bool        `bson:"sweep,omitempty"`    // may have to be removed (package sweep)
	Revision    int64       `bson:"revision,omitempty"` // grows with every change
	CreatedAt   time.Time   `bson:"created_at"`
	UpdatedAt   time.Time   `bson:"updated_at"`
}

func (d conversationDoc) conversation() (chat.Conversation, error) {
	c, err := conversationOf(d.ID)
	return chat.Conversation{
		ID: c, Type: d.Type, Name: d.Name, Creator: d.Creator,
		Metadata:    chat.Metadata{Description: d.Description, Avatar: d.Avatar},
		MemberCount: d.MemberCount, CreatedAt: utc(d.CreatedAt), UpdatedAt: utc(d.UpdatedAt),
	}, err
}

// InsertConversation implements chat.Store.
func (s *Store) InsertConversation(ctx context.Context, c chat.Conversation, first []chat.Member, pending bool) error {
	err := s.db.Transact(ctx, func(ctx context.Context) error {
		_, err := s.db.Collection(conversations).InsertOne(ctx, conversationDoc{
			ID: binary(c.ID), Type: c.Type, Name: c.Name, Creator: c.Creator, Client: c.Client,
			Description: c.Metadata.Description, Avatar: c.Metadata.Avatar,
			MemberCount: c.MemberCount, Pending: pending, Sweep: pending, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		})
		if err != nil {
			return err
		}
		if c.Type == chat.Group {
			if _, err := s.db.Collection(creations).InsertOne(ctx, newCreation(c.Creator, c.ID)); err != nil {
				return err
			}
		}
		return s.insertMembers(ctx, c.ID, first, 0)
	})
	if mongo.IsDuplicateKeyError(err) {
		return fault.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("insert conversation %s: %w", c.ID, err)
	}
	return nil
}

// Pending implements chat.Store.
func (s *Store) Pending(ctx context.Context, c id.Conversation) (bool, error) {
	n, err := s.db.Collection(conversations).CountDocuments(ctx, pendingIs(c))
	if err != nil {
		return false, mongodb.Fault(fmt.Errorf("find out whether %s is being made: %w", c, err))
	}
	return n > 0, nil
}

// pendingIs finds a conversation while it is being made.
func pendingIs(c id.Conversation) bson.D {
	return bson.D{{Key: "_id", Value: binary(c)}, {Key: "pending", Value: true}, absent("status")}
}

// PublishConversation implements chat.Store.
func (s *Store) PublishConversation(ctx context.Context, c id.Conversation) error {
	_, err := s.db.Collection(conversations).UpdateOne(ctx, pendingIs(c),
		bson.D{{Key: "$unset", Value: bson.D{{Key: "pending", Value: ""}, {Key: "sweep", Value: ""}}}})
	if err != nil {
		return mongodb.Fault(fmt.Errorf("publish conversation %s: %w", c, err))
	}
	return nil
}

// A creationDoc is there until the group is closed, whether its maker
// stays in it or not.
type creationDoc struct {
	ID           []byte      `bson:"_id"` // the account's id, then the conversation's
	Account      id.Account  `bson:"a"`
	Conversation bson.Binary `bson:"c"`
}

func newCreation(a id.Account, c id.Conversation) creationDoc {
	return creationDoc{ID: slices.Concat([]byte(a), c[:]), Account: a, Conversation: binary(c)}
}

// CountConversations implements chat.Store.
func (s *Store) CountConversations(ctx context.Context, a id.Account, most int) (int, error) {
	return s.count(ctx, memberships, a, most)
}

// CountCreations implements chat.Store.
func (s *Store) CountCreations(ctx context.Context, a id.Account, most int) (int, error) {
	return s.count(ctx, creations, a, most)
}

// count counts documents of an account.
func (s *Store) count(ctx context.Context, collection string, a id.Account, most int) (int, error) {
	n, err := s.db.Collection(collection).CountDocuments(ctx, of(a), options.Count().SetLimit(int64(most)))
	if err != nil {
		return 0, mongodb.Fault(fmt.Errorf("count the %s of %s: %w", collection, a, err))
	}
	return int(n), nil
}

// View implements chat.Store.
func (s *Store) View(ctx context.Context, a id.Account, c id.Conversation) (chat.View, error) {
	views, err := s.views(ctx, of(a, bson.E{Key: "c", Value: binary(c)}))
	if err != nil {
		return chat.View{}, fmt.Errorf("read conversation %s: %w", c, err)
	}
	if len(views) == 0 {
		return chat.View{}, fault.ErrNotFound
	}
	return views[0], nil
}

// Views implements chat.Store.
func (s *Store) Views(ctx context.Context, a id.Account, behind *chat.Position, limit int) ([]chat.View, error) {
	at := bson.D{{Key: "$ifNull", Value: bson.A{"$last.created_at", "$conversation.created_at"}}}
	order := []bson.D{{{Key: "$set", Value: bson.D{{Key: "at", Value: at}}}}}
	if behind != nil {
		order = append(order, match(bson.D{{Key: "$or", Value: bson.A{
			bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: behind.At}}}},
			bson.D{{Key: "at", Value: behind.At}, {Key: "c", Value: bson.D{{Key: "$lt", Value: binary(behind.ID)}}}},
		}}}))
	}
	order = append(order, bson.D{{Key: "$sort", Value: bson.D{{Key: "at", Value: -1}, {Key: "c", Value: -1}}}})
	if limit > 0 {
		order = append(order, bson.D{{Key: "$limit", Value: limit}})
	}
	views, err := s.views(ctx, of(a), order...)
	if err != nil {
		return nil, fmt.Errorf("list conversations of %s: %w", a, err)
	}
	return views, nil
}

func match(filter bson.D) bson.D { return bson.D{{Key: "$match", Value: filter}} }

type viewDoc struct {
	Read         int64           `bson:"read"`
	Conversation conversationDoc `bson:"conversation"`
	Last         struct {
		Seq       int64     `bson:"s"`
		CreatedAt time.Time `bson:"created_at"`
	} `bson:"last"`
}

// views joins memberships with their conversations and with the last row of
// each one's messages, which is what a conversation's last message is taken
// from: there is no copy of it that could lag behind.
func (s *Store) views(ctx context.Context, which bson.D, more ...bson.D) ([]chat.View, error) {
	pipeline := append([]bson.D{
		match(which),
		join(conversations, "_id", "conversation", match(there())),
		match(bson.D{{Key: "conversation", Value: bson.D{{Key: "$ne", Value: bson.A{}}}}}),
		join(messages, "c", "last",
			bson.D{{Key: "$sort", Value: bson.D{{Key: "s", Value: -1}}}},
			bson.D{{Key: "$limit", Value: 1}},
			bson.D{{Key: "$project", Value: bson.D{{Key: "s", Value: 1}, {Key: "created_at", Value: 1}}}}),
		{{Key: "$set", Value: bson.D{
			{Key: "conversation", Value: bson.D{{Key: "$first", Value: "$conversation"}}},
			{Key: "last", Value: bson.D{{Key: "$first", Value: "$last"}}},
		}}},
	}, more...)
	cursor, err := s.db.Collection(memberships).Aggregate(ctx, pipeline)
	if err != nil {
		return nil, mongodb.Fault(err)
	}
	docs, err := mongodb.All[viewDoc](ctx, cursor)
	if err != nil {
		return nil, mongodb.Fault(err)
	}
	return each(docs, viewDoc.view)
}

// join finds, for the conversation c of each membership, what another
// collection has of it.
func join(collection, field, as string, pipeline ...bson.D) bson.D {
	return bson.D{{Key: "$lookup", Value: bson.D{
		{Key: "from", Value: collection}, {Key: "localField", Value: "c"}, {Key: "foreignField", Value: field},
		{Key: "pipeline", Value: pipeline}, {Key: "as", Value: as},
	}}}
}

func (d viewDoc) view() (chat.View, error) {
	c, err := d.Conversation.conversation()
	v := chat.View{Conversation: c, Read: d.Read}
	if d.Last.Seq > 0 {
		v.Last = sequence.Place{Seq: d.Last.Seq, At: utc(d.Last.CreatedAt)}
	}
	return v, err
}
