package chatsvc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// What one replica takes away another one refuses as soon as its feed has told
// of it. The other one's clock is stopped, so that nothing it knows grows old:
// only the feed ends it.
func TestRightsEndOnEveryReplica(t *testing.T) {
	t.Parallel()
	i := install(t)
	there, _ := measured(t, i)
	ann := i.as(t, document.Client(t, i.server(t).Handler()), 1)
	bob, eve := there.bob, there.eve
	group := ann.group(t, bob.id, eve.id)
	bob.settle(t, group)
	send := object{"conversation_id": group, "content": "x"}
	heard := func(change func()) {
		next := eve.messages(t, "").Next
		change()
		eve.hear(t, next, ann.say(t, group, "behind the change").Text("message_id"))
	}

	var block string
	heard(func() { block = ann.block(t, bob.id) })
	require.Equal(t, "BLOCKED", bob.want(t, 403, "POST", "/api/messages", send).Text("error.code"))
	heard(func() { ann.unblock(t, block) })
	bob.want(t, 201, "POST", "/api/messages", send)
	next := bob.messages(t, "").Next
	heard(func() { ann.want(t, 200, "DELETE", "/api/conversations/"+group+"/members/"+bob.id, nil) })
	require.Equal(t, 404, bob.do(t, "POST", "/api/messages", send).Status)
	for _, path := range []string{"", "/members", "/messages", "/messages?after=" + next} {
		require.Equal(t, 404, bob.do(t, "GET", "/api/conversations/"+group+path, nil).Status, path)
	}
	for _, path := range []string{"/api/messages", "/api/messages?after=" + next, "/api/conversations"} {
		answer := bob.do(t, "GET", path, nil)
		require.Equal(t, 200, answer.Status, "%s", answer.Body)
		require.NotContains(t, string(answer.Body), group, path)
	}
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
