package chatsvc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func TestRPCHistoryInPages(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	var said []string
	for n := range 12 {
		said = append([]string{fmt.Sprint(n)}, said...)
		p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": said[0]})
	}
	withdrawn := p.ann.result(t, "getChatHistory", object{"chat_id": chat}).Text("result.items.5.id")
	p.ann.want(t, 200, "DELETE", "/api/messages/msg_"+withdrawn, withdrawal())
	said = slices.Delete(said, 5, 6)
	for _, limit := range []int{1, 2, 5, 11, 50, 1 << 40} {
		var read []string
		body := object{"chat_id": chat, "limit": limit}
		for more := true; more; {
			page := p.bob.result(t, "getChatHistory", body)
			items := page.Get("result.items").([]any)
			require.NotEmpty(t, items)
			for _, item := range items {
				read = append(read, item.(map[string]any)["content"].(string))
			}
			body["before"], more = page.Get("result.next_cursor"), page.Get("result.next_cursor") != nil
		}
		require.Equal(t, said, read, "in pages of %d", limit)
	}
	first := p.bob.result(t, "getChatHistory", object{"chat_id": chat, "limit": 1})
	oldest := p.bob.result(t, "getChatHistory", object{"chat_id": chat, "limit": 100}).Text("result.items.10.id")
	require.Empty(t, p.bob.result(t, "getChatHistory", object{"chat_id": chat, "before": oldest}).Get("result.items"), "before the first")
	p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "new"})
	page := p.bob.result(t, "getChatHistory", object{"chat_id": chat, "limit": 1, "before": first.Get("result.next_cursor")})
	require.Equal(t, said[1], page.Text("result.items.0.content"), "a page stays where it is")
	require.Equal(t, said[0], p.bob.result(t, "getChatHistory", object{"chat_id": chat, "limit": 2}).Text("result.items.1.content"))
}

func TestRPCMarkRead(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	require.EqualValues(t, 0, p.bob.result(t, "markRead", object{"chat_id": chat}).Get("result.unread_count"), "before the first message")
	var ids []string
	for range 4 {
		ids = append(ids, p.ann.first(t, chat))
	}
	mark := func(upTo ...string) any {
		body := object{"chat_id": chat}
		if len(upTo) > 0 {
			body["up_to"] = upTo[0]
		}
		return p.bob.result(t, "markRead", body).Get("result.unread_count")
	}
	require.EqualValues(t, 2, mark(ids[1]))
	require.EqualValues(t, 2, mark(ids[0]), "never back")
	require.Equal(t, 2, p.bob.unread(t, chat))
	require.EqualValues(t, 0, mark())
	require.EqualValues(t, 0, mark(), "again")
	p.ann.first(t, chat)
	require.Equal(t, 1, p.bob.unread(t, chat))
}

func TestRPCDeleteMessages(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	cat := p.as(t, p.ann.Client, 4)
	group, other, strange := p.ann.chat(t, p.bob, cat), p.ann.chat(t, p.bob), p.bob.chat(t, p.eve)
	anns, bobs, cats := p.ann.first(t, group), p.bob.first(t, group), cat.first(t, group)
	second, strangers := p.bob.first(t, other), p.bob.first(t, strange)
	gone := p.bob.first(t, group)
	p.bob.want(t, 200, "DELETE", "/api/messages/msg_"+gone, withdrawal())
	beyond := gone[:len(gone)-1] + "g"
	contents := func(who person, chat string) (all []string) {
		for _, item := range who.result(t, "getChatHistory", object{"chat_id": chat}).Get("result.items").([]any) {
			all = append(all, item.(map[string]any)["content"].(string))
		}
		return all
	}
	steps := []struct {
		outcome string
		who     person
		ids     []string
		status  int
		deleted int
		group   []string // what is left, newest first
	}{
		{"a member deletes not another's", p.bob, []string{cats}, 403, 0, []string{"first", "first", "first"}},
		{"and not its own with it", p.bob, []string{bobs, cats}, 403, 0, []string{"first", "first", "first"}},
		{"nor where one is in another's chat", p.ann, []string{anns, strangers}, 403, 0, []string{"first", "first", "first"}},
		{"its own, in two chats", p.bob, []string{bobs, second}, 200, 2, []string{"first", "", "first"}},
		{"again", p.bob, []string{bobs, second}, 200, 2, []string{"first", "", "first"}},
		{"what is not there is passed over", p.bob, []string{gone, beyond, bobs}, 200, 1, []string{"first", "", "first"}},
		{"alone too", p.bob, []string{gone}, 200, 0, []string{"first", "", "first"}},
		{"the owner deletes everybody's, named twice or not", p.ann, []string{cats, anns, cats}, 200, 2, []string{"", "", ""}},
	}
	for _, step := range steps {
		body := object{"message_ids": step.ids}
		if step.status == 200 {
			require.EqualValues(t, step.deleted, step.who.result(t, "deleteMessages", body).Get("result.deleted"), step.outcome)
		} else {
			step.who.denied(t, step.status, "permission_denied: ", "deleteMessages", body)
		}
		require.Equal(t, step.group, contents(p.ann, group), step.outcome)
	}
	require.Equal(t, []string{""}, contents(p.ann, other))
	require.Equal(t, []string{"first"}, contents(p.bob, strange))
}

