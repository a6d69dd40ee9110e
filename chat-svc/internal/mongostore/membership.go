package mongostore

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

// there finds conversations that are made and not closed.
func there(more ...bson.E) bson.D {
	absent := bson.D{{Key: "$exists", Value: false}}
	return append(bson.D{{Key: "pending", Value: absent}, {Key: "status", Value: absent}}, more...)
}

// touch makes a transaction meet every other one that changes the same
// conversation: one of the two is tried again.
func touch() bson.D { return bson.D{{Key: "$inc", Value: bson.D{{Key: "revision", Value: 1}}}} }

// ChangeConversation implements chat.Store.
func (s *Store) ChangeConversation(ctx context.Context, c id.Conversation, accounts []id.Account,
	decide func(chat.Conversation, []chat.Member) (chat.Change, error)) (changed chat.Conversation, err error) {
	nothing := errors.New("nothing changes") // ends the transaction, so that nobody hears of it
	err = s.db.Transact(ctx, func(ctx context.Context) error {
		held, err := s.hold(ctx, c)
		if err != nil {
			return err
		}
		found, err := s.MembersAmong(ctx, c, accounts)
		if err != nil {
			return err
		}
		change, err := decide(held, found)
		if err != nil {
			return err
		}
		if change.At.IsZero() {
			changed = held
			return nothing
		}
		changed, err = s.apply(ctx, held, change)
		return err
	})
	if err != nil && !errors.Is(err, nothing) {
		return chat.Conversation{}, fmt.Errorf("change conversation %s: %w", c, err)
	}
	return changed, nil
}

// hold comes first in a transaction: what is read afterwards nobody else
// changes before its end.
func (s *Store) hold(ctx context.Context, c id.Conversation) (chat.Conversation, error) {
	var doc conversationDoc
	err := s.db.Collection(conversations).FindOneAndUpdate(ctx, there(bson.E{Key: "_id", Value: binary(c)}), touch()).Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return chat.Conversation{}, fault.ErrNotFound
	}
	if err != nil {
		return chat.Conversation{}, err
	}
	return doc.conversation()
}

func (s *Store) apply(ctx context.Context, held chat.Conversation, change chat.Change) (chat.Conversation, error) {
	changed, err := s.applyToMembers(ctx, held, change)
	if err != nil {
		return held, err
	}
	fields := bson.D{{Key: "member_count", Value: changed.MemberCount}}
	for _, setting := range []struct {
		name string
		to   *string
		is   *string
	}{
		{"name", change.Name, &changed.Name},
		{"description", change.Description, &changed.Metadata.Description},
		{"avatar", change.Avatar, &changed.Metadata.Avatar},
	} {
		if setting.to != nil {
			*setting.is = *setting.to
			fields = append(fields, bson.E{Key: setting.name, Value: *setting.to})
		}
	}
	if change.At.After(held.UpdatedAt) {
		changed.UpdatedAt = change.At
	}
	fields = append(fields, bson.E{Key: "updated_at", Value: changed.UpdatedAt})
	if change.Closes {
		fields = append(fields, closing(held)...)
	}
	_, err = s.db.Collection(conversations).UpdateOne(ctx, bson.D{{Key: "_id", Value: binary(held.ID)}}, set(fields))
	return changed, err
}

func (s *Store) applyToMembers(ctx context.Context, changed chat.Conversation, change chat.Change) (chat.Conversation, error) {
	c := changed.ID
	if change.Joins != nil {
		last, err := s.LastPlace(ctx, c)
		if err != nil {
			return changed, err
		}
		if err := s.insertMembers(ctx, c, []chat.Member{*change.Joins}, last.Seq); err != nil {
			return changed, err
		}
		changed.MemberCount++
	}
	if change.Leaves != "" {
		if err := s.deleteMembers(ctx, c, change.Leaves); err != nil {
			return changed, err
		}
		changed.MemberCount--
	}
	for a, role := range change.Roles {
		_, err := s.db.Collection(members).UpdateOne(ctx, in(c, bson.E{Key: "a", Value: a}), set(bson.D{{Key: "role", Value: role}}))
		if err != nil {
			return changed, err
		}
	}
	if change.Closes {
		return changed, s.closeTo(ctx, changed)
	}
	return changed, nil
}

// deleteMembers runs inside a transaction: rights and lists agree, and what the
// accounts have said here can still be found.
func (s *Store) deleteMembers(ctx context.Context, c id.Conversation, accounts ...id.Account) error {
	if _, err := s.db.Collection(members).DeleteMany(ctx, in(c, among("a", accounts))); err != nil {
		return err
	}
	deletes, notes := make([]mongo.WriteModel, len(accounts)), make([]mongo.WriteModel, len(accounts))
	for i, a := range accounts {
		deletes[i] = mongo.NewDeleteOneModel().SetFilter(of(a, bson.E{Key: "c", Value: binary(c)}))
		former := newMembership(a, c, 0)
		notes[i] = mongo.NewUpdateOneModel().SetUpsert(true).SetFilter(of(a, bson.E{Key: "_id", Value: former.ID})).
			SetUpdate(bson.D{{Key: "$setOnInsert", Value: bson.D{{Key: "c", Value: former.Conversation}}}})
	}
	if _, err := s.db.Collection(memberships).BulkWrite(ctx, deletes); err != nil {
		return err
	}
	_, err := s.db.Collection(formers).BulkWrite(ctx, notes)
	return err
}

// MemberCount implements chat.Store.
func (s *Store) MemberCount(ctx context.Context, c id.Conversation) (int, error) {
	doc, err := findOne[conversationDoc](ctx, s.db.Collection(conversations), there(bson.E{Key: "_id", Value: binary(c)}),
		options.FindOne().SetProjection(bson.D{{Key: "member_count", Value: 1}}))
	if err != nil {
		return 0, mongodb.Fault(fmt.Errorf("count the members of %s: %w", c, err))
	}
	return doc.MemberCount, nil
}
