package mongodb_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/svctest"
)

// The tests of this file state what the platform relies on in a database
// engine. They hold for MongoDB 7 and newer, and must hold for every engine
// that stands in for it: run them with MONGODB_URI naming it. What MongoDB
// does and the platform does not rely on is not here: that an update gives a
// unique key free (see Collection.Indexes), and that a findOneAndUpdate with
// upsert that met another one answers with the document (insert, and read what
// a refusal met, in one session).

const racers = 32

// race calls do from many goroutines at once and gives their errors.
func race(do func(racer int) error) []error {
	begin := make(chan struct{})
	all := make(chan error, racers)
	for racer := range racers {
		go func() {
			<-begin
			all <- do(racer)
		}()
	}
	close(begin)
	errs := make([]error, 0, racers)
	for range racers {
		errs = append(errs, <-all)
	}
	return errs
}

// oneWins fails unless exactly one call went through and all others met a
// duplicate key.
func oneWins(t *testing.T, errs []error) {
	t.Helper()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		require.True(t, mongo.IsDuplicateKeyError(err), err)
	}
	require.Equal(t, 1, won)
}

func collection(t *testing.T, indexes ...mongo.IndexModel) (*mongodb.DB, *mongo.Collection) {
	t.Helper()
	db, _ := svctest.Database(t)
	things := db.Collection("things")
	require.NoError(t, db.CreateCollection(t.Context(), things.Name()))
	if len(indexes) > 0 {
		_, err := things.Indexes().CreateMany(t.Context(), indexes)
		require.NoError(t, err)
	}
	return db, things
}

func uniqueOn(keys ...string) mongo.IndexModel {
	var d bson.D
	for _, key := range keys {
		d = append(d, bson.E{Key: key, Value: 1})
	}
	return mongo.IndexModel{Keys: d, Options: options.Index().SetUnique(true)}
}

func TestEngineLetsOneOfManyEqualInsertsWin(t *testing.T) {
	t.Parallel()
	_, things := collection(t, uniqueOn("c", "s"))
	for round := range 10 {
		oneWins(t, race(func(int) error {
			_, err := things.InsertOne(t.Context(), bson.M{"c": "x", "s": round})
			return err
		}))
		oneWins(t, race(func(int) error {
			_, err := things.InsertOne(t.Context(), bson.M{"_id": fmt.Sprint("id", round), "c": "y", "s": bson.NewObjectID()})
			return err
		}))
	}
	n, err := things.CountDocuments(t.Context(), bson.M{"c": "x"})
	require.NoError(t, err)
	require.EqualValues(t, 10, n)
}

func TestEngineMakesOneDocumentOfManyEqualUpserts(t *testing.T) {
	t.Parallel()
	_, things := collection(t)
	for _, err := range race(func(int) error {
		update := func() error {
			_, err := things.UpdateByID(t.Context(), "one", bson.M{"$inc": bson.M{"n": 1}}, options.UpdateOne().SetUpsert(true))
			return err
		}
		err := update()
		if mongo.IsDuplicateKeyError(err) { // MongoDB may answer so; the second time it is there
			err = update()
		}
		return err
	}) {
		require.NoError(t, err)
	}
	require.NoError(t, things.FindOne(t.Context(), bson.M{"_id": "one", "n": racers}).Err())
}

func TestEngineKeepsPartialUniqueIndexes(t *testing.T) {
	t.Parallel()
	_, things := collection(t, mongo.IndexModel{
		Keys: bson.D{{Key: "name", Value: 1}},
		Options: options.Index().SetUnique(true).
			SetPartialFilterExpression(bson.D{{Key: "live", Value: true}}),
	})
	insert := func(live bool) error {
		_, err := things.InsertOne(t.Context(), bson.M{"name": "n", "live": live})
		return err
	}
	require.NoError(t, insert(false))
	require.NoError(t, insert(false), "outside the filter nothing is unique")
	oneWins(t, race(func(int) error { return insert(true) }))
	_, err := things.DeleteOne(t.Context(), bson.M{"live": true})
	require.NoError(t, err)
	oneWins(t, race(func(int) error { return insert(true) }))
}

