package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/svckit/mongodb"
)

const crowdSize = 50_000

// crowd is a send into a conversation of many members. Its yardstick is one
// into a conversation of two.
func crowd() scenario {
	return scenario{name: "P5", env: unlimited(), run: func(ctx context.Context, w *world) ([]row, error) {
		large, err := w.talk(2, 1)
		if err != nil {
			return nil, err
		}
		small, err := w.talk(2, 1)
		if err != nil {
			return nil, err
		}
		if err := w.populate(ctx, large.conversations[0], large.people[1].id, crowdSize-2); err != nil {
			return nil, err
		}
		var rows []row
		for _, b := range []bout{{workers: 1, ours: large.send, yardstick: small.send}, {workers: 1, ours: small.send, yardstick: large.send}} {
			d, err := w.fight(ctx, b)
			if err != nil {
				return nil, err
			}
			r := row{
				Work:   fmt.Sprintf("send into %d members, p50; yardstick: into 2", crowdSize),
				Figure: d.p50, Unit: "µs", Yardstick: d.yardstickP50, Ratio: d.slower, Target: "ratio ≤ 1.1, equal calls",
			}
			if len(rows) == 1 {
				r.Work, r.Target = fmt.Sprintf("send into 2 members, p50; yardstick: into %d", crowdSize), ""
			}
			r.cost(d.perThousand)
			r.latency(d.latencies)
			r.Calls = &d.calls
			rows = append(rows, r)
		}
		if err := large.check(); err != nil {
			return nil, err
		}
		return rows, small.check()
	}}
}

// populate writes members into chat-svc's database, rows like those of one that
// is there: so many accounts would take longer to register than all else.
func (w *world) populate(ctx context.Context, conversation, like string, count int) error {
	db, err := w.database(ctx, "chat-svc")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }() // the run's end, whatever it says
	c, err := uuidOf(conversation)
	if err != nil {
		return err
	}
	for _, collection := range []string{"members", "memberships"} {
		if err := multiply(ctx, db, collection, bson.D{{Key: "c", Value: c}, {Key: "a", Value: like}}, like, count); err != nil {
			return fmt.Errorf("write %d %s: %w", count, collection, err)
		}
	}
	_, err = db.Collection("conversations").UpdateOne(ctx, bson.D{{Key: "_id", Value: c}},
		bson.D{{Key: "$inc", Value: bson.D{{Key: "member_count", Value: count}}}})
	return err
}

// multiply inserts rows as that of the account like, each for another account.
func multiply(ctx context.Context, db *mongodb.DB, collection string, of bson.D, like string, count int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	const chunk = 1000
	raw, err := db.Collection(collection).FindOne(ctx, of).Raw()
	if err != nil {
		return err
	}
	for first := 0; first < count; first += chunk {
		docs := make([]bson.Raw, 0, chunk)
		for n := first; n < min(first+chunk, count); n++ {
			other := fmt.Appendf(nil, "%s%08d", like[:len(like)-8], n)
			docs = append(docs, bytes.ReplaceAll(raw, []byte(like), other))
		}
		if _, err := db.Collection(collection).InsertMany(ctx, docs); err != nil {
			return err
		}
	}
	return nil
}
