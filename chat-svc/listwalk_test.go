package chatsvc_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// walkedList reads a list to its end on servers in turn and gives a field of
// every entry. No page may be empty and say that there is more.
func (f *fleet) walkedList(t *testing.T, path, shows, field string) (all []string) {
	cursor := ""
	for {
		page := f.anywhere(t, 1).want(t, 200, "GET", fmt.Sprint(path, "?limit=", 1+rand.IntN(9), "&cursor=", cursor), nil)
		entries := page.Get(shows).([]any)
		for _, e := range entries {
			all = append(all, e.(map[string]any)[field].(string))
		}
		if page.Get("has_more") == false {
			return all
		}
		require.NotEmpty(t, entries, "there is more, so this page has something")
		cursor = page.Text("cursor")
	}
}

func timesOf(all []string) map[string]int {
	times := map[string]int{}
	for _, one := range all {
		times[one]++
	}
	return times
}

// until lets others act again and again while do reads.
func until(others func(turn int), do func()) {
	var acting sync.WaitGroup
	stop := make(chan struct{})
	for n := range 2 {
		acting.Go(func() {
			for turn := n; !isClosed(stop); turn += 2 {
				others(turn)
			}
		})
	}
	defer acting.Wait()
	defer close(stop)
	do()
}

// settle waits until every server has heard of what was done so far.
func (f *fleet) settle(t *testing.T, conversation string) {
	t.Helper()
	ann := f.anywhere(t, 1)
	next := ann.messages(t, "").Next
	said := ann.say(t, conversation, "settling").Text("message_id")
	for _, client := range f.clients {
		f.as(t, client, 1).hear(t, next, said)
	}
}

// While some conversations are active, a walk over the list, on servers in
// turn, shows each of the others once, in their order.
func TestAWalkOverTheListOfConversations(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 0, 0)
	var quiet, busy []string
	for n := range 24 {
		c := f.anywhere(t, 1).group(t)
		f.say(t, c, "x")
		if n%2 == 0 {
			quiet = append(quiet, c)
		} else {
			busy = append(busy, c)
		}
	}
	f.settle(t, busy[0])
	slices.Reverse(quiet) // the most recently active first
	until(func(int) { f.say(t, busy[rand.IntN(len(busy))], "y") }, func() {
		for range 12 {
			seen := f.walkedList(t, "/api/conversations", "conversations", "conversation_id")
			seen = slices.DeleteFunc(seen, func(c string) bool { return slices.Contains(busy, c) })
			require.Equal(t, quiet, seen)
		}
	})
}

// While members come and go, a walk over them, on servers in turn, shows each
// of those who stay once, in the order of their ids, and nobody twice.
func TestAWalkOverMembers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 0, 0)
	staying := []string{agent(1)}
	for n := range 30 {
		staying = append(staying, agent(100+2*n))
	}
	group := f.anywhere(t, 1).group(t, staying[1:]...)
	path := "/api/conversations/" + group + "/members"
	until(func(turn int) {
		passer := agent(101 + 2*(turn%30))
		f.anywhere(t, 1).do(t, "POST", path, object{"agent_id": passer})
		f.anywhere(t, 1).do(t, "DELETE", path+"/"+passer, nil)
	}, func() {
		for range 12 {
			seen := f.walkedList(t, path, "members", "agent_id")
			require.True(t, slices.IsSorted(seen))
			for member, times := range timesOf(seen) {
				require.Equal(t, 1, times, member)
			}
			for _, member := range staying {
				require.Contains(t, seen, member)
			}
		}
	})
}
