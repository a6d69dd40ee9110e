package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What auth-svc deletes, chat-svc carries out.
func TestADeletionIsCarriedOut(t *testing.T) {
	t.Parallel()
	s := newHome(t).start(t)
	leaver, heir := s.register(t, "leaver"), s.register(t, "heir")
	group := s.must(t, 201, "POST", "/api/conversations", bearer(leaver.token),
		object{"type": "group", "name": "Harbour", "members": []string{heir.id}}).text(t, "conversation_id")
	s.send(t, leaver, group, "to be forgotten")
	s.send(t, heir, group, "to be kept")

	s.must(t, 204, "DELETE", "/api/agents/"+leaver.id+"?content=erase", basic(leaver.id, leaver.recovery), nil)
	path := "/api/conversations/" + group
	var messages answer
	require.Eventually(t, func() bool { // each read waits out the limit of polls
		messages = s.call(t, "GET", path+"/messages", bearer(heir.token), nil)
		return messages.status == 200 && len(contents(t, messages)) == 1
	}, 30*time.Second, time.Second)
	require.Equal(t, []string{"to be kept"}, contents(t, messages))
	seen := s.must(t, 200, "GET", path, bearer(heir.token), nil)
	members, ok := seen.at(t, "members").([]any)
	require.True(t, ok)
	require.Len(t, members, 1)
	require.Equal(t, "owner", members[0].(object)["role"])
	require.Equal(t, heir.id, members[0].(object)["agent_id"])
}
