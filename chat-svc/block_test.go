package chatsvc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func (p person) block(t *testing.T, target string) string {
	t.Helper()
	body := object{"target_id": target}
	if strings.HasPrefix(target, "conv_") {
		body["type"] = "group"
	}
	return p.want(t, 201, "POST", "/api/blocks", body).Text("block_id")
}

func (p person) unblock(t *testing.T, block string) {
	t.Helper()
	p.want(t, 204, "DELETE", "/api/blocks/"+block, nil)
}

// barred sends into a conversation and tells whether a block bars it.
func (p person) barred(t *testing.T, conversation string) bool {
	t.Helper()
	answer := p.do(t, "POST", "/api/messages", object{"conversation_id": conversation, "content": "x"})
	if answer.Status == 403 {
		require.Equal(t, "BLOCKED", answer.Text("error.code"))
		return true
	}
	require.Equal(t, 201, answer.Status, "%s", answer.Body)
	return false
}

func TestBlock(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	group := p.ann.group(t)
	made := p.ann.want(t, 201, "POST", "/api/blocks", object{"target_id": p.bob.id})
	require.JSONEq(t, fmt.Sprintf(`{"block_id":%q,"target_type":"agent","target_id":%q,"created_at":%q}`,
		made.Text("block_id"), p.bob.id, made.Text("created_at")), string(made.Body))
	ofGroup := p.ann.want(t, 201, "POST", "/api/blocks", object{"type": "group", "target_id": group})
	require.Equal(t, "group", ofGroup.Text("target_type"))
	require.Equal(t, group, ofGroup.Text("target_id"))
	p.ann.want(t, 201, "POST", "/api/blocks", object{"type": "user", "target_id": p.eve.id})
	p.bob.want(t, 201, "POST", "/api/blocks", object{"type": "", "target_id": p.ann.id})

	for name, body := range map[string]object{
		"twice": {"target_id": p.bob.id}, "twice, by another name": {"type": "agent", "target_id": p.bob.id}, "a group twice": {"type": "group", "target_id": group},
	} {
		require.Equal(t, "CONFLICT", p.ann.want(t, 409, "POST", "/api/blocks", body).Text("error.code"), name)
	}
	others := p.bob.group(t)
	for name, body := range map[string]object{
		"nothing": {}, "malformed": {"target_id": "bob"}, "nobody": {"target_id": nobody()}, "oneself": {"target_id": p.ann.id},
		"a group as an account": {"target_id": group}, "an account as a group": {"type": "group", "target_id": p.bob.id},
		"a group that is not there": {"type": "group", "target_id": "conv_7a0b8f52-3c55-4b1e-9d3f-6f1f0f6f7b21"},
		"a group of others":         {"type": "group", "target_id": others},
	} {
		answer := p.ann.want(t, 400, "POST", "/api/blocks", body, svctest.BadRequest())
		require.Equal(t, "INVALID_TARGET", answer.Text("error.code"), name)
		require.Equal(t, "target_id", answer.Text("error.details.field"), name)
	}
	answer := p.ann.want(t, 400, "POST", "/api/blocks", object{"target_id": 1}, svctest.BadRequest())
	require.Equal(t, "INVALID_REQUEST", answer.Text("error.code"))

	p.bob.want(t, 404, "DELETE", "/api/blocks/"+made.Text("block_id"), nil)
	p.ann.want(t, 404, "DELETE", "/api/blocks/blk_nonsense", nil, svctest.BadRequest())
	p.ann.unblock(t, made.Text("block_id"))
	p.ann.want(t, 404, "DELETE", "/api/blocks/"+made.Text("block_id"), nil)
	require.NotEqual(t, made.Text("block_id"), p.ann.block(t, p.bob.id), "and again")
}

