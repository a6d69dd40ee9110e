package mongostore

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
)

// Attended implements chat.DepartureStore.
func (s *Store) Attended(ctx context.Context, a id.Account, behind id.Conversation, limit int) ([]id.Conversation, error) {
	var all []id.Conversation
	for _, collection := range []string{memberships, formers} {
		docs, err := findAll[membershipDoc](ctx, s.db.Collection(collection),
			of(a, bson.E{Key: "c", Value: bson.D{{Key: "$gt", Value: binary(behind)}}}),
			options.Find().SetSort(ascending("c")).SetLimit(int64(limit)))
		if err != nil {
			return nil, fmt.Errorf("find conversations that %s was in: %w", a, err)
		}
		found, err := each(docs, func(d membershipDoc) (id.Conversation, error) { return conversationOf(d.Conversation) })
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b id.Conversation) int { return bytes.Compare(a[:], b[:]) })
	all = slices.Compact(all)
	return all[:min(len(all), limit)], nil
}

// Heir implements chat.DepartureStore. Without an admin it looks at every member.
func (s *Store) Heir(ctx context.Context, c id.Conversation, a id.Account) (chat.Member, error) {
	others := bson.E{Key: "a", Value: bson.D{{Key: "$nin", Value: []id.Account{a, gone}}}}
	for _, which := range []bson.D{in(c, bson.E{Key: "role", Value: chat.RoleAdmin}, others), in(c, others)} {
		found, err := s.findMembers(ctx, which, 1, options.Find().SetSort(ascending("joined_at", "a")))
		if err != nil {
			return chat.Member{}, err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return chat.Member{}, fmt.Errorf("find who follows %s in %s: %w", a, c, fault.ErrNotFound)
}

// EraseSent implements chat.DepartureStore. Nothing finds messages by their
// sender, so that a send has one index less to write: it reads the next ones.
func (s *Store) EraseSent(ctx context.Context, c id.Conversation, a id.Account, above int64, limit int) (upTo int64, erased int, err error) {
	docs, err := findAll[messageDoc](ctx, s.db.Collection(messages), in(c, between(above, math.MaxInt64)),
		options.Find().SetSort(ascending("s")).SetLimit(int64(limit)).
			SetProjection(only("s", "sender")))
	if err != nil {
		return 0, 0, fmt.Errorf("read who wrote into %s: %w", c, err)
	}
	if len(docs) == 0 {
		return 0, 0, nil
	}
	upTo = docs[len(docs)-1].Seq
	if !slices.ContainsFunc(docs, func(d messageDoc) bool { return d.Sender == a }) {
		return upTo, 0, nil
	}
	result, err := s.db.Collection(messages).UpdateMany(ctx,
		in(c, between(above, upTo), bson.E{Key: "sender", Value: a}, absent("withdrawn")), withdrawal())
	if err != nil {
		return 0, 0, mongodb.Fault(fmt.Errorf("erase what %s has sent into %s: %w", a, c, err))
	}
	return upTo, int(result.ModifiedCount), nil
}
