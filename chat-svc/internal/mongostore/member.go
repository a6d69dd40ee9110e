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
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

type memberDoc struct {
	ID           []byte      `bson:"_id"` // the conversation's id, then the account's
	Conversation bson.Binary `bson:"c"`
	Account      id.Account  `bson:"a"`
	Role         chat.Role   `bson:"role"`
	JoinedAt     time.Time   `bson:"joined_at"`
}

func (d memberDoc) member() (chat.Member, error) {
	return chat.Member{Account: d.Account, Role: d.Role, JoinedAt: utc(d.JoinedAt)}, nil
}

type membershipDoc struct {
	ID           []byte      `bson:"_id"` // the account's id, then the conversation's
	Account      id.Account  `bson:"a"`
	Conversation bson.Binary `bson:"c"`
	Read         int64       `bson:"read"`
}

// memberOf reads a member's document key.
func memberOf(key bson.Raw) (c id.Conversation, a id.Account, err error) {
	var doc struct {
		ID []byte `bson:"_id"`
	}
	if err := bson.Unmarshal(key, &doc); err != nil {
		return c, "", err
	}
	if len(doc.ID) < len(c) {
		return c, "", fmt.Errorf("the key of a member has %d bytes", len(doc.ID))
	}
	n := copy(c[:], doc.ID)
	return c, id.Account(doc.ID[n:]), nil
}

// gone is the account of a row among the members that is no member: while it
// stands the conversation is closed, and the members that are left are not.
const gone id.Account = ""

func newMember(c id.Conversation, m chat.Member) memberDoc {
	return memberDoc{
		ID: slices.Concat(c[:], []byte(m.Account)), Conversation: binary(c),
		Account: m.Account, Role: m.Role, JoinedAt: m.JoinedAt,
	}
}

func newMembership(a id.Account, c id.Conversation, read int64) membershipDoc {
	return membershipDoc{ID: slices.Concat([]byte(a), c[:]), Account: a, Conversation: binary(c), Read: read}
}

// AddMembers implements chat.Store.
func (s *Store) AddMembers(ctx context.Context, c id.Conversation, chunk []chat.Member) error {
	err := s.db.Transact(ctx, func(ctx context.Context) error {
		held, err := s.db.Collection(conversations).UpdateOne(ctx,
			bson.D{{Key: "_id", Value: binary(c)}, {Key: "pending", Value: true}}, touch())
		if err != nil || held.MatchedCount == 0 { // it is made, and may be closed by now
			return err
		}
		return s.insertMembers(ctx, c, chunk, 0)
	})
	if mongo.IsDuplicateKeyError(err) {
		return nil // an attempt before this one added them
	}
	if err != nil {
		return fmt.Errorf("add %d members to %s: %w", len(chunk), c, err)
	}
	return nil
}

// insertMembers runs inside a transaction: rights and lists agree.
func (s *Store) insertMembers(ctx context.Context, c id.Conversation, chunk []chat.Member, read int64) error {
	rights := make([]memberDoc, len(chunk))
	lists := make([]membershipDoc, len(chunk))
	for i, m := range chunk {
		rights[i] = newMember(c, m)
		lists[i] = newMembership(m.Account, c, read)
	}
	if _, err := s.db.Collection(members).InsertMany(ctx, rights); err != nil {
		return err
	}
	_, err := s.db.Collection(memberships).InsertMany(ctx, lists)
	return err
}

// Member implements chat.Store.
func (s *Store) Member(ctx context.Context, c id.Conversation, a id.Account) (chat.Member, error) {
	found, err := s.findMembers(ctx, in(c, among("a", []id.Account{gone, a})), 2)
	if err != nil {
		return chat.Member{}, err
	}
	if len(found) != 1 || found[0].Account != a {
		return chat.Member{}, fmt.Errorf("find member %s of %s: %w", a, c, fault.ErrNotFound)
	}
	return found[0], nil
}

// MembersAmong implements chat.Store.
func (s *Store) MembersAmong(ctx context.Context, c id.Conversation, accounts []id.Account) ([]chat.Member, error) {
	return s.findMembers(ctx, in(c, among("a", accounts)), len(accounts))
}

// Members implements chat.Store.
func (s *Store) Members(ctx context.Context, c id.Conversation, behind id.Account, limit int) ([]chat.Member, error) {
	return s.findMembers(ctx, in(c, bson.E{Key: "a", Value: bson.D{{Key: "$gt", Value: behind}}}), limit,
		options.Find().SetSort(ascending("a")))
}

// AllMembers implements chat.Store.
func (s *Store) AllMembers(ctx context.Context, of []id.Conversation, most int) (map[id.Conversation][]chat.Member, error) {
	if len(of) == 0 {
		return nil, nil
	}
	docs, err := findAll[memberDoc](ctx, s.db.Collection(members),
		bson.D{among("c", binaries(of)), {Key: "a", Value: bson.D{{Key: "$gt", Value: gone}}}},
		options.Find().SetLimit(int64(len(of)*most)))
	if err != nil {
		return nil, fmt.Errorf("find the members of %d conversations: %w", len(of), err)
	}
	found := make(map[id.Conversation][]chat.Member, len(of))
	for _, doc := range docs {
		c, err := conversationOf(doc.Conversation)
		if err != nil {
			return nil, err
		}
		m, err := doc.member()
		if err != nil {
			return nil, err
		}
		found[c] = append(found[c], m)
	}
	return found, nil
}

// Leaders implements chat.Store.
func (s *Store) Leaders(ctx context.Context, c id.Conversation, limit int) ([]chat.Member, error) {
	return s.findMembers(ctx, in(c, among("role", []chat.Role{chat.RoleOwner, chat.RoleAdmin})), limit,
		options.Find().SetSort(bson.D{{Key: "role", Value: -1}})) // "owner" is behind "admin"
}

func (s *Store) findMembers(ctx context.Context, filter bson.D, limit int, o ...options.Lister[options.FindOptions]) ([]chat.Member, error) {
	docs, err := findAll[memberDoc](ctx, s.db.Collection(members), filter, append(o, options.Find().SetLimit(int64(limit)))...)
	if err != nil {
		return nil, fmt.Errorf("find members: %w", err)
	}
	return each(docs, memberDoc.member)
}

// MoveReads implements readmark.Store.
func (s *Store) MoveReads(ctx context.Context, marks map[readmark.Reader]int64) error {
	moves := make([]mongo.WriteModel, 0, len(marks))
	for r, seq := range marks {
		moves = append(moves, mongo.NewUpdateOneModel().
			SetFilter(of(r.Account, bson.E{Key: "c", Value: binary(r.Conversation)})).
			SetUpdate(bson.D{{Key: "$max", Value: bson.D{{Key: "read", Value: seq}}}}))
	}
	_, err := s.db.Collection(memberships).BulkWrite(ctx, moves, options.BulkWrite().SetOrdered(false))
	if err != nil {
		return mongodb.Fault(fmt.Errorf("move %d read marks: %w", len(marks), err))
	}
	return nil
}
