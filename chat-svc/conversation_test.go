package chatsvc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func TestCreateGroup(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	made := p.ann.want(t, 201, "POST", "/api/conversations", object{
		"type": "group", "name": "Project Team", "members": []string{p.bob.id, p.bob.id, p.ann.id},
		"metadata": object{"description": "Project discussion"},
	})
	require.Equal(t, "Project Team", made.Text("name"))
	require.Equal(t, "group", made.Text("type"))
	require.Nil(t, made.Get("last_message_at"))
	path := "/api/conversations/" + made.Text("conversation_id")

	seen := p.bob.want(t, 200, "GET", path, nil)
	require.Equal(t, p.ann.id, seen.Text("creator_id"))
	require.EqualValues(t, 2, seen.Get("member_count"))
	require.Len(t, seen.Get("members"), 2)
	require.Equal(t, p.ann.id, seen.Text("members.0.agent_id"))
	require.Equal(t, "owner", seen.Text("members.0.role"))
	require.Equal(t, "member", seen.Text("members.1.role"))
	require.Equal(t, "active", seen.Text("status"))
	require.Equal(t, "Project discussion", seen.Text("metadata.description"))
	require.Empty(t, seen.Text("metadata.avatar"))

	p.eve.want(t, 404, "GET", path, nil)
	p.ann.want(t, 404, "GET", "/api/conversations/conv_nonsense", nil, svctest.BadRequest())
	alone := p.ann.group(t)
	require.Len(t, p.ann.want(t, 200, "GET", "/api/conversations/"+alone, nil).Get("members"), 1)
}

func TestDirectConversation(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	body := func(other string) object { return object{"type": "direct", "members": []string{other}} }
	first := p.ann.want(t, 201, "POST", "/api/conversations", body(p.bob.id))
	again := p.ann.want(t, 200, "POST", "/api/conversations", body(p.bob.id))
	other := p.bob.want(t, 200, "POST", "/api/conversations", body(p.ann.id))
	require.Equal(t, first.Text("conversation_id"), again.Text("conversation_id"))
	require.Equal(t, first.Text("conversation_id"), other.Text("conversation_id"))
	third := p.ann.want(t, 201, "POST", "/api/conversations", body(p.eve.id))
	require.NotEqual(t, first.Text("conversation_id"), third.Text("conversation_id"))

	path := "/api/conversations/" + first.Text("conversation_id")
	seen := p.bob.want(t, 200, "GET", path, nil)
	require.Equal(t, "member", seen.Text("members.0.role"))
	require.Equal(t, "member", seen.Text("members.1.role"))
	require.Equal(t, "direct", seen.Text("type"))
	p.eve.want(t, 404, "GET", path, nil)
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "MEMBERS_PER_GROUP=3")
	group := func(more object) object {
		body := object{"type": "group", "name": "Team", "members": []string{}}
		for k, v := range more {
			body[k] = v
		}
		return body
	}
	tests := map[string]struct {
		body   any
		status int
		code   string
		detail string // field, or quota
	}{
		"no type":                      {object{"members": []string{}}, 400, "INVALID_REQUEST", "type"},
		"an unknown type":              {group(object{"type": "channel"}), 400, "INVALID_REQUEST", "type"},
		"no members":                   {object{"type": "group"}, 400, "INVALID_REQUEST", "members"},
		"members that are null":        {group(object{"members": nil}), 400, "INVALID_REQUEST", "members"},
		"members of another type":      {group(object{"members": "x"}), 400, "INVALID_REQUEST", "members"},
		"a name of another type":       {group(object{"name": 7}), 400, "INVALID_REQUEST", "name"},
		"a name that is too long":      {group(object{"name": strings.Repeat("é", 201)}), 400, "INVALID_REQUEST", "name"},
		"a description too long":       {group(object{"metadata": object{"description": strings.Repeat("é", 2001)}}), 400, "INVALID_REQUEST", "metadata.description"},
		"an avatar too long":           {group(object{"metadata": object{"avatar": strings.Repeat("é", 2001)}}), 400, "INVALID_REQUEST", "metadata.avatar"},
		"a malformed member":           {group(object{"members": []string{"agt_short"}}), 400, "INVALID_AGENT_ID", "members"},
		"a member that nobody is":      {group(object{"members": []string{p.bob.id, nobody()}}), 400, "INVALID_AGENT_ID", "members"},
		"too many members":             {group(object{"members": []string{agent(11), agent(12), agent(13)}}), 403, "QUOTA_EXCEEDED", "members_per_group"},
		"direct with nobody":           {group(object{"type": "direct"}), 400, "INVALID_REQUEST", "members"},
		"direct with oneself":          {group(object{"type": "direct", "members": []string{p.ann.id}}), 400, "INVALID_REQUEST", "members"},
		"direct with two others":       {group(object{"type": "direct", "members": []string{p.bob.id, p.eve.id}}), 400, "INVALID_REQUEST", "members"},
		"direct with whom nobody is":   {group(object{"type": "direct", "members": []string{nobody()}}), 400, "INVALID_AGENT_ID", "members"},
		"a body that is no object":     {[]int{1}, 400, "INVALID_REQUEST", "body"},
		"a name with a lone surrogate": {group(object{"name": "ok \ufffd"}), 201, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			answer := p.ann.want(t, tt.status, "POST", "/api/conversations", tt.body, svctest.BadRequest())
			require.Equal(t, tt.code, answer.Text("error.code"))
			if tt.detail != "" {
				require.Contains(t, []string{answer.Text("error.details.field"), answer.Text("error.details.quota")}, tt.detail)
			}
		})
	}
	listed := p.ann.want(t, 200, "GET", "/api/conversations", nil)
	require.Len(t, listed.Get("conversations"), 1, "what was refused made nothing")
	p.bob.want(t, 200, "GET", "/api/conversations", nil)
}

