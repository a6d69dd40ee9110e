package engine_test

import (
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

func TestAcknowledgedWritesSurviveACrash(t *testing.T) {
	t.Parallel()
	const writers, enough = 16, 500
	dir := filepath.Join(t.TempDir(), "data")
	first := start(t, dir)
	journaled := true
	things := connect(t, first.URI()).Clone(options.Collection().
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journaled}))

	var (
		count   atomic.Int64
		working sync.WaitGroup
		acked   = make([][]bson.ObjectID, writers)
	)
	for writer := range writers {
		working.Go(func() {
			for {
				id := bson.NewObjectID()
				if _, err := things.InsertOne(t.Context(), bson.M{"_id": id}); err != nil {
					return
				}
				acked[writer] = append(acked[writer], id)
				count.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return count.Load() > enough }, 30*time.Second, time.Millisecond)
	require.NoError(t, first.Kill())
	working.Wait()
	<-first.Done()

	kept := connect(t, start(t, dir).URI())
	all := slices.Concat(acked...) // a writer may have been too late for even one
	n, err := kept.CountDocuments(t.Context(), bson.M{"_id": bson.M{"$in": all}})
	require.NoError(t, err)
	require.EqualValues(t, len(all), n)
}
