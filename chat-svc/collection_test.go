package chatsvc_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// A collection is looked at, or changed, behind the server's back.
type collection struct{ *mongo.Collection }

type row bson.Raw

// fields are the names of what the row has, sorted.
func (r row) fields(t *testing.T) []string {
	t.Helper()
	elements, err := bson.Raw(r).Elements()
	require.NoError(t, err)
	names := make([]string, len(elements))
	for n, element := range elements {
		names[n] = element.Key()
	}
	slices.Sort(names)
	return names
}

func (c collection) all(t *testing.T, which bson.D) []row {
	t.Helper()
	cursor, err := c.Find(t.Context(), which)
	require.NoError(t, err)
	var rows []bson.Raw
	require.NoError(t, cursor.All(t.Context(), &rows))
	found := make([]row, len(rows))
	for n := range rows {
		found[n] = row(rows[n])
	}
	return found
}

func (c collection) one(t *testing.T, which bson.D) row {
	t.Helper()
	rows := c.all(t, which)
	require.Len(t, rows, 1)
	return rows[0]
}

func (c collection) set(t *testing.T, which, fields bson.D) {
	t.Helper()
	result, err := c.UpdateMany(t.Context(), which, bson.D{{Key: "$set", Value: fields}})
	require.NoError(t, err)
	require.Positive(t, result.ModifiedCount)
}

func (c collection) remove(t *testing.T, which bson.D) {
	t.Helper()
	result, err := c.DeleteMany(t.Context(), which)
	require.NoError(t, err)
	require.Positive(t, result.DeletedCount)
}
