package chatsvc_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func TestMembershipChanges(t *testing.T) {
	t.Parallel()
	m := newTeam(t, newPlace(t))
	want := func(changed map[string]string) {
		t.Helper()
		all := map[string]string{"owner": "owner", "admin": "admin", "member": "member", "second": "member"}
		for who, role := range changed {
			all[who] = role
		}
		byID := map[string]string{}
		for who, role := range all {
			if role != "" {
				byID[m.people[who].id] = role
			}
		}
		require.Equal(t, byID, m.roles(t))
	}
	does := func(who, request string) { t.Helper(); require.Equal(t, 200, m.call(t, who, request).Status) }
	does("admin", `POST /members {"agent_id":"$guest"}`)
	want(map[string]string{"guest": "member"})
	does("owner", `PUT /role {"agent_id":"$guest","role":"admin"}`)
	want(map[string]string{"guest": "admin"})
	does("guest", `DELETE /members/$second`)
	want(map[string]string{"guest": "admin", "second": ""})
	does("owner", `POST /transfer {"agent_id":"$member"}`)
	want(map[string]string{"guest": "admin", "second": "", "owner": "admin", "member": "owner"})
	does("member", `POST /transfer {"agent_id":"$owner"}`)
	does("member", `POST /leave`)
	want(map[string]string{"guest": "admin", "second": "", "member": ""})
	require.Equal(t, 404, m.call(t, "member", `POST /leave`).Status, "once")

	second := m.people["second"]
	second.want(t, 404, "GET", "/api/conversations/"+m.group, nil)
	second.want(t, 404, "GET", "/api/conversations/"+m.group+"/messages", nil)
	second.want(t, 404, "POST", "/api/messages", object{"conversation_id": m.group, "content": "still here"})
	require.Empty(t, second.want(t, 200, "GET", "/api/conversations", nil).Get("conversations"))
	does("owner", `POST /members {"agent_id":"$second"}`)
	second.say(t, m.group, "back again")
}

// A change counts at once on the replica that makes it, and soon on another
// that believes what it read before.
func TestChangesArriveOnOtherReplicas(t *testing.T) {
	t.Parallel()
	i := install(t)
	here, there := document.Client(t, i.server(t, unlimited, "SEND_BURST=100000").Handler()), document.Client(t, i.server(t, unlimited, "SEND_BURST=100000").Handler())
	ann, bob, bobThere := i.as(t, here, 1), i.as(t, here, 2), i.as(t, there, 2)
	group, other := ann.group(t, bob.id), ann.group(t, bob.id)
	crowd := []string{bob.id}
	for n := range 600 {
		crowd = append(crowd, agent(1000+n))
	}
	large := ann.group(t, crowd...)
	for _, change := range []struct {
		what   string
		group  string
		status int
		make   func()
	}{
		{"removal", group, 404, func() { ann.want(t, 200, "DELETE", "/api/conversations/"+group+"/members/"+bob.id, nil) }},
		{"closing", large, 404, func() { ann.want(t, 204, "DELETE", "/api/conversations/"+large, nil) }},
		{"block", other, 403, func() { ann.block(t, bob.id) }},
	} {
		send := func(who person) int {
			return who.do(t, "POST", "/api/messages", object{"conversation_id": change.group, "content": "x"}).Status
		}
		require.Equal(t, 201, send(bob))
		require.Equal(t, 201, send(bobThere))
		change.make()
		require.Equal(t, change.status, send(bob), "%s: at once", change.what)
		require.Eventually(t, func() bool { return send(bobThere) == change.status }, patience, 10*time.Millisecond, change.what)
	}
}

func TestUpdateSettings(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	made := p.ann.want(t, 201, "POST", "/api/conversations", object{
		"type": "group", "name": "Team", "members": []string{p.bob.id}, "metadata": object{"description": "of old"},
	})
	path := "/api/conversations/" + made.Text("conversation_id")
	update := func(body object) { t.Helper(); p.ann.want(t, 200, "PUT", path, body) }
	settings := func() []string {
		seen := p.bob.want(t, 200, "GET", path, nil)
		return []string{seen.Text("name"), seen.Text("metadata.description"), seen.Text("metadata.avatar")}
	}
	answer := p.ann.want(t, 200, "PUT", path, object{
		"name": "Renamed Group", "metadata": object{"description": "New description", "avatar": "https://example.com/avatar.png"},
	})
	seen := p.bob.want(t, 200, "GET", path, nil)
	require.JSONEq(t, fmt.Sprintf(`{"conversation_id":%q,"type":"group","name":"Renamed Group","updated_at":%q}`,
		made.Text("conversation_id"), seen.Text("updated_at")), string(answer.Body))
	require.Equal(t, []string{"Renamed Group", "New description", "https://example.com/avatar.png"}, settings())
	require.GreaterOrEqual(t, seen.Text("updated_at"), made.Text("updated_at"))

	update(object{"metadata": object{"avatar": "a"}})
	require.Equal(t, []string{"Renamed Group", "New description", "a"}, settings(), "what is left out stays")
	update(object{"metadata": object{"description": ""}})
	require.Equal(t, []string{"Renamed Group", "", "a"}, settings(), "empty clears")
	update(object{"name": "", "metadata": object{"avatar": ""}})
	require.Equal(t, []string{"", "", ""}, settings())
	update(object{"name": strings.Repeat("é", 200)})
	update(object{})
	require.Equal(t, []string{strings.Repeat("é", 200), "", ""}, settings())
}

