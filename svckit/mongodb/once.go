package mongodb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"chatplatform.io/svckit/paging"
)

const epochBytes = 16

// Epoch is a random string of 32 hexadecimal digits, made once and the same for
// every process. Cursors and event ids carry it: whoever restores a backup
// deletes the document "epoch" of the collection "schema", which starts a new
// epoch, so that positions from the lost future are refused.
func (db *DB) Epoch(ctx context.Context) (string, error) {
	value, err := db.once(ctx, "epoch", epochBytes)
	return hex.EncodeToString(value), err
}

// Cursors makes and reads the cursors of the lists that are kept here: under a
// key of this database, until its epoch ends.
func (db *DB) Cursors(ctx context.Context) (*paging.Codec, error) {
	key, err := db.Secret(ctx, "cursors", 32)
	if err != nil {
		return nil, err
	}
	epoch, err := db.Epoch(ctx)
	return paging.NewCodec(key, epoch), err
}

// Secret is size random bytes, made once under a name and the same for every
// process. It is meant for keys whose loss would not give anybody access, such
// as those of cursors; it is as safe as the database.
func (db *DB) Secret(ctx context.Context, name string, size int) ([]byte, error) {
	value, err := db.once(ctx, "secret:"+name, size)
	if err != nil {
		return nil, err
	}
	if len(value) != size {
		return nil, fmt.Errorf("secret %s of %s has %d bytes and not %d", name, db.Name(), len(value), size)
	}
	return value, nil
}

// once reads a value, or stores a random one; of several at once all get the
// one that was stored, after a majority has it.
func (db *DB) once(ctx context.Context, id string, size int) (value []byte, err error) {
	err = db.Client().UseSession(ctx, func(ctx context.Context) error {
		value, err = db.read(ctx, id)
		if !errors.Is(err, mongo.ErrNoDocuments) {
			return err
		}
		value = make([]byte, size)
		_, _ = rand.Read(value) // never fails: crypto/rand ends the process instead
		_, err = db.Collection(schemaCollection).InsertOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "value", Value: value}})
		if mongo.IsDuplicateKeyError(err) { // another process was faster; the session sees what it met
			value, err = db.read(ctx, id)
		}
		return err
	})
	if err != nil {
		return nil, Fault(fmt.Errorf("make or read %s of %s: %w", id, db.Name(), err))
	}
	return value, nil
}

func (db *DB) read(ctx context.Context, id string) ([]byte, error) {
	var found struct {
		Value []byte `bson:"value"`
	}
	err := db.Collection(schemaCollection).FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Decode(&found)
	return found.Value, err
}
