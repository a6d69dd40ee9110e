package chatsvc_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// A veiled reader blocks bob, who says nearly everything in a large group.
type veiled struct {
	person
	commands *svctest.Commands // of the server that it asks
}

// page gives the texts; at most so many queries for messages are asked for them.
func (v veiled) page(t *testing.T, most int, path string) (texts []string, answer *svctest.Response) {
	t.Helper()
	v.commands.Reset()
	answer = v.want(t, 200, "GET", path, nil)
	require.LessOrEqual(t, queriesFor(v.commands, "messages"), most, path)
	for _, m := range answer.Get("messages").([]any) {
		texts = append(texts, m.(map[string]any)["content"].(string))
	}
	require.True(t, len(texts) > 0 || answer.Get("has_more") == false, "there is more, so this page has something")
	return texts, answer
}

// queriesFor counts the finds in a collection.
func queriesFor(commands *svctest.Commands, collection string) (n int) {
	for _, c := range commands.Sent("find") {
		if c.Collection == collection {
			n++
		}
	}
	return n
}

// walk reads all pages, each behind the one before.
func (v veiled) walk(t *testing.T, most int, path string) (all []string) {
	t.Helper()
	for cursor := ""; ; {
		texts, page := v.page(t, most, path+"?limit=1&cursor="+cursor)
		all = append(all, texts...)
		if cursor = page.Text("cursor"); cursor == "" {
			return all
		}
	}
}

// catchUp reads all that was said since next.
func (v veiled) catchUp(t *testing.T, most int, path, next string) (all []string) {
	t.Helper()
	for more := true; more; {
		texts, page := v.page(t, most, path+"?limit=1&after="+next)
		all = append(all, texts...)
		next, more = page.Text("next"), page.Get("has_more").(bool)
	}
	return all
}

// However many messages in a row are hidden, whatever the reader asks for is
// found by a few queries.
func TestReadersPassHiddenMessages(t *testing.T) {
	t.Parallel()
	large := []string{unlimited, "SEND_BURST=100000", "BLOCKS_MAX_GROUP=3"}
	p, commands := watched(t, large...)
	cat := p.as(t, p.ann.Client, 4)
	group := p.ann.group(t, p.bob.id, cat.id, p.eve.id)
	next := p.ann.messages(t, "").Next
	cat.say(t, group, "first")
	for range 150 {
		p.bob.say(t, group, "hidden")
	}
	gone := cat.say(t, group, "withdrawn")
	cat.say(t, group, "second")
	for range 40 {
		p.bob.say(t, group, "hidden")
	}
	cat.want(t, 200, "DELETE", messagePath(gone), withdrawal())
	third := cat.say(t, group, "third").Text("message_id")
	p.ann.block(t, p.bob.id)

	forgets, asked := p.installation, &svctest.Commands{}
	forgets.database.Monitors = append(forgets.database.Monitors[:0:0], asked.Monitor())
	forgetful := document.Client(t, forgets.server(t, append(large, "EVENT_MEMORY=0")...).Handler())
	readers := map[string]struct {
		veiled
		rows int // queries for what the feed no longer has
	}{
		"from the feed": {veiled{p.ann, commands}, 0},
		"from rows":     {veiled{p.as(t, forgetful, 1), asked}, 1},
	}
	for _, v := range readers {
		v.hear(t, next, third) // and what was done before it
	}
	read := func(who string) {
		for name, v := range readers {
			for _, path := range []string{"/api/conversations/" + group + "/messages", "/api/messages"} {
				require.Equal(t, []string{"third", "second", "first"}, v.walk(t, 3, path), "%s, %s", who, path)
				require.Equal(t, []string{"first", "second", "third"}, v.catchUp(t, v.rows, path, next), "%s, %s, %s", who, name, path)
			}
		}
	}
	read("who blocks one")
	for n := range 20 {
		p.ann.block(t, agent(1000+n))
	}
	read("who blocks more than are remembered")
}

// Who blocks nobody pays nothing for it, and in a small group nothing is hidden.
func TestNothingHidden(t *testing.T) {
	t.Parallel()
	p, commands := watched(t, "BLOCKS_MAX_GROUP=3")
	small := p.ann.group(t, p.bob.id)
	p.bob.say(t, small, "hello")
	p.trusted(t)
	v := veiled{p.ann, commands}
	hello := func() {
		texts, _ := v.page(t, 1, "/api/conversations/"+small+"/messages?limit=7")
		require.Equal(t, []string{"hello"}, texts)
	}
	counted := func() bool {
		return slices.ContainsFunc(commands.Sent("find"), func(c svctest.Command) bool { return c.Collection == "conversations" && c.Carries("pending") })
	}
	hello()
	require.False(t, counted(), "who blocks nobody need not know how large the group is")
	p.ann.block(t, p.bob.id)
	hello()
	require.True(t, counted())
	require.True(t, p.bob.barred(t, small))
}