func TestBlocksBar(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	cat := p.as(t, p.ann.Client, 4)
	group, other := p.ann.group(t, p.bob.id, cat.id), p.bob.group(t, cat.id)
	direct := p.ann.want(t, 201, "POST", "/api/conversations", object{"type": "direct", "members": []string{p.bob.id}}).Text("conversation_id")

	mine := p.ann.block(t, group)
	require.True(t, p.ann.barred(t, group), "into what the sender has blocked")
	require.False(t, p.ann.barred(t, direct))
	require.False(t, p.bob.barred(t, group), "the others may")
	p.ann.unblock(t, mine)
	require.False(t, p.ann.barred(t, group))

	ofBob := p.ann.block(t, p.bob.id)
	require.True(t, p.bob.barred(t, group), "by a block of a member")
	require.True(t, p.bob.barred(t, direct))
	require.False(t, p.bob.barred(t, other), "where the blocker is no member")
	require.False(t, p.ann.barred(t, group), "who blocks may send")
	require.False(t, cat.barred(t, group))
	to := func(who, whom person) *svctest.Response {
		return who.do(t, "POST", "/api/messages", object{"recipient_agent_id": whom.id, "content": "x"})
	}
	require.Equal(t, 403, to(p.bob, p.ann).Status)
	require.Equal(t, 201, to(p.bob, cat).Status)
	second := document.Client(t, p.server(t).Handler())
	require.True(t, p.as(t, second, 2).barred(t, group), "on every replica")

	p.bob.want(t, 200, "POST", "/api/conversations/"+other+"/members", object{"agent_id": p.ann.id})
	require.True(t, p.bob.barred(t, other), "as soon as the blocker joins")
	p.ann.want(t, 200, "POST", "/api/conversations/"+other+"/leave", nil)
	require.False(t, p.bob.barred(t, other), "until it leaves")
	p.ann.unblock(t, ofBob)
	require.False(t, p.bob.barred(t, group))
	require.Equal(t, 201, to(p.bob, p.ann).Status)
}

func TestBlockedBeforeTheFirstWord(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.ann.block(t, p.bob.id)
	answer := p.bob.want(t, 403, "POST", "/api/messages", object{"recipient_agent_id": p.ann.id, "content": "hi"})
	require.Equal(t, "BLOCKED", answer.Text("error.code"))
	require.Empty(t, p.ann.want(t, 200, "GET", "/api/conversations", nil).Get("conversations"), "no conversation is made")
	p.ann.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.bob.id, "content": "hi"})
}

// Who is blocked by more accounts than are looked at in one go is still barred
// by the last of them, and by nobody where none of them is.
func TestBlockedByMany(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for n := range 600 {
		p.as(t, p.ann.Client, 1000+n).block(t, p.bob.id)
	}
	alone := p.ann.group(t, p.bob.id)
	require.False(t, p.bob.barred(t, alone))
	for _, n := range []int{1000, 1499, 1500, 1599} {
		require.True(t, p.bob.barred(t, p.ann.group(t, p.bob.id, agent(n))), "%d", n)
	}
	own := p.bob.block(t, alone)
	require.True(t, p.bob.barred(t, alone))
	p.bob.unblock(t, own)
}

func TestBlockWithAKey(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	key := svctest.WithHeader("Idempotency-Key", "k")
	body := object{"target_id": p.bob.id}
	first := p.ann.want(t, 201, "POST", "/api/blocks", body, key)
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	again := p.ann.want(t, 201, "POST", "/api/blocks", body, key)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.JSONEq(t, string(first.Body), string(again.Body))
	require.Equal(t, "IDEMPOTENCY_MISMATCH", p.ann.want(t, 422, "POST", "/api/blocks", object{"target_id": p.eve.id}, key).Text("error.code"))
	p.ann.want(t, 422, "POST", "/api/conversations", object{"type": "group", "members": []string{}}, key)
	p.ann.want(t, 409, "POST", "/api/blocks", body, svctest.WithHeader("Idempotency-Key", "l"))
	p.bob.want(t, 201, "POST", "/api/blocks", object{"target_id": p.eve.id}, key)
	p.ann.unblock(t, first.Text("block_id"))
	p.ann.want(t, 404, "POST", "/api/blocks", body, key)

	results := make(chan string)
	for range 8 {
		go func() {
			answer := p.ann.do(t, "POST", "/api/blocks", body, svctest.WithHeader("Idempotency-Key", "race"))
			results <- fmt.Sprint(answer.Status, answer.Text("block_id"))
		}()
	}
	made := <-results
	require.True(t, strings.HasPrefix(made, "201"), made)
	for range 7 {
		require.Equal(t, made, <-results, "one key makes one block")
	}
}

