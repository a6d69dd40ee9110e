package mongostore

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/svckit/mongodb"
)

// beside is the comment of commands that no request waits for, so that the
// database's log and profiler tell them apart.
const beside = "beside requests"

// leaseID is the document of the collection feed that names who does a work.
func leaseID(work string) string { return "lease:" + work }

// Lease implements lease.Store.
func (s *Store) Lease(ctx context.Context, work, holder string, now, until time.Time) (bool, error) {
	free := bson.D{{Key: "_id", Value: leaseID(work)}, {Key: "$or", Value: bson.A{
		bson.D{{Key: "holder", Value: holder}},
		bson.D{{Key: "until", Value: bson.D{{Key: "$lt", Value: now}}}},
		bson.D{{Key: "until", Value: bson.D{{Key: "$gt", Value: until.Add(until.Sub(now))}}}},
	}}}
	_, err := s.db.Collection(feed).UpdateOne(ctx, free,
		bson.D{{Key: "$set", Value: bson.D{{Key: "holder", Value: holder}, {Key: "until", Value: until}}}},
		options.UpdateOne().SetUpsert(true).SetComment(beside))
	if mongo.IsDuplicateKeyError(err) { // it stands, and is somebody else's
		return false, nil
	}
	if err != nil {
		return false, mongodb.Fault(err)
	}
	return true, nil
}

// SaveActivity implements events.CheckpointStore.
func (s *Store) SaveActivity(ctx context.Context, all []events.Activity) error {
	writes := make([]mongo.WriteModel, len(all))
	for i, a := range all {
		writes[i] = mongo.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: binary(a.Conversation)}}).
			SetUpdate(bson.D{{Key: "$max", Value: bson.D{
				{Key: lastSeq, Value: a.Last.Seq}, {Key: lastMessageAt, Value: a.Last.At},
			}}})
	}
	_, err := s.db.Collection(conversations).BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false).SetComment(beside))
	return mongodb.Fault(err)
}

// SaveCheckpoint implements events.CheckpointStore.
func (s *Store) SaveCheckpoint(ctx context.Context, p events.Position) error {
	_, err := s.db.Collection(feed).UpdateOne(ctx, bson.D{{Key: "_id", Value: checkpointID}},
		bson.D{
			{Key: "$max", Value: bson.D{{Key: "position", Value: p.Bytes()}}},
			{Key: "$currentDate", Value: bson.D{{Key: "written_at", Value: true}}},
		},
		options.UpdateOne().SetUpsert(true).SetComment(beside))
	return mongodb.Fault(err)
}
