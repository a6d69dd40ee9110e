package mongodb

import (
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A Schema is all that a service's database holds.
type Schema struct {
	// Service is the program whose `migrate` brings the database up.
	Service string
	// Version grows by one with every change to Collections.
	Version     int
	Collections []Collection
}

// A Collection states how its documents are spread and found.
type Collection struct {
	Name string
	// ShardKey holds the fields, in order, by whose ranges a sharded cluster
	// spreads the documents; every hot query carries them.
	ShardKey []string
	// Indexes are those beside _id. Keys must be a bson.D. The fields of a
	// unique index, and those of its partial filter, are set when a document
	// is inserted and never change: to change them, delete it and insert
	// another. MongoDB would allow more, but shard keys forbid it in part, and
	// the embedded engine keeps a key taken that an update left and lets two
	// racing updates take the same one.
	Indexes []mongo.IndexModel
}

// Validate reports every collection that could not be sharded as it says: one
// without a shard key, and a unique index that does not begin with it, which
// would not be unique over shards. Services call it in a test; Migrate does too.
func (s Schema) Validate() error {
	var problems []error
	if s.Service == "" || s.Version < 1 {
		problems = append(problems, errors.New("a schema needs a service and a version from 1 up"))
	}
	for _, c := range s.Collections {
		if c.Name == "" || c.Name == schemaCollection || len(c.ShardKey) == 0 {
			problems = append(problems, fmt.Errorf("collection %q: needs a name of its own and a shard key", c.Name))
		}
		for i, index := range c.Indexes {
			if err := c.check(index); err != nil {
				problems = append(problems, fmt.Errorf("collection %q, index %d: %w", c.Name, i, err))
			}
		}
	}
	return errors.Join(problems...)
}

func (c Collection) check(index mongo.IndexModel) error {
	keys, ok := index.Keys.(bson.D)
	if !ok {
		return errors.New("its keys are not a bson.D")
	}
	unique, err := isUnique(index)
	if err != nil || !unique {
		return err
	}
	var fields []string
	for _, key := range keys {
		fields = append(fields, key.Key)
	}
	if len(fields) < len(c.ShardKey) || !slices.Equal(fields[:len(c.ShardKey)], c.ShardKey) {
		return fmt.Errorf("it is unique and does not begin with the shard key %v", c.ShardKey)
	}
	return nil
}

func isUnique(index mongo.IndexModel) (bool, error) {
	if index.Options == nil {
		return false, nil
	}
	var o options.IndexOptions
	for _, set := range index.Options.List() {
		if err := set(&o); err != nil {
			return false, err
		}
	}
	return o.Unique != nil && *o.Unique, nil
}
