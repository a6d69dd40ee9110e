package chatsvc_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	chatsvc "chatplatform.io/chat-svc"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/svctest"
)

// hung gives the right to write the checkpoint to a replica that only renews
// it, until what it returns is called.
func hung(t *testing.T, db *mongodb.DB) (freed func()) {
	lease := db.Collection("feed")
	held := bson.D{{Key: "_id", Value: "lease:checkpoint"}}
	renew := func(ctx context.Context) error {
		_, err := lease.UpdateOne(ctx, held, bson.D{{Key: "$set", Value: bson.D{
			{Key: "holder", Value: "a replica that hangs"}, {Key: "until", Value: time.Now().Add(9 * time.Second)},
		}}}, options.UpdateOne().SetUpsert(true))
		return err
	}
	require.NoError(t, renew(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = renew(ctx) // or at the next tick
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		renewing.Wait()
		_, err := lease.DeleteOne(t.Context(), held)
		require.NoError(t, err)
	}
}

func (p person) sendsStale(t *testing.T, conversation string) bool {
	return p.say(t, conversation, "x").Get("stale_conversation_list_order") == true
}

// While nobody can write the checkpoint, senders are told on every server that
// the order of lists is stale; when somebody can again, it repairs itself.
func TestStaleListOrder(t *testing.T) {
	t.Parallel()
	i := install(t)
	freed := hung(t, svctest.Open(t, i.database))
	one := i.as(t, document.Client(t, i.server(t).Handler()), 1)
	two := i.as(t, document.Client(t, i.server(t).Handler()), 1)
	conversation := one.group(t)
	for _, ann := range []person{one, two} {
		require.Eventually(t, func() bool { return ann.sendsStale(t, conversation) }, 30*time.Second, 200*time.Millisecond)
	}
	freed()
	for _, ann := range []person{one, two} {
		require.Eventually(t, func() bool { return !ann.sendsStale(t, conversation) }, 30*time.Second, 200*time.Millisecond)
	}
}

// What no server could write before it ended, the next one writes from the
// checkpoint on, and knows until then.
func TestStaleListOrderIsRepairedAfterARestart(t *testing.T) {
	t.Parallel()
	i := install(t)
	db := svctest.Open(t, i.database)
	freed := hung(t, db)
	deps, _ := i.logged(t)
	before, err := chatsvc.Open(t.Context(), i.config(t), deps)
	require.NoError(t, err)
	ann := i.as(t, document.Client(t, before.Handler()), 1)
	older, newer := ann.group(t), ann.group(t)
	ann.say(t, newer, "x")
	require.Eventually(t, func() bool { return ann.sendsStale(t, older) }, 30*time.Second, 200*time.Millisecond)
	require.NoError(t, before.Close(context.Background()))

	saved := func() int64 {
		n, err := db.Collection("conversations").CountDocuments(t.Context(), bson.D{{Key: "last_seq", Value: bson.D{{Key: "$gt", Value: 0}}}})
		require.NoError(t, err)
		return n
	}
	require.Zero(t, saved(), "nothing of it was written")
	after := i.server(t)
	ann = i.as(t, document.Client(t, after.Handler()), 1)
	place{installation: i, ann: ann}.trusted(t)
	listed := ann.want(t, 200, "GET", "/api/conversations", nil)
	require.Equal(t, older, listed.Text("conversations.0.conversation_id"), "the last to be active, although no document says so")
	freed()
	require.Eventually(t, func() bool { return saved() == 2 }, 30*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return !ann.sendsStale(t, newer) }, 30*time.Second, 200*time.Millisecond)
}