func TestDirectConversationsHaveNoMembership(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	made := p.ann.want(t, 201, "POST", "/api/conversations", object{"type": "direct", "members": []string{p.bob.id}})
	path := "/api/conversations/" + made.Text("conversation_id")
	for _, request := range []struct {
		method, path string
		body         any
	}{
		{"PUT", "", object{"name": "x"}},
		{"DELETE", "", nil},
		{"POST", "/members", object{"agent_id": p.eve.id}},
		{"POST", "/members", object{"agent_id": p.bob.id}},
		{"DELETE", "/members/" + p.bob.id, nil},
		{"DELETE", "/members/" + p.ann.id, nil},
		{"PUT", "/role", object{"agent_id": p.bob.id, "role": "admin"}},
		{"POST", "/leave", nil},
		{"POST", "/transfer", object{"agent_id": p.bob.id}},
	} {
		answer := p.ann.want(t, 400, request.method, path+request.path, request.body)
		require.Equal(t, "INVALID_REQUEST", answer.Text("error.code"))
		p.eve.want(t, 404, request.method, path+request.path, request.body)
	}
	page := p.bob.want(t, 200, "GET", path+"/members", nil)
	require.Len(t, page.Get("members"), 2, "nothing changed")
}

func TestMembershipQuotas(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "MEMBERS_PER_GROUP=3", "CONVERSATIONS_PER_ACCOUNT=2")
	group := p.ann.group(t, p.bob.id)
	path := "/api/conversations/" + group + "/members"
	p.ann.want(t, 200, "POST", path, object{"agent_id": agent(21)})
	answer := p.ann.want(t, 403, "POST", path, object{"agent_id": agent(22)})
	require.Equal(t, "QUOTA_EXCEEDED", answer.Text("error.code"))
	require.Equal(t, "members_per_group", answer.Text("error.details.quota"))
	p.ann.want(t, 200, "POST", path, object{"agent_id": p.bob.id, "role": "admin"})
	p.ann.want(t, 200, "DELETE", path+"/"+agent(21), nil)

	for n := range 8 { // four times its quota, by others
		p.as(t, p.ann.Client, 30+n/2).group(t, p.eve.id)
	}
	answer = p.ann.want(t, 403, "POST", path, object{"agent_id": p.eve.id})
	require.Equal(t, "QUOTA_EXCEEDED", answer.Text("error.code"))
	require.Equal(t, "conversations_per_account", answer.Text("error.details.quota"))
	p.ann.want(t, 200, "POST", path, object{"agent_id": agent(22)})
}

func TestInvitationWithAuthAway(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	path := "/api/conversations/" + p.ann.group(t, p.bob.id) + "/members"
	p.auth.away.Store(true)
	p.ann.want(t, 503, "POST", path, object{"agent_id": agent(31)})
	p.ann.want(t, 200, "POST", path, object{"agent_id": p.bob.id, "role": "admin"})
}

