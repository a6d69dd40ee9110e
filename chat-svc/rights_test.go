package chatsvc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// What one replica takes away the other one refuses soon.
func TestRightsEndOnEveryReplica(t *testing.T) {
	t.Parallel()
	i := install(t)
	here, there := document.Client(t, i.server(t).Handler()), document.Client(t, i.server(t).Handler())
	ann, bob := i.as(t, here, 1), i.as(t, there, 2)
	group := ann.group(t, bob.id)
	bob.settle(t, group)
	refused := func(status int) {
		require.Eventually(t, func() bool {
			return bob.do(t, "POST", "/api/messages", object{"conversation_id": group, "content": "x"}).Status == status
		}, 30*time.Second, 5*time.Millisecond)
	}
	block := ann.block(t, bob.id)
	refused(403)
	ann.unblock(t, block)
	refused(201)
	ann.want(t, 200, "DELETE", "/api/conversations/"+group+"/members/"+bob.id, nil)
	refused(404)
}

// A replica that was cut off while a member was removed serves it nothing, cut
// off or back.
func TestRightsEndForWhoWasCutOff(t *testing.T) {
	t.Parallel()
	i := install(t)
	uri, proxy := svctest.NewProxy(t, i.database.URI)
	here, there := document.Client(t, i.server(t).Handler()), document.Client(t, i.server(t, "MONGODB_URI="+uri).Handler())
	ann, bob := i.as(t, here, 1), i.as(t, there, 2)
	group := ann.group(t, bob.id)
	bob.settle(t, group)
	proxy.Cut()
	ann.want(t, 200, "DELETE", "/api/conversations/"+group+"/members/"+bob.id, nil)
	removed := time.Now()
	path := "/api/conversations/" + group + "/messages"
	statuses := map[int]int{}
	for statuses[404] == 0 {
		late := time.Since(removed) > 2*time.Second
		answer := bob.do(t, "GET", path, nil)
		statuses[answer.Status]++
		if late {
			require.NotEqual(t, 200, answer.Status, "%s", answer.Body)
		}
		if statuses[503] == 3 {
			proxy.Restore()
		}
		require.Less(t, time.Since(removed), time.Minute)
	}
	require.GreaterOrEqual(t, statuses[503], 3, "cut off")
}