func TestListBlocks(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	list := func(query string) *svctest.Response {
		t.Helper()
		return p.ann.want(t, 200, "GET", "/api/blocks"+query, nil)
	}
	require.JSONEq(t, `{"blocks":[],"next_cursor":"","has_more":false}`, string(list("").Body))
	var made []string // newest first
	for n := range 7 {
		made = append([]string{p.ann.block(t, agent(1000+n))}, made...)
	}
	p.bob.block(t, agent(1000))
	for _, limit := range []int{1, 3, 7, 100} {
		seen := map[string]bool{}
		cursor, more := "", true
		for more {
			page := list(fmt.Sprintf("?limit=%d&cursor=%s", limit, cursor))
			found := page.Get("blocks").([]any)
			require.NotEmpty(t, found)
			for n := range found {
				seen[page.Text(fmt.Sprintf("blocks.%d.block_id", n))] = true
			}
			cursor, more = page.Text("next_cursor"), page.Get("has_more").(bool)
			require.Equal(t, more, cursor != "")
		}
		require.Len(t, seen, len(made), "pages of %d", limit)
		for _, id := range made {
			require.True(t, seen[id])
		}
	}
	first := list("?limit=1")
	require.GreaterOrEqual(t, first.Text("blocks.0.created_at"), list("").Text("blocks.6.created_at"), "newest first")
	p.bob.want(t, 400, "GET", "/api/blocks?cursor="+first.Text("next_cursor"), nil)
	p.ann.want(t, 400, "GET", "/api/blocks?limit=none", nil, svctest.BadRequest())
}

func TestBlocksOfLargeGroupsHide(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "BLOCKS_MAX_GROUP=3")
	cat := p.as(t, p.ann.Client, 4)
	small, large := p.ann.group(t, p.bob.id, cat.id), p.ann.group(t, p.bob.id, cat.id, p.eve.id)
	direct := p.ann.want(t, 201, "POST", "/api/messages", object{"recipient_agent_id": p.bob.id, "content": "hi"}).Text("conversation_id")
	block := p.ann.block(t, p.bob.id)
	require.True(t, p.bob.barred(t, small))
	require.True(t, p.bob.barred(t, direct))
	own := p.ann.block(t, large)
	require.True(t, p.ann.barred(t, large), "the sender's own block bars in any group")
	p.ann.unblock(t, own)

	for n := range 12 {
		p.bob.say(t, large, fmt.Sprint("bob ", n))
		if n%5 == 0 {
			cat.say(t, large, fmt.Sprint("cat ", n))
		}
	}
	read := func(who person, limit int) (texts []string) {
		cursor, more := "", true
		for more {
			page := who.want(t, 200, "GET", fmt.Sprintf("/api/conversations/%s/messages?limit=%d&cursor=%s", large, limit, cursor), nil)
			found := page.Get("messages").([]any)
			cursor, more = page.Text("cursor"), page.Get("has_more").(bool)
			require.True(t, len(found) > 0 || !more, "no empty page with more behind it")
			for n := range found {
				texts = append(texts, page.Text(fmt.Sprintf("messages.%d.content", n)))
			}
		}
		return texts
	}
	for _, limit := range []int{1, 2, 3, 50} {
		require.Equal(t, []string{"cat 10", "cat 5", "cat 0"}, read(p.ann, limit), "hidden from who blocks")
	}
	require.Len(t, read(cat, 5), 15, "and from nobody else")
	require.Len(t, read(p.bob, 5), 15)
	p.ann.unblock(t, block)
	require.Len(t, read(p.ann, 5), 15)
}
