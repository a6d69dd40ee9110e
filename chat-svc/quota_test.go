package chatsvc_test

import (
	"strings"
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

func TestBlockQuota(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "BLOCKS_PER_ACCOUNT=2")
	first := p.ann.block(t, p.bob.id)
	p.ann.block(t, p.ann.group(t))
	answer := p.ann.want(t, 403, "POST", "/api/blocks", object{"target_id": p.eve.id})
	require.Equal(t, "QUOTA_EXCEEDED", answer.Text("error.code"))
	require.Equal(t, "blocks_per_account", answer.Text("error.details.quota"))
	p.ann.unblock(t, first)
	p.ann.block(t, p.eve.id)
	p.bob.block(t, p.eve.id)
}

// What changes messages and blocks shares the rate of sends.
func TestChangesShareTheRateOfSends(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct {
		method, path string
		body         object
		status       int
	}{
		"an edit":            {"PUT", "/api/messages/{message}", object{"content": "y"}, 200},
		"a deletion":         {"DELETE", "/api/messages/{message}", nil, 200},
		"a withdrawal":       {"DELETE", "/api/messages/{message}", object{"withdraw": true}, 200},
		"a block":            {"POST", "/api/blocks", object{"target_id": agent(3)}, 201},
		"a block taken back": {"DELETE", "/api/blocks/{block}", nil, 204},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, "SENDS_PER_MINUTE=1", "SEND_BURST=3")
			message := p.ann.say(t, p.ann.group(t), "x").Text("message_id")
			block := p.ann.block(t, p.bob.id)
			path := strings.NewReplacer("{message}", message, "{block}", block).Replace(change.path)
			var body any
			if change.body != nil {
				body = change.body
			}
			p.ann.want(t, change.status, change.method, path, body)
			answer := p.ann.want(t, 429, change.method, path, body)
			require.Equal(t, "RATE_LIMIT_EXCEEDED", answer.Text("error.code"))
			require.NotEmpty(t, answer.Header.Get("Retry-After"))
		})
	}
}
