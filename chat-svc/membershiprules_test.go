package chatsvc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// A team is a group with one account in each role. Paths, bodies and answers
// name its parts by words: $group, $owner, $admin, $member, $second (another
// member), $guest (no member), $nobody (no account).
type team struct {
	place
	group  string
	people map[string]person
	words  *strings.Replacer
}

func newTeam(t *testing.T, p place) team {
	t.Helper()
	m := team{place: p, people: map[string]person{"owner": p.ann, "admin": p.bob, "guest": p.eve}}
	m.people["member"], m.people["second"] = p.as(t, p.ann.Client, 11), p.as(t, p.ann.Client, 12)
	m.group = p.ann.group(t, p.bob.id, m.people["member"].id, m.people["second"].id)
	p.ann.want(t, 200, "PUT", "/api/conversations/"+m.group+"/role", object{"agent_id": p.bob.id, "role": "admin"})
	words := []string{"$group", m.group, "$nobody", nobody()}
	for name, who := range m.people {
		words = append(words, "$"+name, who.id)
	}
	m.words = strings.NewReplacer(words...)
	return m
}

// call sends what is written as "METHOD /path under the group {body}".
func (m team) call(t *testing.T, who, request string) *svctest.Response {
	t.Helper()
	request = m.words.Replace(request)
	method, rest, _ := strings.Cut(request, " ")
	path, body, hasBody := strings.Cut(rest, " ")
	opts := []svctest.Option{svctest.BadRequest()}
	if hasBody {
		opts = append(opts, svctest.WithRaw("application/json", []byte(body)))
	}
	return m.people[who].ask(t, method, "/api/conversations/"+m.group+strings.TrimSuffix(path, "/"), nil, opts...)
}

// roles are all members and their roles, as the owner sees them.
func (m team) roles(t *testing.T) map[string]string {
	t.Helper()
	seen := m.ann.want(t, 200, "GET", "/api/conversations/"+m.group, nil)
	roles := map[string]string{}
	for n := range seen.Get("members").([]any) {
		at := fmt.Sprintf("members.%d.", n)
		roles[seen.Text(at+"agent_id")] = seen.Text(at + "role")
	}
	require.EqualValues(t, len(roles), seen.Get("member_count"))
	return roles
}

// A memberRule is one sentence of the API's page about members, with a request that
// it decides.
type memberRule struct {
	says    string
	who     string
	request string
	status  int
	answer  string // the body, or the code of an error
	field   string
}

// holdMembers tries each rule on a team of its own.
func holdMembers(t *testing.T, rules []memberRule) {
	t.Helper()
	p := newPlace(t)
	for _, tt := range rules {
		t.Run(tt.says, func(t *testing.T) {
			t.Parallel()
			m := newTeam(t, p)
			before := m.roles(t)
			answer := m.call(t, tt.who, tt.request)
			require.Equal(t, tt.status, answer.Status, "%s", answer.Body)
			if tt.status != 200 {
				require.Equal(t, tt.answer, answer.Text("error.code"))
				require.Equal(t, tt.field, answer.Text("error.details.field"))
				require.Equal(t, before, m.roles(t), "a refusal changes nothing")
			} else if tt.answer != "" {
				require.JSONEq(t, m.words.Replace(tt.answer), string(answer.Body))
			}
		})
	}
}

func TestWhoChangesSettings(t *testing.T) {
	t.Parallel()
	holdMembers(t, []memberRule{
		{"an admin edits the settings", "admin", `PUT / {"name":"x"}`, 200, "", ""},
		{"the owner edits the settings", "owner", `PUT / {"metadata":{"avatar":"x"}}`, 200, "", ""},
		{"a member does not edit the settings", "member", `PUT / {"name":"x"}`, 403, "FORBIDDEN", ""},
		{"nobody else edits the settings", "guest", `PUT / {"name":"x"}`, 404, "NOT_FOUND", ""},
		{"a name has a limit", "owner", `PUT / {"name":"` + strings.Repeat("é", 201) + `"}`, 400, "INVALID_REQUEST", "name"},
		{"a description has a limit", "owner", `PUT / {"metadata":{"description":"` + strings.Repeat("é", 2001) + `"}}`, 400, "INVALID_REQUEST", "metadata.description"},
		{"an avatar has a limit", "owner", `PUT / {"metadata":{"avatar":"` + strings.Repeat("é", 2001) + `"}}`, 400, "INVALID_REQUEST", "metadata.avatar"},
		{"a name is a string", "owner", `PUT / {"name":1}`, 400, "INVALID_REQUEST", "name"},
		{"metadata is an object", "owner", `PUT / {"metadata":[]}`, 400, "INVALID_REQUEST", "metadata"},
	})
}

