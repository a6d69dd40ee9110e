package chatsvc_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/svckit/svctest"
)

// A club is a group as the rules say it must be: who is in it, in which role.
type club struct {
	t     *testing.T
	place place
	group string
	roles map[int]string // by account number
}

const clubAccounts = 5

func (c *club) leads(n int) bool { return c.roles[n] == "owner" || c.roles[n] == "admin" }

// expect calls as account n and holds the answer to what the model says.
func (c *club) expect(r *rapid.T, n, status int, method, path string, body any) *svctest.Response {
	who := c.place.as(c.t, c.place.ann.Client, n)
	answer := who.ask(c.t, method, "/api/conversations/"+c.group+path, body)
	require.Equal(r, status, answer.Status, "%d: %s %s %v in %v: %s", n, method, path, body, c.roles, answer.Body)
	return answer
}

// refusal is what the model answers whoever may not act at all: 0 for who may.
func (c *club) refusal(n int, may bool) int {
	switch {
	case c.roles[n] == "":
		return 404
	case !may:
		return 403
	}
	return 0
}

func (c *club) invite(r *rapid.T) {
	n, target, role := draw(r, "who"), draw(r, "target"), drawRole(r)
	status, says := c.refusal(n, c.leads(n)), ""
	was := c.roles[target]
	switch {
	case status != 0:
	case was == role:
		status, says = 200, "already_member"
	case was == "owner" || c.roles[n] != "owner" && (was != "" || role == "admin"):
		status = 403
	default:
		status, says = 200, "role_updated"
		if was == "" {
			says = "invited"
		}
		c.roles[target] = role
	}
	answer := c.expect(r, n, status, "POST", "/members", object{"agent_id": agent(target), "role": role})
	require.Equal(r, says, answer.Text("status"))
}

func (c *club) setRole(r *rapid.T) {
	n, target, role := draw(r, "who"), draw(r, "target"), drawRole(r)
	status := c.refusal(n, c.roles[n] == "owner")
	switch {
	case status != 0:
	case c.roles[target] == "":
		status = 404
	case c.roles[target] == "owner":
		status = 403
	default:
		status = 200
		c.roles[target] = role
	}
	c.expect(r, n, status, "PUT", "/role", object{"agent_id": agent(target), "role": role})
}

func (c *club) remove(r *rapid.T) {
	n, target := draw(r, "who"), draw(r, "target")
	status := c.refusal(n, c.leads(n) || n == target)
	switch {
	case status != 0:
	case c.roles[target] == "":
		status = 404
	case c.roles[target] == "owner":
		status = 403
	default:
		status = 200
		delete(c.roles, target)
	}
	c.expect(r, n, status, "DELETE", "/members/"+agent(target), nil)
}

func (c *club) leave(r *rapid.T) {
	n := draw(r, "who")
	status := c.refusal(n, c.roles[n] != "owner")
	if status == 0 {
		status = 200
		delete(c.roles, n)
	}
	c.expect(r, n, status, "POST", "/leave", nil)
}

func (c *club) transfer(r *rapid.T) {
	n, target := draw(r, "who"), draw(r, "target")
	status := c.refusal(n, c.roles[n] == "owner")
	switch {
	case status != 0:
	case c.roles[target] == "":
		status = 404
	case n == target:
		status = 400
	default:
		status = 200
		c.roles[n], c.roles[target] = "admin", "owner"
	}
	c.expect(r, n, status, "POST", "/transfer", object{"agent_id": agent(target)})
}

func (c *club) close(r *rapid.T) {
	if rapid.IntRange(0, 9).Draw(r, "rarely") > 0 {
		r.Skip("closing ends the game")
	}
	n := draw(r, "who")
	status := c.refusal(n, c.roles[n] == "owner")
	if status == 0 {
		status = 204
		c.roles = map[int]string{}
	}
	c.expect(r, n, status, "DELETE", "", nil)
}

// check compares what one account sees with the model.
func (c *club) check(r *rapid.T) {
	n := draw(r, "reader")
	if c.roles[n] == "" {
		c.expect(r, n, 404, "GET", "", nil)
		return
	}
	seen := c.expect(r, n, 200, "GET", "", nil)
	roles := map[string]any{}
	for _, m := range seen.Get("members").([]any) {
		m := m.(map[string]any)
		roles[m["agent_id"].(string)] = m["role"]
	}
	want := map[string]any{}
	for n, role := range c.roles {
		want[agent(n)] = role
	}
	require.Equal(r, want, roles)
	require.EqualValues(r, len(want), seen.Get("member_count"))
}

func draw(r *rapid.T, label string) int { return rapid.IntRange(1, clubAccounts).Draw(r, label) }

func drawRole(r *rapid.T) string {
	return rapid.SampledFrom([]string{"member", "admin"}).Draw(r, "role")
}

func TestMembershipModel(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	rapid.Check(t, func(r *rapid.T) {
		c := &club{t: t, place: p, group: p.ann.group(t), roles: map[int]string{1: "owner"}}
		r.Repeat(map[string]func(*rapid.T){
			"invite": c.invite, "role": c.setRole, "remove": c.remove, "leave": c.leave,
			"transfer": c.transfer, "close": c.close, "": c.check,
		})
	})
}
