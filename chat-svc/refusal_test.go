package chatsvc_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// A change that is refused, or has nothing to do, takes nothing from the other
// members: their next poll is answered from memory. What the role refuses does
// not even hold the conversation.
func TestARefusalCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	i := install(t)
	commands := &svctest.Commands{}
	i.database.Monitors = append(i.database.Monitors, commands.Monitor())
	p, registry := measured(t, i)
	m := newTeam(t, p)
	second := m.people["second"]
	second.settle(t, m.group)
	polls := func() bool {
		before := metric(t, registry, "chat_poll_memory_answers_total")
		second.messages(t, "")
		return metric(t, registry, "chat_poll_memory_answers_total") > before
	}
	require.Eventually(t, polls, 30*time.Second, time.Millisecond)
	for _, tt := range []struct {
		says, who, request string
		status             int
		holds              bool
	}{
		{"settings by a member", "member", `PUT / {"name":"x"}`, 403, false},
		{"an invitation by a member", "member", `POST /members {"agent_id":"$second"}`, 403, false},
		{"a removal by a member", "member", `DELETE /members/$second`, 403, false},
		{"a role by a member", "member", `PUT /role {"agent_id":"$second","role":"admin"}`, 403, false},
		{"a role by an admin", "admin", `PUT /role {"agent_id":"$second","role":"admin"}`, 403, false},
		{"a transfer by a member", "member", `POST /transfer {"agent_id":"$second"}`, 403, false},
		{"a closing by an admin", "admin", `DELETE /`, 403, false},
		{"the owner's leaving", "owner", `POST /leave`, 403, false},
		{"the owner's removal", "admin", `DELETE /members/$owner`, 403, true},
		{"a transfer to oneself", "owner", `POST /transfer {"agent_id":"$owner"}`, 400, true},
		{"a role that a member has", "owner", `PUT /role {"agent_id":"$second","role":"member"}`, 200, true},
		{"an invitation of a member", "admin", `POST /members {"agent_id":"$second"}`, 200, true},
	} {
		commands.Reset()
		require.Equal(t, tt.status, m.call(t, tt.who, tt.request).Status, tt.says)
		sent := commands.Sent()
		held := func(c svctest.Command) bool { return c.Name == "findAndModify" && c.Collection == "conversations" }
		kept := func(c svctest.Command) bool { return c.Name == "commitTransaction" }
		require.Equal(t, tt.holds, slices.ContainsFunc(sent, held), "%s: holds the conversation", tt.says)
		require.False(t, slices.ContainsFunc(sent, kept), "%s: tells the feed", tt.says)
		require.True(t, polls(), "%s: the next poll is answered from memory", tt.says)
	}
	m.ann.want(t, 200, "PUT", "/api/conversations/"+m.group, object{"name": "x"})
	require.False(t, polls(), "after a change")
}
