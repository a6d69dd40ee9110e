package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/svckit/mongodb"
)

// bareDatabase is where yardsticks write, so that no service has to hear of it.
const bareDatabase = "bare"

// A bareMessage is a message as chat-svc keeps it (docs/data-model.md).
type bareMessage struct {
	Place        []byte      `bson:"_id"`
	Conversation bson.Binary `bson:"c"`
	Seq          int64       `bson:"s"`
	Sender       string      `bson:"sender"`
	Mark         []byte      `bson:"mark"`
	CreatedAt    time.Time   `bson:"created_at"`
	Type         string      `bson:"type"`
	Content      string      `bson:"content"`
}

// uuidOf is a conversation's id as BSON has it.
func uuidOf(conversation string) (bson.Binary, error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(conversation, "conv_"), "-", ""))
	return bson.Binary{Subtype: bson.TypeBinaryUUID, Data: raw}, err
}

// bareInserts is the yardstick of sends: the documents of a talk, inserted one
// by one into a collection with the indexes that chat-svc's has.
func (w *world) bareInserts(ctx context.Context, t *talk) (op operation, end func(), err error) {
	db, err := w.database(ctx, bareDatabase)
	if err != nil {
		return nil, nil, err
	}
	end = func() { _ = db.Close(context.WithoutCancel(ctx)) } // the run's end, whatever it says
	if err := w.copyIndexes(ctx, db, "messages"); err != nil {
		return nil, end, err
	}
	uuids := make([]bson.Binary, len(t.conversations))
	for i, conversation := range t.conversations {
		if uuids[i], err = uuidOf(conversation); err != nil {
			return nil, end, err
		}
	}
	counts := make([]atomic.Int64, len(t.people))
	seqs := make([]atomic.Int64, len(uuids))
	return func(ctx context.Context, worker int) error {
		worker %= len(t.people)
		number := int(counts[worker].Add(1))
		at := t.at(worker, number)
		seq := seqs[at].Add(1)
		mark := make([]byte, 8)
		_, _ = rand.Read(mark) // never fails
		_, err := db.Collection("messages").InsertOne(ctx, bareMessage{
			Place:        binary.BigEndian.AppendUint64(append([]byte{}, uuids[at].Data...), uint64(seq)),
			Conversation: uuids[at], Seq: seq, Sender: t.people[worker].id, Mark: mark,
			CreatedAt: time.Now(), Type: "text", Content: content(worker, number),
		})
		return err
	}, end, nil
}

// copyIndexes gives a collection of db the indexes that it has in chat-svc's.
func (w *world) copyIndexes(ctx context.Context, db *mongodb.DB, collection string) error {
	from, err := w.database(ctx, "chat-svc")
	if err != nil {
		return err
	}
	defer func() { _ = from.Close(context.WithoutCancel(ctx)) }() // the run's end, whatever it says
	cursor, err := from.Collection(collection).Indexes().List(ctx)
	if err != nil {
		return fmt.Errorf("list the indexes of %s: %w", collection, err)
	}
	var listed []bson.D // in their order: the engine takes another one for another index
	if err := cursor.All(ctx, &listed); err != nil {
		return fmt.Errorf("list the indexes of %s: %w", collection, err)
	}
	var wanted bson.A
	for _, index := range listed {
		index = slices.DeleteFunc(index, func(e bson.E) bool { return e.Key == "ns" })
		if !slices.Contains(index, bson.E{Key: "name", Value: "_id_"}) {
			wanted = append(wanted, index)
		}
	}
	create := bson.D{{Key: "createIndexes", Value: collection}, {Key: "indexes", Value: wanted}}
	if err := db.RunCommand(ctx, create).Err(); err != nil {
		return fmt.Errorf("make the indexes of %s: %w", collection, err)
	}
	return nil
}

// bareFind is the yardstick of pages: one bounded find of a page's messages,
// decoded as chat-svc does (mongodb.All), at a place of the conversation that differs each time.
func (w *world) bareFind(ctx context.Context, conversation string, length, page int64) (op operation, end func(), err error) {
	db, err := w.database(ctx, "chat-svc")
	if err != nil {
		return nil, nil, err
	}
	end = func() { _ = db.Close(context.WithoutCancel(ctx)) } // the run's end, whatever it says
	uuid, err := uuidOf(conversation)
	if err != nil {
		return nil, end, err
	}
	var turns atomic.Int64
	return func(ctx context.Context, _ int) error {
		upTo := length - turns.Add(1)*page%(length-page)
		cursor, err := db.Collection("messages").Find(ctx, bson.D{
			{Key: "c", Value: uuid},
			{Key: "s", Value: bson.D{{Key: "$gt", Value: upTo - page}, {Key: "$lte", Value: upTo}}},
			{Key: "withdrawn", Value: bson.D{{Key: "$exists", Value: false}}},
		}, options.Find().SetSort(bson.D{{Key: "s", Value: -1}}).SetLimit(page))
		if err != nil {
			return err
		}
		found, err := mongodb.All[bareMessage](ctx, cursor)
		if err != nil {
			return err
		}
		if int64(len(found)) != page || found[0].Seq != upTo {
			return fmt.Errorf("found %d messages below %d", len(found), upTo)
		}
		return nil
	}, end, nil
}
