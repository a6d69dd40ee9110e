package mongodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	schemaCollection = "schema"
	versionID        = "version"
	migrateWait      = 30 * time.Minute // an index over many documents takes long
	namespaceExists  = 48               // MongoDB's error code
)

// Open opens the database of the schema's service, which has the service's name
// unless the settings say otherwise, and makes sure that it has this version.
func (s Schema) Open(ctx context.Context, settings Settings, logger *slog.Logger, reg prometheus.Registerer) (*DB, error) {
	settings.Database = cmp.Or(settings.Database, s.Service)
	db, err := Open(ctx, settings, logger, reg)
	if err != nil {
		return nil, err
	}
	if err := db.CheckSchema(ctx, s); err != nil {
		return nil, errors.Join(err, db.Close(context.WithoutCancel(ctx)))
	}
	return db, nil
}

// Migrate brings the database that Open opens up to the schema.
func (s Schema) Migrate(ctx context.Context, settings Settings, logger *slog.Logger) error {
	settings.Database = cmp.Or(settings.Database, s.Service)
	db, err := Open(ctx, settings, logger, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx, s), db.Close(context.WithoutCancel(ctx)))
}

// Migrate brings the database up to a schema: it makes what is missing of the
// collections and indexes, shards the collections on a sharded cluster, and
// last writes the version. It may run again and in several processes at once.
// A database of a later version is refused and left as it is. It removes
// nothing: an older program may still run. It gives up after 30 minutes.
func (db *DB) Migrate(ctx context.Context, s Schema) error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("migrate %s: %w", db.Name(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, migrateWait)
	defer cancel()
	version, err := db.version(ctx)
	if err != nil {
		return err
	}
	if version > s.Version {
		return db.tooNew(version, s)
	}
	sharded, err := db.isSharded(ctx)
	if err != nil {
		return err
	}
	for _, c := range s.Collections {
		if err := db.prepare(ctx, c, sharded); err != nil {
			return Fault(fmt.Errorf("migrate %s: collection %s: %w", db.Name(), c.Name, err))
		}
	}
	return db.setVersion(ctx, s.Version)
}

// CheckSchema makes sure that the database has exactly the version the program
// was written for. Its error says which command to run.
func (db *DB) CheckSchema(ctx context.Context, s Schema) error {
	version, err := db.version(ctx)
	switch {
	case err != nil:
		return err
	case version == 0:
		return fmt.Errorf("database %s has no schema yet: run `%s migrate`", db.Name(), s.Service)
	case version < s.Version:
		return fmt.Errorf("database %s is at schema version %d and this %s needs %d: run `%s migrate`",
			db.Name(), version, s.Service, s.Version, s.Service)
	case version > s.Version:
		return db.tooNew(version, s)
	}
	return nil
}

func (db *DB) tooNew(version int, s Schema) error {
	return fmt.Errorf("database %s is at schema version %d and this %s knows up to %d: run a newer %s",
		db.Name(), version, s.Service, s.Version, s.Service)
}

// version is 0 for a database that was never migrated.
func (db *DB) version(ctx context.Context) (int, error) {
	var found struct {
		Version int `bson:"version"`
	}
	err := db.Collection(schemaCollection).FindOne(ctx, bson.D{{Key: "_id", Value: versionID}}).Decode(&found)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return 0, nil
	}
	if err != nil {
		return 0, Fault(fmt.Errorf("read the schema version of %s: %w", db.Name(), err))
	}
	return found.Version, nil
}

// setVersion never lowers the version, whoever is faster.
func (db *DB) setVersion(ctx context.Context, version int) error {
	set := func() error {
		_, err := db.Collection(schemaCollection).UpdateByID(ctx, versionID,
			bson.D{{Key: "$max", Value: bson.D{{Key: "version", Value: version}}}},
			options.UpdateOne().SetUpsert(true))
		return err
	}
	err := set()
	if mongo.IsDuplicateKeyError(err) { // two upserts met; now it is there
		err = set()
	}
	if err != nil {
		return Fault(fmt.Errorf("write the schema version of %s: %w", db.Name(), err))
	}
	return nil
}

// isSharded asks whether the server is the router of a sharded cluster.
func (db *DB) isSharded(ctx context.Context) (bool, error) {
	var hello struct {
		Message string `bson:"msg"`
	}
	if err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return false, Fault(fmt.Errorf("ask the server of %s what it is: %w", db.Name(), err))
	}
	return hello.Message == "isdbgrid", nil
}

func (db *DB) prepare(ctx context.Context, c Collection, sharded bool) error {
	err := db.CreateCollection(ctx, c.Name)
	var refused mongo.CommandError
	if err != nil && (!errors.As(err, &refused) || refused.Code != namespaceExists) {
		return fmt.Errorf("create it: %w", err)
	}
	if sharded {
		if err := db.Client().Database("admin").RunCommand(ctx, c.shardCommand(db.Name())).Err(); err != nil {
			return fmt.Errorf("shard it by %v: %w", c.ShardKey, err)
		}
	}
	if len(c.Indexes) == 0 {
		return nil
	}
	if _, err := db.Collection(c.Name).Indexes().CreateMany(ctx, c.Indexes); err != nil {
		return fmt.Errorf("create its indexes: %w", err)
	}
	return nil
}

func (c Collection) shardCommand(database string) bson.D {
	var key bson.D
	for _, field := range c.ShardKey {
		key = append(key, bson.E{Key: field, Value: 1})
	}
	return bson.D{{Key: "shardCollection", Value: database + "." + c.Name}, {Key: "key", Value: key}}
}
