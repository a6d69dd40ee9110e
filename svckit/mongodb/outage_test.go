package mongodb_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/svctest"
)

// Writers that lose the database in the middle of their work, again and again,
// hear that it is unavailable and nothing else: a retry never meets its own
// first try, and what was acknowledged is there.
func TestOutagesUnderLoad(t *testing.T) {
	t.Parallel()
	const writers, outages = 16, 3
	s := svctest.Settings(t)
	uri, proxy := svctest.NewProxy(t, s.URI)
	direct := svctest.Open(t, s)
	s.URI = uri
	things := svctest.Open(t, s).Collection("things")

	var (
		kept    atomic.Int64
		refused atomic.Int64
		working sync.WaitGroup
		strange = make(chan error, writers)
		ids     = make([][]bson.ObjectID, writers)
	)
	ctx, finish := context.WithCancel(t.Context())
	defer finish()
	for writer := range writers {
		working.Go(func() {
			for ctx.Err() == nil {
				id := bson.NewObjectID()
				_, err := things.InsertOne(t.Context(), bson.M{"_id": id, "n": writer})
				if err == nil {
					ids[writer] = append(ids[writer], id)
					kept.Add(1)
					continue
				}
				refused.Add(1)
				if err := mongodb.Fault(err); fault.Of(err).Code != fault.ErrUnavailable.Code {
					strange <- err
					return
				}
			}
		})
	}
	for range outages {
		more := kept.Load() + 50
		require.Eventually(t, func() bool { return kept.Load() > more }, 30*time.Second, time.Millisecond)
		seen := refused.Load()
		proxy.Cut()
		require.Eventually(t, func() bool { return refused.Load() > seen }, 30*time.Second, time.Millisecond)
		proxy.Restore()
	}
	finish()
	working.Wait()
	close(strange)
	for err := range strange {
		require.NoError(t, err)
	}
	for _, acknowledged := range ids {
		n, err := direct.Collection("things").CountDocuments(t.Context(), bson.M{"_id": bson.M{"$in": acknowledged}})
		require.NoError(t, err)
		require.EqualValues(t, len(acknowledged), n)
	}
}

// A database that is away is known to be, and known to be back, while nobody
// asks anything of it; and then nobody waits for a server.
func TestReachable(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*svctest.Proxy){"dead": (*svctest.Proxy).Cut, "hanging": (*svctest.Proxy).Stall} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := svctest.Settings(t)
			s.Silence = 0
			uri, proxy := svctest.NewProxy(t, s.URI)
			s.URI = uri
			db := svctest.Open(t, s)
			require.NoError(t, db.Reachable())
			for range 2 {
				lose(proxy)
				require.Eventually(t, func() bool { return db.Reachable() != nil }, 30*time.Second, 5*time.Millisecond)
				require.ErrorIs(t, db.Reachable(), fault.ErrUnavailable)
				for range 1000 { // each would wait two seconds
					require.ErrorIs(t, db.Transact(t.Context(), func(context.Context) error { return nil }), fault.ErrUnavailable)
				}
				proxy.Restore()
				require.Eventually(t, func() bool { return db.Reachable() == nil }, 30*time.Second, 5*time.Millisecond)
				require.NoError(t, db.Ping(t.Context()))
			}
		})
	}
}