func TestWhoInvites(t *testing.T) {
	t.Parallel()
	holdMembers(t, []memberRule{
		{"the owner invites", "owner", `POST /members {"agent_id":"$guest","role":"member"}`, 200, `{"status":"invited","agent_id":"$guest"}`, ""},
		{"an admin invites", "admin", `POST /members {"agent_id":"$guest","role":"member"}`, 200, `{"status":"invited","agent_id":"$guest"}`, ""},
		{"a role left out is member", "admin", `POST /members {"agent_id":"$guest"}`, 200, `{"status":"invited","agent_id":"$guest"}`, ""},
		{"the owner invites an admin", "owner", `POST /members {"agent_id":"$guest","role":"admin"}`, 200, `{"status":"invited","agent_id":"$guest"}`, ""},
		{"an admin invites no admin", "admin", `POST /members {"agent_id":"$guest","role":"admin"}`, 403, "FORBIDDEN", ""},
		{"a member does not invite", "member", `POST /members {"agent_id":"$guest"}`, 403, "FORBIDDEN", ""},
		{"a member learns nothing of accounts", "member", `POST /members {"agent_id":"$nobody"}`, 403, "FORBIDDEN", ""},
		{"nobody else invites", "guest", `POST /members {"agent_id":"$guest"}`, 404, "NOT_FOUND", ""},
		{"inviting a member updates its role", "owner", `POST /members {"agent_id":"$member","role":"admin"}`, 200, `{"status":"role_updated","agent_id":"$member"}`, ""},
		{"inviting an admin as member updates its role", "owner", `POST /members {"agent_id":"$admin"}`, 200, `{"status":"role_updated","agent_id":"$admin"}`, ""},
		{"making an admin is the owner's, by inviting too", "admin", `POST /members {"agent_id":"$member","role":"admin"}`, 403, "FORBIDDEN", ""},
		{"unmaking an admin is the owner's, by inviting too", "admin", `POST /members {"agent_id":"$admin","role":"member"}`, 403, "FORBIDDEN", ""},
		{"inviting a member as member changes nothing", "admin", `POST /members {"agent_id":"$member","role":"member"}`, 200, `{"status":"already_member","agent_id":"$member"}`, ""},
		{"inviting an admin as admin changes nothing", "admin", `POST /members {"agent_id":"$admin","role":"admin"}`, 200, `{"status":"already_member","agent_id":"$admin"}`, ""},
		{"inviting does not change the owner's role", "owner", `POST /members {"agent_id":"$owner","role":"member"}`, 403, "FORBIDDEN", ""},
		{"an admin does not change the owner's role", "admin", `POST /members {"agent_id":"$owner","role":"member"}`, 403, "FORBIDDEN", ""},
		{"nobody is invited as owner", "owner", `POST /members {"agent_id":"$guest","role":"owner"}`, 400, "INVALID_REQUEST", "role"},
		{"an account must exist", "admin", `POST /members {"agent_id":"$nobody"}`, 400, "INVALID_AGENT_ID", "agent_id"},
		{"an account id has a form", "admin", `POST /members {"agent_id":"bob"}`, 400, "INVALID_AGENT_ID", "agent_id"},
		{"an invitation names somebody", "admin", `POST /members {}`, 400, "INVALID_AGENT_ID", "agent_id"},
		{"an account id is a string", "admin", `POST /members {"agent_id":1}`, 400, "INVALID_REQUEST", "agent_id"},
	})
}

func TestWhoRemoves(t *testing.T) {
	t.Parallel()
	holdMembers(t, []memberRule{
		{"the owner removes", "owner", `DELETE /members/$member {"agent_id":"$member"}`, 200, `{"status":"removed","agent_id":"$member"}`, ""},
		{"an admin removes", "admin", `DELETE /members/$member {"agent_id":"$member"}`, 200, `{"status":"removed","agent_id":"$member"}`, ""},
		{"a body may be left out", "admin", `DELETE /members/$member`, 200, `{"status":"removed","agent_id":"$member"}`, ""},
		{"a body may be empty", "admin", `DELETE /members/$member {}`, 200, `{"status":"removed","agent_id":"$member"}`, ""},
		{"a body does not disagree", "admin", `DELETE /members/$member {"agent_id":"$second"}`, 400, "INVALID_REQUEST", "agent_id"},
		{"the owner removes an admin", "owner", `DELETE /members/$admin`, 200, `{"status":"removed","agent_id":"$admin"}`, ""},
		{"a member removes nobody else", "member", `DELETE /members/$second`, 403, "FORBIDDEN", ""},
		{"a member removes itself", "member", `DELETE /members/$member`, 200, `{"status":"removed","agent_id":"$member"}`, ""},
		{"nobody else removes", "guest", `DELETE /members/$member`, 404, "NOT_FOUND", ""},
		{"an admin does not remove the owner", "admin", `DELETE /members/$owner`, 403, "FORBIDDEN", ""},
		{"the owner does not remove itself", "owner", `DELETE /members/$owner`, 403, "FORBIDDEN", ""},
		{"who is no member is not removed", "admin", `DELETE /members/$guest`, 404, "NOT_FOUND", "agent_id"},
		{"a malformed id is nobody's", "admin", `DELETE /members/bob`, 404, "NOT_FOUND", ""},
	})
}

