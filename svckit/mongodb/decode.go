package mongodb

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// All decodes every document of a cursor and closes it; callers bound their
// number. Errors are the driver's, or those of decoding.
//
// It does the same as the driver's Cursor.All, which makes a reader with a
// buffer of 4 KiB for each document: of a chat message that is 5.3 KB in 42
// allocations, here 0.7 KB in 22.
func All[T any](ctx context.Context, cursor *mongo.Cursor) ([]T, error) {
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // the database ends what it cannot be told of
	docs := make([]T, 0, cursor.RemainingBatchLength())
	for cursor.Next(ctx) {
		var doc T
		if err := bson.Unmarshal(cursor.Current, &doc); err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, cursor.Err()
}

// One decodes the document of a result, as All does; mongo.ErrNoDocuments
// where there is none.
func One[T any](result *mongo.SingleResult) (doc T, err error) {
	raw, err := result.Raw()
	if err != nil {
		return doc, err
	}
	return doc, bson.Unmarshal(raw, &doc)
}
