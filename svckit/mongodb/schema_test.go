package mongodb_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/svctest"
)

func schema(version int) mongodb.Schema {
	return mongodb.Schema{Service: "thing-svc", Version: version, Collections: []mongodb.Collection{{
		Name: "things", ShardKey: []string{"c"},
		Indexes: []mongo.IndexModel{
			{Keys: bson.D{{Key: "c", Value: 1}, {Key: "s", Value: 1}}, Options: options.Index().SetUnique(true)},
			{Keys: bson.D{{Key: "at", Value: 1}}, Options: options.Index().SetExpireAfterSeconds(3600)},
		},
	}}}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	t.Run("makes collections and indexes, twice and at once", func(t *testing.T) {
		t.Parallel()
		db, settings := svctest.Database(t)
		const processes = 4
		done := make(chan error, processes)
		for range processes {
			other := svctest.Open(t, settings)
			go func() { done <- other.Migrate(t.Context(), schema(3)) }()
		}
		for range processes {
			require.NoError(t, <-done)
		}
		require.NoError(t, db.Migrate(t.Context(), schema(3)))
		require.NoError(t, db.CheckSchema(t.Context(), schema(3)))
		specs, err := db.Collection("things").Indexes().ListSpecifications(t.Context())
		require.NoError(t, err)
		require.Len(t, specs, 3)
	})
	t.Run("refuses a database of a later version and leaves it", func(t *testing.T) {
		t.Parallel()
		db, _ := svctest.Database(t)
		require.NoError(t, db.Migrate(t.Context(), schema(3)))
		require.ErrorContains(t, db.Migrate(t.Context(), schema(2)), "run a newer thing-svc")
		require.NoError(t, db.CheckSchema(t.Context(), schema(3)))
	})
	t.Run("refuses a schema that could not be sharded", func(t *testing.T) {
		t.Parallel()
		db, _ := svctest.Database(t)
		s := schema(1)
		s.Collections[0].ShardKey = []string{"s"}
		require.ErrorContains(t, db.Migrate(t.Context(), s), "does not begin with the shard key")
		require.ErrorContains(t, db.CheckSchema(t.Context(), s), "has no schema yet")
	})
}

func TestCheckSchema(t *testing.T) {
	t.Parallel()
	db, _ := svctest.Database(t)
	require.ErrorContains(t, db.CheckSchema(t.Context(), schema(2)), "run `thing-svc migrate`")
	require.NoError(t, db.Migrate(t.Context(), schema(2)))
	require.NoError(t, db.CheckSchema(t.Context(), schema(2)))
	require.ErrorContains(t, db.CheckSchema(t.Context(), schema(3)), "is at schema version 2 and this thing-svc needs 3: run `thing-svc migrate`")
	require.ErrorContains(t, db.CheckSchema(t.Context(), schema(1)), "run a newer thing-svc")
}

func TestASchemaOpensItsService(t *testing.T) {
	t.Parallel()
	settings := svctest.Settings(t)
	logger, _ := svctest.Logs(t)
	schema := mongodb.Schema{Service: settings.Database, Version: 1}
	settings.Database = ""
	_, err := schema.Open(t.Context(), settings, logger, prometheus.NewRegistry())
	require.ErrorContains(t, err, "migrate", "there is no schema yet")
	require.NoError(t, schema.Migrate(t.Context(), settings, logger))
	db, err := schema.Open(t.Context(), settings, logger, prometheus.NewRegistry())
	require.NoError(t, err)
	require.Equal(t, schema.Service, db.Name(), "named after the service")

	cursors, err := db.Cursors(t.Context())
	require.NoError(t, err)
	text, err := cursors.Encode("list", "agt", 7)
	require.NoError(t, err)
	again, err := db.Cursors(t.Context())
	require.NoError(t, err)
	var place int
	require.NoError(t, again.Decode("list", "agt", text, &place))
	require.Equal(t, 7, place)
	require.NoError(t, db.Close(t.Context()))
}

func TestValidate(t *testing.T) {
	t.Parallel()
	unique := func(keys ...string) mongo.IndexModel {
		var d bson.D
		for _, key := range keys {
			d = append(d, bson.E{Key: key, Value: 1})
		}
		return mongo.IndexModel{Keys: d, Options: options.Index().SetUnique(true)}
	}
	tests := []struct {
		outcome    string
		collection mongodb.Collection
		says       string
	}{
		{"a unique index on the shard key passes", mongodb.Collection{Name: "x", ShardKey: []string{"a", "b"}, Indexes: []mongo.IndexModel{unique("a", "b")}}, ""},
		{"a unique index that goes on passes", mongodb.Collection{Name: "x", ShardKey: []string{"a"}, Indexes: []mongo.IndexModel{unique("a", "c")}}, ""},
		{"another index passes", mongodb.Collection{Name: "x", ShardKey: []string{"a"}, Indexes: []mongo.IndexModel{{Keys: bson.D{{Key: "z", Value: 1}}}}}, ""},
		{"a unique index on half the shard key fails", mongodb.Collection{Name: "x", ShardKey: []string{"a", "b"}, Indexes: []mongo.IndexModel{unique("a")}}, "begin with the shard key"},
		{"a unique index of other order fails", mongodb.Collection{Name: "x", ShardKey: []string{"a", "b"}, Indexes: []mongo.IndexModel{unique("b", "a")}}, "begin with the shard key"},
		{"keys without an order fail", mongodb.Collection{Name: "x", ShardKey: []string{"a"}, Indexes: []mongo.IndexModel{{Keys: bson.M{"a": 1}}}}, "not a bson.D"},
		{"no shard key fails", mongodb.Collection{Name: "x"}, "shard key"},
		{"the package's own name fails", mongodb.Collection{Name: "schema", ShardKey: []string{"a"}}, "name of its own"},
	}
	for _, tt := range tests {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			err := mongodb.Schema{Service: "s", Version: 1, Collections: []mongodb.Collection{tt.collection}}.Validate()
			if tt.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.says)
		})
	}
	require.Error(t, mongodb.Schema{Service: "s"}.Validate(), "a version is needed")
}

func TestEpochAndSecretsAreMadeOnce(t *testing.T) {
	t.Parallel()
	const processes = 4
	_, settings := svctest.Database(t)
	type made struct {
		epoch  string
		secret []byte
		err    error
	}
	all := make(chan made, processes)
	for range processes {
		db := svctest.Open(t, settings)
		go func() {
			var m made
			if m.epoch, m.err = db.Epoch(t.Context()); m.err == nil {
				m.secret, m.err = db.Secret(t.Context(), "cursors", 32)
			}
			all <- m
		}()
	}
	first := <-all
	require.NoError(t, first.err)
	require.Len(t, first.epoch, 32)
	require.Len(t, first.secret, 32)
	for range processes - 1 {
		require.Equal(t, first, <-all)
	}

	db := svctest.Open(t, settings)
	other, err := db.Secret(t.Context(), "ids", 32)
	require.NoError(t, err)
	require.NotEqual(t, first.secret, other)
	_, err = db.Secret(t.Context(), "cursors", 16)
	require.ErrorContains(t, err, "32 bytes and not 16")

	_, err = db.Collection("schema").DeleteOne(t.Context(), bson.M{"_id": "epoch"})
	require.NoError(t, err)
	restored, err := db.Epoch(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first.epoch, restored, "a restored database starts a new epoch")
}