func TestCreateWithAKey(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	key := func(k string) svctest.Option { return svctest.WithHeader("Idempotency-Key", k) }
	body := object{"type": "group", "name": "Team", "members": []string{p.bob.id}}

	first := p.ann.want(t, 201, "POST", "/api/conversations", body, key("a"))
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	p.ann.say(t, first.Text("conversation_id"), "hello")
	again := p.ann.want(t, 201, "POST", "/api/conversations", body, key("a"))
	require.Equal(t, first.Text("conversation_id"), again.Text("conversation_id"))
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.NotNil(t, again.Get("last_message_at"), "the first result as it is now")

	p.ann.want(t, 422, "POST", "/api/conversations", object{"type": "group", "name": "Other", "members": []string{}}, key("a"))
	require.NotEqual(t, first.Text("conversation_id"),
		p.ann.want(t, 201, "POST", "/api/conversations", body, key("b")).Text("conversation_id"))
	require.NotEqual(t, first.Text("conversation_id"),
		p.bob.want(t, 201, "POST", "/api/conversations", object{"type": "group", "name": "Team", "members": []string{p.bob.id}}, key("a")).Text("conversation_id"),
		"each account has keys of its own")

	direct := object{"type": "direct", "members": []string{p.bob.id}}
	p.ann.want(t, 201, "POST", "/api/conversations", direct, key("d"))
	require.Equal(t, 201, p.ann.want(t, 201, "POST", "/api/conversations", direct, key("d")).Status, "the first status again")
	p.ann.want(t, 200, "POST", "/api/conversations", direct, key("e"))
	p.ann.want(t, 200, "POST", "/api/conversations", direct, key("e"))

	refused := object{"type": "group", "members": []string{nobody()}}
	p.ann.want(t, 400, "POST", "/api/conversations", refused, key("r"))
	p.ann.want(t, 201, "POST", "/api/conversations", body, key("r"))

	for name, bad := range map[string]string{"empty": "", "too long": strings.Repeat("k", 256)} {
		answer := p.ann.want(t, 400, "POST", "/api/conversations", body, key(bad), svctest.BadRequest())
		require.Equal(t, "Idempotency-Key", answer.Text("error.details.field"), name)
	}
}

func TestRacingCreators(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	type result struct {
		status int
		id     string
	}
	race := func(calls int, body func(n int) (person, object), opts ...svctest.Option) map[result]int {
		results := make(chan result)
		for n := range calls {
			go func() {
				who, what := body(n)
				answer := who.do(t, "POST", "/api/conversations", what, opts...)
				results <- result{answer.Status, answer.Text("conversation_id")}
			}()
		}
		counted := map[result]int{}
		for range calls {
			counted[<-results]++
		}
		return counted
	}
	direct := race(8, func(n int) (person, object) {
		pair := []person{p.ann, p.bob}
		return pair[n%2], object{"type": "direct", "members": []string{pair[(n+1)%2].id}}
	})
	ids := map[string]bool{}
	for r, n := range direct {
		ids[r.id] = true
		if r.status == 201 {
			require.Equal(t, 1, n, "made once")
		}
	}
	require.Len(t, ids, 1, "racing makers meet in one conversation: %v", direct)

	keyed := race(8, func(int) (person, object) {
		return p.ann, object{"type": "group", "members": []string{}}
	}, svctest.WithHeader("Idempotency-Key", "one"))
	ids = map[string]bool{}
	for r := range keyed {
		require.Contains(t, []int{201, 409}, r.status)
		if r.status == 201 {
			ids[r.id] = true
		}
	}
	require.Len(t, ids, 1, "one key makes one group: %v", keyed)
}

