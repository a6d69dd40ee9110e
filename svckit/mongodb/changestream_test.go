package mongodb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/svckit/mongodb"
)

// change is the part of an event that the platform reads.
type change struct {
	OperationType string         `bson:"operationType"`
	DocumentKey   bson.M         `bson:"documentKey"`
	FullDocument  bson.M         `bson:"fullDocument"`
	NS            bson.M         `bson:"ns"`
	ClusterTime   bson.Timestamp `bson:"clusterTime"`
}

func watch(t *testing.T, db *mongodb.DB, o *options.ChangeStreamOptionsBuilder) *mongo.ChangeStream {
	t.Helper()
	stream, err := db.Watch(t.Context(), mongo.Pipeline{}, o.SetMaxAwaitTime(time.Second))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stream.Close(context.Background())) })
	return stream
}

func next(t *testing.T, stream *mongo.ChangeStream) (c change) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.True(t, stream.Next(ctx), stream.Err())
	require.NoError(t, stream.Decode(&c))
	return c
}

func TestEngineStreamsChangesInOrderAndResumes(t *testing.T) {
	t.Parallel()
	db, things := collection(t)
	stream := watch(t, db, options.ChangeStream())
	for i := range 5 {
		_, err := things.InsertOne(t.Context(), bson.M{"_id": i})
		require.NoError(t, err)
	}
	require.EqualValues(t, 0, next(t, stream).DocumentKey["_id"])
	second := next(t, stream)
	require.EqualValues(t, 1, second.DocumentKey["_id"])
	require.Equal(t, "insert", second.OperationType)
	require.Equal(t, "things", second.NS["coll"])
	token := stream.ResumeToken()

	_, err := things.InsertOne(t.Context(), bson.M{"_id": 5})
	require.NoError(t, err)
	for name, again := range map[string]*mongo.ChangeStream{
		"resumeAfter": watch(t, db, options.ChangeStream().SetResumeAfter(token)),
		"startAfter":  watch(t, db, options.ChangeStream().SetStartAfter(token)),
	} {
		for want := 2; want <= 5; want++ {
			require.EqualValues(t, want, next(t, again).DocumentKey["_id"], name)
		}
	}
	fromTime := watch(t, db, options.ChangeStream().SetStartAtOperationTime(&second.ClusterTime))
	require.EqualValues(t, 1, next(t, fromTime).DocumentKey["_id"], "the time itself is included")
}

func TestEngineStreamsTheDocumentAfterAnUpdate(t *testing.T) {
	t.Parallel()
	db, things := collection(t)
	_, err := things.InsertOne(t.Context(), bson.M{"_id": 1, "n": 1})
	require.NoError(t, err)
	stream := watch(t, db, options.ChangeStream().SetFullDocument(options.UpdateLookup))
	_, err = things.UpdateByID(t.Context(), 1, bson.M{"$inc": bson.M{"n": 1}})
	require.NoError(t, err)
	updated := next(t, stream)
	require.Equal(t, "update", updated.OperationType)
	require.EqualValues(t, 2, updated.FullDocument["n"])
	_, err = things.DeleteOne(t.Context(), bson.M{"_id": 1})
	require.NoError(t, err)
	require.Equal(t, "delete", next(t, stream).OperationType)
}

func TestEngineStreamsATransactionWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	db, things := collection(t)
	stream := watch(t, db, options.ChangeStream())
	insert := func(end error, ids ...any) error {
		return db.Transact(t.Context(), func(ctx context.Context) error {
			for _, id := range ids {
				if _, err := things.InsertOne(ctx, bson.M{"_id": id}); err != nil {
					return err
				}
			}
			return end
		})
	}
	require.ErrorIs(t, insert(context.Canceled, "never"), context.Canceled)
	require.NoError(t, insert(nil, "a", "b"))
	require.Equal(t, "a", next(t, stream).DocumentKey["_id"])
	require.Equal(t, "b", next(t, stream).DocumentKey["_id"])
}
