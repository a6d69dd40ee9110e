package chatsvc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/svckit/svctest"
)

// While nobody can write the checkpoint, senders are told that the order of
// lists is stale; when somebody can again, it repairs itself.
func TestStaleListOrder(t *testing.T) {
	t.Parallel()
	i := install(t)
	lease := svctest.Open(t, i.database).Collection("feed")
	_, err := lease.InsertOne(t.Context(), bson.D{
		{Key: "_id", Value: "lease:checkpoint"}, {Key: "holder", Value: "a replica that hangs"}, {Key: "until", Value: time.Now().Add(time.Hour)},
	})
	require.NoError(t, err)
	client := document.Client(t, i.server(t).Handler())
	ann := i.as(t, client, 1)
	conversation := ann.group(t)
	stale := func() bool {
		return ann.say(t, conversation, "x").Get("stale_conversation_list_order") == true
	}
	require.False(t, stale(), "nothing is late yet")
	require.Eventually(t, stale, 30*time.Second, 200*time.Millisecond)
	_, err = lease.DeleteOne(t.Context(), bson.D{{Key: "_id", Value: "lease:checkpoint"}})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !stale() }, 30*time.Second, 200*time.Millisecond)
}
