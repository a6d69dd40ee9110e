package chatsvc_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// A meeting is a number of calls, each by an account, that meet in one group.
type meeting struct {
	calls []call
	check func(t *testing.T, statuses []int, roles map[string]string)
}

type call struct {
	who    int
	method string
	path   string // under the group
	body   any
}

func target(n int) object { return object{"agent_id": agent(n)} }

func roleOf(n int, role string) object { return object{"agent_id": agent(n), "role": role} }

// run lets the calls of each meeting go at once, half of them on another replica.
// Changes of one group are made one after the other: it always has exactly one
// owner, and counts its members right.
func run(t *testing.T, meetings map[string]meeting) {
	t.Helper()
	i := install(t)
	clients := []*svctest.Client{document.Client(t, i.server(t).Handler()), document.Client(t, i.server(t).Handler())}
	for name, tt := range meetings {
		t.Run(name, func(t *testing.T) {
			for range 12 {
				group := startRace(t, i, clients[0])
				statuses := make([]int, len(tt.calls))
				done := make(chan struct{})
				for n, c := range tt.calls {
					who := i.as(t, clients[n%2], c.who)
					go func() {
						statuses[n] = who.do(t, c.method, "/api/conversations/"+group+c.path, c.body).Status
						done <- struct{}{}
					}()
				}
				for range tt.calls {
					<-done
				}
				tt.check(t, statuses, survivors(t, i, clients[0], group))
			}
		})
	}
}

func TestRacingInvitations(t *testing.T) {
	t.Parallel()
	run(t, map[string]meeting{
		"inviting one account twice": {
			[]call{{1, "POST", "/members", target(9)}, {2, "POST", "/members", target(9)}},
			func(t *testing.T, statuses []int, roles map[string]string) {
				require.Equal(t, []int{200, 200}, statuses)
				require.Equal(t, "member", roles[agent(9)])
			},
		},
		"inviting and closing": {
			[]call{{2, "POST", "/members", target(9)}, {1, "DELETE", "", nil}},
			func(t *testing.T, statuses []int, roles map[string]string) {
				require.Equal(t, 204, statuses[1])
				require.Contains(t, []int{200, 404}, statuses[0])
				require.Empty(t, roles)
			},
		},
		"many invitations": {
			[]call{
				{1, "POST", "/members", target(11)}, {2, "POST", "/members", target(12)}, {1, "POST", "/members", target(13)},
				{2, "POST", "/members", target(14)}, {1, "POST", "/members", target(15)}, {2, "POST", "/members", target(16)},
			},
			func(t *testing.T, statuses []int, roles map[string]string) {
				require.Equal(t, []int{200, 200, 200, 200, 200, 200}, statuses)
				require.Len(t, roles, 10)
			},
		},
	})
}

func TestRacingDepartures(t *testing.T) {
	t.Parallel()
	run(t, map[string]meeting{
		"giving a role and leaving": {
			[]call{{1, "PUT", "/role", roleOf(3, "admin")}, {3, "POST", "/leave", nil}},
			func(t *testing.T, statuses []int, roles map[string]string) {
				require.Equal(t, 200, statuses[1])
				require.Contains(t, []int{200, 404}, statuses[0])
				require.NotContains(t, roles, agent(3))
			},
		},
		"removing each other": {
			[]call{{2, "DELETE", "/members/" + agent(4), nil}, {4, "DELETE", "/members/" + agent(2), nil}},
			func(t *testing.T, statuses []int, roles map[string]string) {
				require.ElementsMatch(t, []int{200, 404}, statuses, "who was removed removes nobody")
				require.Len(t, roles, 3)
			},
		},
	})
}

func TestRacingTransfers(t *testing.T) {
	t.Parallel()
	run(t, map[string]meeting{
		"transferring to who leaves": {
			[]call{{1, "POST", "/transfer", target(3)}, {3, "POST", "/leave", nil}},
			func(t *testing.T, statuses []int, roles map[string]string) {
				require.Contains(t, []string{"[200 403]", "[404 200]"}, fmt.Sprint(statuses))
				require.Equal(t, statuses[0] == 200, roles[agent(3)] == "owner")
			},
		},
		"transferring to who is removed": {
			[]call{{1, "POST", "/transfer", target(3)}, {2, "DELETE", "/members/" + agent(3), nil}},
			func(t *testing.T, statuses []int, _ map[string]string) {
				require.Contains(t, []string{"[200 403]", "[404 200]"}, fmt.Sprint(statuses))
			},
		},
		"transferring to two": {
			[]call{{1, "POST", "/transfer", target(2)}, {1, "POST", "/transfer", target(3)}},
			func(t *testing.T, statuses []int, _ map[string]string) {
				require.ElementsMatch(t, []int{200, 403}, statuses)
			},
		},
		"transferring and closing": {
			[]call{{1, "POST", "/transfer", target(3)}, {1, "DELETE", "", nil}},
			func(t *testing.T, statuses []int, roles map[string]string) {
				require.Contains(t, []string{"[200 403]", "[404 204]"}, fmt.Sprint(statuses))
				require.Equal(t, statuses[1] == 204, len(roles) == 0)
			},
		},
	})
}

// startRace makes a group of the owner 1, the admins 2 and 4 and the member 3.
func startRace(t *testing.T, i installation, client *svctest.Client) string {
	owner := i.as(t, client, 1)
	group := owner.group(t, agent(2), agent(3), agent(4))
	for _, n := range []int{2, 4} {
		owner.want(t, 200, "PUT", "/api/conversations/"+group+"/role", object{"agent_id": agent(n), "role": "admin"})
	}
	return group
}

// survivors are the members as one of them sees them; none in a closed group.
func survivors(t *testing.T, i installation, client *svctest.Client, group string) map[string]string {
	t.Helper()
	for n := 1; n <= 4; n++ {
		seen := i.as(t, client, n).ask(t, "GET", "/api/conversations/"+group, nil)
		if seen.Status != 200 {
			continue
		}
		roles, owners := map[string]string{}, 0
		for n := range seen.Get("members").([]any) {
			at := fmt.Sprintf("members.%d.", n)
			roles[seen.Text(at+"agent_id")] = seen.Text(at + "role")
			if seen.Text(at+"role") == "owner" {
				owners++
			}
		}
		require.Equal(t, 1, owners, "one owner: %v", roles)
		require.EqualValues(t, len(roles), seen.Get("member_count"))
		return roles
	}
	return nil
}