func TestReadMark(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	group, other := p.ann.group(t, p.bob.id), p.ann.group(t, p.bob.id)
	path := "/api/conversations/" + group
	var ids []string
	for n := range 4 {
		ids = append(ids, p.ann.say(t, group, fmt.Sprint(n+1)).Text("message_id"))
	}
	read := func(who person, id string) any {
		t.Helper()
		return who.want(t, 200, "POST", path+"/read", object{"up_to": id}).Get("unread_count")
	}
	unread := func(who person) any { return who.want(t, 200, "GET", path, nil).Get("unread_count") }
	require.EqualValues(t, 4, unread(p.bob))
	require.JSONEq(t, `{"unread_count":2}`, string(p.bob.want(t, 200, "POST", path+"/read", object{"up_to": ids[1]}).Body))
	require.EqualValues(t, 2, read(p.bob, ids[0]), "never back")
	require.EqualValues(t, 2, unread(p.bob))
	require.EqualValues(t, 0, read(p.bob, ids[3]))
	require.EqualValues(t, 0, read(p.ann, ids[0]), "who sent it has read it")

	second := document.Client(t, p.server(t).Handler())
	require.EqualValues(t, 0, unread(p.as(t, second, 2)), "written before the answer")

	elsewhere := p.ann.say(t, other, "x").Text("message_id")
	for name, upTo := range map[string]any{
		"elsewhere": elsewhere, "not there": ids[3][:len(ids[3])-1] + "g", "malformed": "msg_1", "absent": nil, "of another type": 4,
	} {
		answer := p.bob.want(t, 400, "POST", path+"/read", object{"up_to": upTo}, svctest.BadRequest())
		require.Equal(t, "up_to", answer.Text("error.details.field"), name)
	}
	p.eve.want(t, 404, "POST", path+"/read", object{"up_to": ids[0]})

	p.ann.want(t, 200, "POST", path+"/members", object{"agent_id": p.eve.id})
	require.EqualValues(t, 0, unread(p.eve), "a new member starts at the last message")
	history := p.eve.want(t, 200, "GET", path+"/messages", nil)
	require.Len(t, history.Get("messages"), 4, "and sees the whole history")
	p.ann.say(t, group, "5")
	require.EqualValues(t, 1, unread(p.eve))
}

func TestMemberPages(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	members := make([]string, 250)
	for n := range members {
		members[n] = agent(1000 + n)
	}
	group := p.ann.group(t, members...)
	path := "/api/conversations/" + group + "/members"
	walk := func(limit int, between func(page int)) []string {
		var seen []string
		cursor, more := "", true
		for n := 0; more; n++ {
			page := p.ann.want(t, 200, "GET", fmt.Sprintf("%s?limit=%d&cursor=%s", path, limit, cursor), nil)
			found := page.Get("members").([]any)
			require.NotEmpty(t, found)
			require.LessOrEqual(t, len(found), limit)
			for i := range found {
				seen = append(seen, page.Text(fmt.Sprintf("members.%d.agent_id", i)))
			}
			cursor, more = page.Text("cursor"), page.Get("has_more").(bool)
			require.Equal(t, more, cursor != "")
			between(n)
		}
		return seen
	}
	all := append([]string{p.ann.id}, members...)
	require.Equal(t, all, walk(100, func(int) {}))
	require.Equal(t, all, walk(251, func(int) {}), "more than a page can have")
	seen := walk(50, func(page int) {
		if page == 1 { // one before the place and one behind it leave, and join
			p.ann.want(t, 200, "DELETE", path+"/"+all[99], nil)
			p.ann.want(t, 200, "DELETE", path+"/"+all[120], nil)
			p.ann.want(t, 200, "POST", path, object{"agent_id": agent(500)})
			p.ann.want(t, 200, "POST", path, object{"agent_id": agent(5000)})
		}
	})
	want := append(append(append([]string{}, all[:120]...), all[121:]...), agent(5000))
	require.Equal(t, want, seen, "nobody who stayed is repeated or left out")

	cursor := p.ann.want(t, 200, "GET", path+"?limit=1", nil).Text("cursor")
	other := p.as(t, p.ann.Client, 1000)
	require.Equal(t, "INVALID_CURSOR", other.want(t, 400, "GET", path+"?cursor="+cursor, nil).Text("error.code"))
	p.ann.want(t, 400, "GET", path+"?limit=0", nil, svctest.BadRequest())
	p.eve.want(t, 404, "GET", path, nil)
}

func TestClose(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"a small group at once": 2, "the largest at once": 500, "a large group": 1200} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			members := []string{p.bob.id}
			for n := range size - 2 {
				members = append(members, agent(1000+n))
			}
			group := p.ann.group(t, members...)
			sent := p.bob.say(t, group, "hello").Text("message_id")
			path := "/api/conversations/" + group
			answer := p.ann.want(t, 204, "DELETE", path, nil)
			require.Empty(t, answer.Body)
			for _, who := range []person{p.ann, p.bob} {
				who.want(t, 404, "GET", path, nil)
				who.want(t, 404, "GET", path+"/messages", nil)
				who.want(t, 404, "GET", path+"/members", nil)
				who.want(t, 404, "PUT", path, object{"name": "x"})
				who.want(t, 404, "DELETE", path, nil)
				who.want(t, 404, "POST", path+"/leave", nil)
				who.want(t, 404, "POST", path+"/members", object{"agent_id": p.eve.id})
				who.want(t, 404, "POST", path+"/read", object{"up_to": sent})
				who.want(t, 404, "POST", "/api/messages", object{"conversation_id": group, "content": "anybody?"})
				require.Empty(t, who.want(t, 200, "GET", "/api/conversations", nil).Get("conversations"))
			}
		})
	}
}