func TestRPCChatsInPages(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var all []string
	for n := range 7 {
		chat := p.ann.chat(t, p.as(t, p.ann.Client, 100+n))
		if n%2 == 0 {
			p.ann.first(t, chat)
		}
		all = append([]string{chat}, all...)
	}
	for _, limit := range []int{1, 3, 7, 50, 1 << 40} {
		var read []string
		body := object{"limit": limit, "cursor": ""}
		for more := true; more; {
			page := p.ann.result(t, "getChats", body)
			items := page.Get("result.items").([]any)
			require.NotEmpty(t, items)
			for _, item := range items {
				read = append(read, item.(map[string]any)["id"].(string))
			}
			body["cursor"], more = page.Get("result.next_cursor"), page.Get("result.next_cursor") != nil
		}
		require.Equal(t, all, read, "in pages of %d", limit)
	}
	p.ann.first(t, all[6])
	require.Equal(t, all[6], p.ann.result(t, "getChats", nil).Text("result.items.0.id"), "the most recently active first; the body may be left out")
}

// A list shows at most 100 participants of a chat, one chat at most 1,000; of
// more the owner, admins and the caller.
func TestParticipantsOfLargeChats(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	tests := map[string]struct {
		others       int
		listed, full int
	}{
		"a hundred":       {99, 100, 100},
		"one more":        {100, 2, 101},
		"a thousand":      {999, 2, 1000},
		"beyond thousand": {1000, 2, 2},
	}
	begun := map[string]string{}
	for outcome, tt := range tests {
		begun[outcome] = p.ann.result(t, "startChat", object{"user_ids": append(namesFrom(1000, tt.others-1), p.bob.name())}).Text("result.id")
	}
	listed := map[string]map[string]any{}
	for _, item := range p.bob.result(t, "getChats", nil).Get("result.items").([]any) {
		chat := item.(map[string]any)
		listed[chat["id"].(string)] = chat
	}
	for outcome, tt := range tests {
		inList := listed[begun[outcome]]
		require.EqualValues(t, tt.others+1, inList["participant_count"], outcome)
		require.Len(t, inList["participants"], tt.listed, outcome)
		one := p.bob.result(t, "getChat", object{"chat_id": begun[outcome]})
		require.EqualValues(t, tt.others+1, one.Get("result.participant_count"), outcome)
		require.Len(t, one.Get("result.participants"), tt.full, outcome)
		require.Equal(t, p.ann.account(), one.Get("result.participants.0"), "%s: the owner first", outcome)
		require.Contains(t, one.Get("result.participants"), p.bob.account(), "%s: the caller", outcome)
	}
}

// Accounts are asked for a thousand at once, each once for a page, and not
// again while they are known.
func TestNamesAreLookedUpTogether(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for n := range 30 {
		members := []string{p.bob.id}
		for m := range 60 {
			members = append(members, agent(1000+10*n+m))
		}
		p.ann.group(t, members...)
	}
	fresh := p.bob
	fresh.Client = document.Client(t, p.server(t).Handler()) // knows nobody
	p.auth.lookups.Store(0)
	require.Len(t, fresh.result(t, "getChats", nil).Get("result.items"), 30)
	require.EqualValues(t, 1, p.auth.lookups.Load(), "30 chats, 1,860 participants, 352 accounts")
	fresh.result(t, "getChats", nil)
	require.EqualValues(t, 1, p.auth.lookups.Load())
}