func TestWhoGivesRoles(t *testing.T) {
	t.Parallel()
	holdMembers(t, []memberRule{
		{"the owner makes admins", "owner", `PUT /role {"agent_id":"$member","role":"admin"}`, 200, `{"status":"updated","agent_id":"$member","role":"admin"}`, ""},
		{"the owner unmakes admins", "owner", `PUT /role {"agent_id":"$admin","role":"member"}`, 200, `{"status":"updated","agent_id":"$admin","role":"member"}`, ""},
		{"a role may be set again", "owner", `PUT /role {"agent_id":"$admin","role":"admin"}`, 200, `{"status":"updated","agent_id":"$admin","role":"admin"}`, ""},
		{"an admin does not change roles", "admin", `PUT /role {"agent_id":"$member","role":"admin"}`, 403, "FORBIDDEN", ""},
		{"an admin does not unmake itself", "admin", `PUT /role {"agent_id":"$admin","role":"member"}`, 403, "FORBIDDEN", ""},
		{"an admin learns nothing of strangers", "admin", `PUT /role {"agent_id":"$guest","role":"admin"}`, 403, "FORBIDDEN", ""},
		{"a member does not change roles", "member", `PUT /role {"agent_id":"$member","role":"admin"}`, 403, "FORBIDDEN", ""},
		{"nobody else changes roles", "guest", `PUT /role {"agent_id":"$member","role":"admin"}`, 404, "NOT_FOUND", ""},
		{"the owner's role cannot be changed", "owner", `PUT /role {"agent_id":"$owner","role":"member"}`, 403, "FORBIDDEN", ""},
		{"who is no member has no role", "owner", `PUT /role {"agent_id":"$guest","role":"admin"}`, 404, "NOT_FOUND", "agent_id"},
		{"a role is admin or member", "owner", `PUT /role {"agent_id":"$member","role":"owner"}`, 400, "INVALID_REQUEST", "role"},
		{"a role is needed", "owner", `PUT /role {"agent_id":"$member"}`, 400, "INVALID_REQUEST", "role"},
		{"a role is somebody's", "owner", `PUT /role {"role":"admin"}`, 400, "INVALID_AGENT_ID", "agent_id"},
	})
}

func TestWhoLeaves(t *testing.T) {
	t.Parallel()
	holdMembers(t, []memberRule{
		{"a member leaves", "member", `POST /leave`, 200, `{"status":"left"}`, ""},
		{"an admin leaves", "admin", `POST /leave`, 200, `{"status":"left"}`, ""},
		{"the owner does not leave", "owner", `POST /leave`, 403, "OWNER_CANNOT_LEAVE", ""},
		{"who is no member leaves nothing", "guest", `POST /leave`, 404, "NOT_FOUND", ""},
	})
}

func TestWhoTransfers(t *testing.T) {
	t.Parallel()
	holdMembers(t, []memberRule{
		{"an admin transfers nothing", "admin", `POST /transfer {"agent_id":"$admin"}`, 403, "FORBIDDEN", ""},
		{"a member transfers nothing", "member", `POST /transfer {"agent_id":"$member"}`, 403, "FORBIDDEN", ""},
		{"nobody else transfers", "guest", `POST /transfer {"agent_id":"$guest"}`, 404, "NOT_FOUND", ""},
		{"an heir is a member", "owner", `POST /transfer {"agent_id":"$guest"}`, 404, "NOT_FOUND", "agent_id"},
		{"an heir is another", "owner", `POST /transfer {"agent_id":"$owner"}`, 400, "INVALID_REQUEST", "agent_id"},
		{"an heir's id has a form", "owner", `POST /transfer {"agent_id":"x"}`, 400, "INVALID_AGENT_ID", "agent_id"},
		{"the owner transfers", "owner", `POST /transfer {"agent_id":"$member"}`, 200, `{"status":"transferred","agent_id":"$member"}`, ""},
	})
}

func TestWhoCloses(t *testing.T) {
	t.Parallel()
	holdMembers(t, []memberRule{
		{"an admin does not close", "admin", `DELETE /`, 403, "FORBIDDEN", ""},
		{"a member does not close", "member", `DELETE /`, 403, "FORBIDDEN", ""},
		{"nobody else closes", "guest", `DELETE /`, 404, "NOT_FOUND", ""},
	})
}
