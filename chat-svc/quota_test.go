package chatsvc_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConversationQuota(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "CONVERSATIONS_PER_ACCOUNT=2")
	p.bob.group(t, p.ann.id)
	p.eve.group(t, p.ann.id)
	left := p.ann.group(t, p.bob.id)
	p.ann.want(t, 200, "POST", "/api/conversations/"+left+"/transfer", object{"agent_id": p.bob.id})
	p.ann.want(t, 200, "POST", "/api/conversations/"+left+"/leave", nil)
	kept := p.ann.group(t)
	full := func() {
		answer := p.ann.want(t, 403, "POST", "/api/conversations", object{"type": "group", "members": []string{}})
		require.Equal(t, "QUOTA_EXCEEDED", answer.Text("error.code"))
		require.Equal(t, "conversations_per_account", answer.Text("error.details.quota"))
	}
	full() // by what it made, also what it left, and not by what others did
	p.ann.want(t, 201, "POST", "/api/conversations", object{"type": "direct", "members": []string{p.bob.id}})
	p.ann.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.eve.id, "content": "x"})
	full()
	p.ann.want(t, 204, "DELETE", "/api/conversations/"+kept, nil)
	p.ann.group(t) // direct ones do not count
	full()
	p.bob.want(t, 204, "DELETE", "/api/conversations/"+left, nil)
	p.ann.group(t)
}

// A creation spends more of the rate the more members it names.
func TestMembersCountInTheRateOfCreations(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "CREATIONS_PER_MINUTE=1", "CREATION_BURST=3")
	many := make([]string, 1000)
	for n := range many {
		many[n] = agent(1000 + n)
	}
	p.ann.group(t)
	p.ann.want(t, 429, "POST", "/api/conversations", object{"type": "group", "members": many})
	p.ann.group(t, many[:500]...)
	p.ann.want(t, 429, "POST", "/api/conversations", object{"type": "group", "members": []string{}})
	p.bob.group(t, many...)
	p.bob.want(t, 429, "POST", "/api/conversations", object{"type": "group", "members": []string{}})
}

func TestConversationsAreMadeAtALimitedRate(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "CREATIONS_PER_MINUTE=1", "CREATION_BURST=2")
	direct := object{"type": "direct", "members": []string{p.bob.id}}
	p.ann.group(t)
	p.ann.want(t, 201, "POST", "/api/conversations", direct)
	for _, wanted := range []object{{"type": "group", "members": []string{}}, {"type": "direct", "members": []string{p.eve.id}}} {
		answer := p.ann.want(t, 429, "POST", "/api/conversations", wanted)
		require.NotEmpty(t, answer.Header.Get("Retry-After"))
	}
	p.ann.want(t, 429, "POST", "/api/messages", object{"recipient_agent_id": p.eve.id, "content": "x"})
	p.ann.want(t, 200, "POST", "/api/conversations", direct)
	p.ann.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.bob.id, "content": "x"})
	p.bob.group(t)
}