func TestEngineRemovesWhatExpired(t *testing.T) {
	t.Parallel()
	_, things := collection(t, mongo.IndexModel{
		Keys: bson.D{{Key: "at", Value: 1}}, Options: options.Index().SetExpireAfterSeconds(0),
	}, uniqueOn("c"))
	specs, err := things.Indexes().ListSpecifications(t.Context())
	require.NoError(t, err)
	require.Len(t, specs, 3)
	require.NotNil(t, specs[1].ExpireAfterSeconds)
	_, err = things.InsertMany(t.Context(), []any{
		bson.M{"_id": "past", "c": 1, "at": time.Now().Add(-time.Minute)},
		bson.M{"_id": "future", "c": 2, "at": time.Now().Add(time.Hour)},
		bson.M{"_id": "never", "c": 3},
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return errors.Is(things.FindOne(t.Context(), bson.M{"_id": "past"}).Err(), mongo.ErrNoDocuments)
	}, 90*time.Second, 250*time.Millisecond)
	n, err := things.CountDocuments(t.Context(), bson.M{})
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	_, err = things.InsertOne(t.Context(), bson.M{"_id": "past", "c": 1})
	require.NoError(t, err, "what expired leaves its keys free")
}

func TestEngineStopsAnOrderedInsertAtTheFirstRefusal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		outcome   string
		refused   bson.M
		pattern   bson.M
		value     bson.M
		collision bson.M
	}{
		{"by _id", bson.M{"_id": "taken", "c": 9, "s": 9}, bson.M{"_id": int32(1)}, bson.M{"_id": "taken"},
			bson.M{"_id": "taken", "c": 1, "s": 1}},
		{"by a secondary index", bson.M{"_id": "new", "c": 1, "s": 1}, bson.M{"c": int32(1), "s": int32(1)}, bson.M{"c": int32(1), "s": int32(1)},
			bson.M{"_id": "old", "c": 1, "s": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			_, things := collection(t, uniqueOn("c", "s"))
			_, err := things.InsertOne(t.Context(), tt.collision)
			require.NoError(t, err)
			_, err = things.InsertMany(t.Context(), []any{bson.M{"_id": "before"}, tt.refused, bson.M{"_id": "after", "c": 2}})

			var refusal mongo.BulkWriteException
			require.ErrorAs(t, err, &refusal)
			require.Len(t, refusal.WriteErrors, 1)
			require.Equal(t, 1, refusal.WriteErrors[0].Index)
			var told struct{ KeyPattern, KeyValue bson.M }
			told.KeyPattern = decode(t, refusal.WriteErrors[0].Raw, "keyPattern")
			told.KeyValue = decode(t, refusal.WriteErrors[0].Raw, "keyValue")
			require.Equal(t, tt.pattern, told.KeyPattern)
			require.Equal(t, tt.value, told.KeyValue)
			require.NoError(t, things.FindOne(t.Context(), bson.M{"_id": "before"}).Err())
			require.ErrorIs(t, things.FindOne(t.Context(), bson.M{"_id": "after"}).Err(), mongo.ErrNoDocuments)
		})
	}
}

func decode(t *testing.T, raw bson.Raw, key string) bson.M {
	t.Helper()
	var m bson.M
	require.NoError(t, bson.Unmarshal(raw.Lookup(key).Document(), &m))
	return m
}

// A writer that was refused must be able to read what it met, though its own
// write made nothing: the session carries the time of the refusal.
func TestEngineShowsWhatARefusedInsertMet(t *testing.T) {
	t.Parallel()
	db, things := collection(t)
	for round := range 10 {
		for _, err := range race(func(racer int) error {
			return db.Client().UseSession(t.Context(), func(ctx context.Context) error {
				_, err := things.InsertOne(ctx, bson.M{"_id": round, "by": racer})
				if err != nil && !mongo.IsDuplicateKeyError(err) {
					return err
				}
				return things.FindOne(ctx, bson.M{"_id": round}).Err()
			})
		}) {
			require.NoError(t, err)
		}
	}
}

func TestEngineAbortsTransactionsWhole(t *testing.T) {
	t.Parallel()
	db, things := collection(t)
	others := db.Collection("others")
	require.NoError(t, db.CreateCollection(t.Context(), others.Name()))
	_, err := things.InsertOne(t.Context(), bson.M{"_id": 1, "n": 1})
	require.NoError(t, err)
	session, err := db.Client().StartSession()
	require.NoError(t, err)
	defer session.EndSession(context.Background())
	require.NoError(t, session.StartTransaction())
	within := mongo.NewSessionContext(t.Context(), session)
	_, err = things.UpdateByID(within, 1, bson.M{"$set": bson.M{"n": 2}})
	require.NoError(t, err)
	_, err = others.InsertOne(within, bson.M{"_id": 2})
	require.NoError(t, err)
	require.NoError(t, things.FindOne(within, bson.M{"n": 2}).Err(), "the transaction sees its own writes")
	require.NoError(t, things.FindOne(t.Context(), bson.M{"n": 1}).Err(), "others do not")

	require.NoError(t, session.AbortTransaction(t.Context()))
	require.NoError(t, things.FindOne(t.Context(), bson.M{"n": 1}).Err())
	require.ErrorIs(t, others.FindOne(t.Context(), bson.M{}).Err(), mongo.ErrNoDocuments)
}