func TestLargeGroup(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	members := make([]string, 1235)
	for n := range members {
		members[n] = agent(1000 + n)
	}
	members[0] = p.bob.id
	body := object{"type": "group", "name": "Crowd", "members": members}
	key := svctest.WithHeader("Idempotency-Key", "crowd")
	made := p.ann.want(t, 201, "POST", "/api/conversations", body, key)
	path := "/api/conversations/" + made.Text("conversation_id")
	seen := p.bob.want(t, 200, "GET", path, nil)
	require.EqualValues(t, 1236, seen.Get("member_count"))
	require.Len(t, seen.Get("members"), 2, "the owner and the caller")
	require.Equal(t, p.ann.id, seen.Text("members.0.agent_id"))
	require.Equal(t, p.bob.id, seen.Text("members.1.agent_id"))
	require.Len(t, p.ann.want(t, 200, "GET", path, nil).Get("members"), 1, "the owner is the caller")
	last := p.as(t, p.ann.Client, 1000+1234)
	last.want(t, 200, "GET", path, nil)
	last.say(t, made.Text("conversation_id"), "from the back row")
}

// Up to 1,000 all members are shown; of more, who leads and who asks.
func TestShownMembers(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	members := make([]string, 999)
	for n := range members {
		members[n] = agent(1000 + n)
	}
	path := "/api/conversations/" + p.ann.group(t, members...)
	asks, leads := p.as(t, p.ann.Client, 1998), p.as(t, p.ann.Client, 1500)
	require.Len(t, asks.want(t, 200, "GET", path, nil).Get("members"), 1000)

	p.ann.want(t, 200, "POST", path+"/members", object{"agent_id": p.bob.id})
	p.ann.want(t, 200, "PUT", path+"/role", object{"agent_id": leads.id, "role": "admin"})
	for who, want := range map[person][]any{
		asks: {p.ann.id, leads.id, asks.id}, leads: {p.ann.id, leads.id}, p.ann: {p.ann.id, leads.id}, p.bob: {p.ann.id, leads.id, p.bob.id},
	} {
		seen := who.want(t, 200, "GET", path, nil)
		require.EqualValues(t, 1001, seen.Get("member_count"))
		var shown []any
		for n := range seen.Get("members").([]any) {
			shown = append(shown, seen.Get(fmt.Sprintf("members.%d.agent_id", n)))
		}
		require.ElementsMatch(t, want, shown, who.id)
	}
}

func TestListConversations(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	empty := p.bob.want(t, 200, "GET", "/api/conversations", nil)
	require.Empty(t, empty.Get("conversations"))
	require.Empty(t, empty.Get("cursor"))
	require.Equal(t, false, empty.Get("has_more"))

	var made []string // as they were made
	for range 5 {
		made = append(made, p.ann.group(t, p.bob.id))
	}
	p.ann.say(t, made[1], "one")
	p.ann.say(t, made[1], "two")
	listed := p.bob.want(t, 200, "GET", "/api/conversations", nil)
	require.Equal(t, made[1], listed.Text("conversations.0.conversation_id"), "the active one is first")
	require.EqualValues(t, 2, listed.Get("conversations.0.last_seq"))
	require.EqualValues(t, 2, listed.Get("conversations.0.unread_count"))
	require.Equal(t, listed.Get("conversations.0.last_message_at"), listed.Get("conversations.0.updated_at"))
	require.EqualValues(t, 0, p.ann.want(t, 200, "GET", "/api/conversations", nil).Get("conversations.0.unread_count"),
		"the sender has read what it wrote")

	var walked []string
	cursor := ""
	for range 3 {
		page := p.bob.want(t, 200, "GET", "/api/conversations?limit=2&cursor="+cursor, nil)
		for n := range page.Get("conversations").([]any) {
			walked = append(walked, page.Text(fmt.Sprintf("conversations.%d.conversation_id", n)))
		}
		cursor = page.Text("cursor")
		require.Equal(t, cursor != "", page.Get("has_more"))
	}
	require.Equal(t, []string{made[1], made[4], made[3], made[2], made[0]}, walked)

}

// A conversation that becomes active during a walk moves to the first page;
// the others are neither repeated nor left out.
func TestWalkOverActiveConversations(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var made []string
	for range 6 {
		made = append(made, p.ann.group(t))
	}
	first := p.ann.want(t, 200, "GET", "/api/conversations?limit=3", nil)
	p.ann.say(t, made[1], "awake")
	rest := p.ann.want(t, 200, "GET", "/api/conversations?limit=3&cursor="+first.Text("cursor"), nil)
	require.Equal(t, made[2], rest.Text("conversations.0.conversation_id"))
	require.Equal(t, made[0], rest.Text("conversations.1.conversation_id"))
	require.Equal(t, false, rest.Get("has_more"))
}