// Who takes another display name is shown under it everywhere, as soon as the
// change is heard of.
func TestRenamedAccountsAreShown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	p.bob.first(t, chat)
	shown := func() (names []any) {
		history := p.ann.result(t, "getChatHistory", object{"chat_id": chat})
		list := p.ann.result(t, "getChats", nil)
		one := p.ann.result(t, "getChat", object{"chat_id": chat})
		sent := p.bob.result(t, "sendMessage", object{"chat_id": chat, "text": "again", "client_msg_id": "k"})
		return []any{
			history.Get("result.items.0.sender.display_name"), list.Get("result.items.0.participants.1.display_name"),
			one.Get("result.participants.1.display_name"), sent.Get("result.sender.display_name"),
		}
	}
	require.Equal(t, slices.Repeat([]any{p.bob.name()}, 4), shown())
	p.auth.rename(p.bob.id, "Bob the Second")
	require.Eventually(t, func() bool {
		return slices.Equal(slices.Repeat([]any{"Bob the Second"}, 4), shown())
	}, 30*time.Second, 10*time.Millisecond)
}

// A deleted account is shown as what is left of it.
func TestDeletedAccountsAreShown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, want := range []map[string]any{
		{
			"username": "name-80000000000000000000", "kind": "agent", "display_name": "name-80000000000000000000",
			"agent_id": "agt_80000000000000000000", "deleted": true,
		},
		{"username": nobody(), "kind": "agent", "display_name": nobody(), "agent_id": nobody(), "deleted": true},
	} {
		id := want["agent_id"].(string)
		gone := person{p.ann.Client, id, p.auth.token(t, id)}
		chat := gone.chat(t, p.ann)
		gone.first(t, chat)
		require.Equal(t, want, p.ann.result(t, "getChatHistory", object{"chat_id": chat}).Get("result.items.0.sender"))
		require.Contains(t, p.ann.result(t, "getChat", object{"chat_id": chat}).Get("result.participants"), any(want))
		require.Contains(t, p.ann.result(t, "getChats", nil).Get("result.items.0.participants"), any(want))
	}
}

// With auth-svc away, who is known is shown, and who is not known cannot be;
// nothing is sent whose answer could not be written.
func TestRPCWithAuthAway(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	chat := p.ann.chat(t, p.bob)
	fresh := p.ann
	fresh.Client = document.Client(t, p.server(t).Handler())
	fresh.want(t, 200, "GET", "/api/conversations", nil) // the keys of tokens are known from here on
	p.auth.away.Store(true)
	p.ann.first(t, chat)
	p.ann.result(t, "getChats", nil)
	for name, body := range map[string]object{
		"getChat": {"chat_id": chat}, "getChats": {}, "sendMessage": {"chat_id": chat, "text": "x"},
		"getChatHistory": {"chat_id": chat}, "startChat": {"user_ids": []string{p.eve.name()}},
	} {
		fresh.denied(t, 503, "unavailable: ", name, body)
	}
	fresh.result(t, "markRead", object{"chat_id": chat})
	p.auth.away.Store(false)
	require.Eventually(t, func() bool { return fresh.rpc(t, "getChats", nil).Status == 200 }, 30*time.Second, 10*time.Millisecond)
	require.Len(t, fresh.result(t, "getChatHistory", object{"chat_id": chat}).Get("result.items"), 1, "what was refused was not sent")
}

func TestRPCWithTheDatabaseAway(t *testing.T) {
	t.Parallel()
	i := install(t)
	uri, proxy := svctest.NewProxy(t, i.database.URI)
	ann := i.as(t, document.Client(t, i.server(t, "MONGODB_URI="+uri).Handler()), 1)
	chat := ann.chat(t, i.as(t, ann.Client, 2))
	calls := methods(chat, ann.first(t, chat))
	proxy.Cut()
	for name, m := range calls {
		answer := ann.rpc(t, name, m.body)
		require.Equal(t, 503, answer.Status, "%s: %s", name, answer.Body)
		require.Contains(t, answer.Text("description"), "unavailable: ")
		require.NotEmpty(t, answer.Header.Get("Retry-After"), name)
	}
	proxy.Restore()
	for name, m := range calls {
		require.Eventually(t, func() bool { return ann.rpc(t, name, m.body).Status == 200 }, 30*time.Second, 50*time.Millisecond, "%s is back by itself", name)
	}
}
