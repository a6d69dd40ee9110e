package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

type blockDoc struct {
	Pair      []byte     `bson:"_id"` // the blocker's id, then the target's
	Blocker   id.Account `bson:"a"`
	ID        id.Block   `bson:"id"`
	Target    string     `bson:"target"`
	CreatedAt time.Time  `bson:"created_at"`
}

// A barrierDoc is a block as it is found by whose sends it bars: by the
// account that blocks it, or by the conversation that it has blocked.
type barrierDoc struct {
	Pair   []byte     `bson:"_id"` // of a and by
	Barred id.Account `bson:"a"`
	By     string     `bson:"by"`
}

func newBarrier(b chat.Block) barrierDoc {
	barred, by := b.Barred(), string(b.Blocker)
	if b.Target.Account == "" {
		by = b.Target.String()
	}
	return barrierDoc{Pair: pairOf(barred, by), Barred: barred, By: by}
}

func pairOf(a id.Account, other string) []byte { return slices.Concat([]byte(a), []byte(other)) }

func targetOf(text string) (t chat.Target, err error) {
	if strings.HasPrefix(text, "agt_") {
		t.Account, err = id.ParseAccount(text)
	} else {
		t.Conversation, err = id.ParseConversation(text)
	}
	if err != nil {
		return t, errors.New("a stored block has a target that is no id")
	}
	return t, nil
}

func (d blockDoc) block() (chat.Block, error) {
	target, err := targetOf(d.Target)
	return chat.Block{ID: d.ID, Blocker: d.Blocker, Target: target, CreatedAt: utc(d.CreatedAt)}, err
}

// InsertBlock implements chat.Store.
func (s *Store) InsertBlock(ctx context.Context, b chat.Block, key string, fingerprint [16]byte) error {
	target := b.Target.String()
	err := s.db.Transact(ctx, func(ctx context.Context) error {
		_, err := s.db.Collection(blocks).InsertOne(ctx, blockDoc{
			Pair: pairOf(b.Blocker, target), Blocker: b.Blocker, ID: b.ID, Target: target, CreatedAt: b.CreatedAt,
		})
		if err != nil {
			return err
		}
		if _, err := s.db.Collection(barriers).InsertOne(ctx, newBarrier(b)); err != nil || key == "" {
			return err
		}
		_, err = s.db.Collection(claims).InsertOne(ctx, claimDoc{
			Account: b.Blocker, Key: key, Fingerprint: fingerprint[:], Conversation: binary(id.Conversation{}), Block: b.ID,
			StartedAt: b.CreatedAt, Finished: true, Made: true, ExpiresAt: b.CreatedAt.Add(chat.ClaimsKept),
		})
		return err
	})
	if mongo.IsDuplicateKeyError(err) {
		return fault.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("insert a block of %s: %w", b.Blocker, err)
	}
	return nil
}

// KeyUse implements chat.Store.
func (s *Store) KeyUse(ctx context.Context, a id.Account, key string) (fingerprint [16]byte, b id.Block, err error) {
	doc, err := findOne[claimDoc](ctx, s.db.Collection(claims), of(a, bson.E{Key: "key", Value: key}))
	if err != nil {
		return fingerprint, "", fmt.Errorf("read a key of %s: %w", a, err)
	}
	copy(fingerprint[:], doc.Fingerprint)
	return fingerprint, doc.Block, nil
}

// Block implements chat.Store.
func (s *Store) Block(ctx context.Context, a id.Account, b id.Block) (chat.Block, error) {
	doc, err := findOne[blockDoc](ctx, s.db.Collection(blocks), of(a, bson.E{Key: "id", Value: b}))
	if err != nil {
		return chat.Block{}, fmt.Errorf("find block %s: %w", b, err)
	}
	return doc.block()
}

// Blocks implements chat.Store.
func (s *Store) Blocks(ctx context.Context, a id.Account, behind *chat.BlockPosition, limit int) ([]chat.Block, error) {
	filter := of(a)
	if behind != nil {
		filter = of(a,
			bson.E{Key: "created_at", Value: bson.D{until(behind.At)}},
			bson.E{Key: "$or", Value: bson.A{
				bson.D{{Key: "created_at", Value: bson.D{{Key: "$lt", Value: behind.At}}}},
				bson.D{{Key: "id", Value: bson.D{{Key: "$lt", Value: behind.ID}}}},
			}})
	}
	docs, err := findAll[blockDoc](ctx, s.db.Collection(blocks), filter,
		options.Find().SetSort(bson.D{{Key: "created_at", Value: -1}, {Key: "id", Value: -1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("list blocks of %s: %w", a, err)
	}
	return each(docs, blockDoc.block)
}

// CountBlocks implements chat.Store.
func (s *Store) CountBlocks(ctx context.Context, a id.Account, most int) (int, error) {
	return s.count(ctx, blocks, a, most)
}

// DeleteBlock implements chat.Store.
func (s *Store) DeleteBlock(ctx context.Context, a id.Account, b id.Block) (was chat.Block, err error) {
	err = s.db.Transact(ctx, func(ctx context.Context) error {
		var doc blockDoc
		err := s.db.Collection(blocks).FindOneAndDelete(ctx, of(a, bson.E{Key: "id", Value: b})).Decode(&doc)
		if errors.Is(err, mongo.ErrNoDocuments) {
			return fault.ErrNotFound
		}
		if err != nil {
			return err
		}
		if was, err = doc.block(); err != nil {
			return err
		}
		barrier := newBarrier(was)
		_, err = s.db.Collection(barriers).DeleteOne(ctx, of(barrier.Barred, bson.E{Key: "by", Value: barrier.By}))
		return err
	})
	if err != nil {
		return chat.Block{}, fmt.Errorf("delete block %s: %w", b, err)
	}
	return was, nil
}

// Barriers implements chat.Store.
func (s *Store) Barriers(ctx context.Context, a id.Account, behind string, limit int) ([]chat.Target, error) {
	docs, err := findAll[barrierDoc](ctx, s.db.Collection(barriers),
		of(a, bson.E{Key: "by", Value: bson.D{{Key: "$gt", Value: behind}}}),
		options.Find().SetSort(ascending("by")).SetLimit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("find what bars %s: %w", a, err)
	}
	return each(docs, func(d barrierDoc) (chat.Target, error) { return targetOf(d.By) })
}
