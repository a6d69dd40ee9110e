package chatsvc_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/svckit/svctest"
)

// A stopped clock moves only when a test says so.
type stopped struct{ millis atomic.Int64 }

func newStopped() *stopped {
	c := &stopped{}
	c.millis.Store(time.Now().Add(time.Minute).UnixMilli())
	return c
}

func (c *stopped) Now() time.Time          { return time.UnixMilli(c.millis.Load()).UTC() }
func (c *stopped) advance(d time.Duration) { c.millis.Add(d.Milliseconds()) }
func (c *stopped) String() string          { return c.Now().Format("2006-01-02T15:04:05.000Z") }

// newStill is a place whose clock is stopped, and whose tokens outlive it all.
func newStill(t *testing.T, environ ...string) (place, *stopped) {
	t.Helper()
	i, clock := install(t), newStopped()
	i.auth.life, i.anyClock = 24*365*time.Hour, true
	deps, _ := i.logged(t)
	deps.Now = clock.Now
	client := document.Client(t, i.serverWith(t, deps, environ...).Handler())
	return place{i, i.as(t, client, 1), i.as(t, client, 2), i.as(t, client, 3)}, clock
}

// collection opens the database beside the server.
func (i installation) collection(t *testing.T, name string) collection {
	t.Helper()
	return collection{svctest.Open(t, i.database).Collection(name)}
}

func messagePath(answer *svctest.Response) string {
	return "/api/messages/" + answer.Text("message_id")
}

func (p person) history(t *testing.T, conversation string) *svctest.Response {
	t.Helper()
	return p.want(t, 200, "GET", "/api/conversations/"+conversation+"/messages", nil)
}

// part is the JSON of one value in an answer.
func part(t *testing.T, answer *svctest.Response, path string) []byte {
	t.Helper()
	text, err := json.Marshal(answer.Get(path))
	require.NoError(t, err)
	return text
}

func withdrawal() object { return object{"withdraw": true} }

func TestEdit(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t)
	conversation := p.ann.group(t, p.bob.id)
	first := p.ann.say(t, conversation, "zero")
	sentAt := clock.String()
	sent := p.ann.want(t, 201, "POST", "/api/messages", object{
		"conversation_id": conversation, "content": "Hello!", "type": "command", "in_reply_to": first.Text("message_id"), "mention": []string{p.bob.id},
	})
	clock.advance(90 * time.Second)
	edited := p.ann.want(t, 200, "PUT", messagePath(sent), object{"content": "Updated text", "unknown_field": 1})
	want := fmt.Sprintf(`{
		"message_id": %q, "conversation_id": %q, "sender_id": %q, "content": "Updated text", "type": "command",
		"created_at": %q, "seq": 2, "in_reply_to": %q, "mention": [%q], "edited_at": %q
	}`, sent.Text("message_id"), conversation, p.ann.id, sentAt, first.Text("message_id"), p.bob.id, clock)
	require.JSONEq(t, want, string(edited.Body), "nothing else of it changes")

	page := p.bob.history(t, conversation)
	require.JSONEq(t, want, string(part(t, page, "messages.0")), "lists have it as the answer had it")
	require.Nil(t, page.Get("messages.1.edited_at"), "the others were not edited")

	widest := strings.Repeat("\U0001F4AC", 10_000)
	require.Equal(t, widest, p.ann.want(t, 200, "PUT", messagePath(sent), object{"content": widest}).Text("content"))
	require.Equal(t, "a\x00b", p.ann.want(t, 200, "PUT", messagePath(sent), object{"content": "a\x00b"}).Text("content"))
	back := p.ann.want(t, 200, "PUT", messagePath(sent), object{"content": "Hello!"})
	require.Greater(t, back.Text("edited_at"), edited.Text("edited_at"), "each edit has a time of its own")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t)
	conversation := p.ann.group(t, p.bob.id)
	sent := p.ann.want(t, 201, "POST", "/api/messages", object{"conversation_id": conversation, "content": "Hello!", "mention": []string{p.bob.id}})
	edited := p.ann.want(t, 200, "PUT", messagePath(sent), object{"content": "Hello there!"})
	clock.advance(1000 * time.Hour)
	require.JSONEq(t, `{"status": "deleted"}`, string(p.ann.want(t, 200, "DELETE", messagePath(sent), object{}).Body))
	want := fmt.Sprintf(`{
		"message_id": %q, "conversation_id": %q, "sender_id": %q, "type": "text", "created_at": %q, "seq": 1, "mention": [%q],
		"edited_at": %q, "deleted": true
	}`, sent.Text("message_id"), conversation, p.ann.id, sent.Text("created_at"), p.bob.id, edited.Text("edited_at"))
	require.JSONEq(t, want, string(part(t, p.bob.history(t, conversation), "messages.0")), "it stays, without its content")

	require.JSONEq(t, `{"status": "deleted"}`, string(p.ann.want(t, 200, "DELETE", messagePath(sent), nil).Body), "again, without a body")
	p.ann.want(t, 404, "PUT", messagePath(sent), object{"content": "back"})
	p.ann.want(t, 201, "POST", "/api/messages", object{"conversation_id": conversation, "content": "x", "in_reply_to": sent.Text("message_id")})
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	p, _ := newStill(t)
	conversation := p.ann.group(t, p.bob.id)
	first := p.ann.say(t, conversation, "stays")
	last := p.ann.want(t, 201, "POST", "/api/messages", object{
		"conversation_id": conversation, "content": "Hello!", "in_reply_to": first.Text("message_id"), "mention": []string{p.bob.id}, "client_msg_id": "k",
	})
	before := p.bob.want(t, 200, "GET", "/api/conversations/"+conversation, nil)
	p.ann.want(t, 200, "PUT", messagePath(last), object{"content": "Hello there!"})
	p.ann.want(t, 200, "DELETE", messagePath(last), nil)
	require.JSONEq(t, `{"status": "withdrawn"}`, string(p.ann.want(t, 200, "DELETE", messagePath(last), withdrawal()).Body), "edited and deleted before")

	page := p.bob.history(t, conversation)
	require.Len(t, page.Get("messages"), 1, "it is gone from the list")
	require.Equal(t, false, page.Get("has_more"))
	require.Equal(t, first.Text("message_id"), page.Text("messages.0.message_id"))
	row := p.collection(t, "messages").one(t, bson.D{{Key: "s", Value: 2}})
	require.Equal(t, []string{"_id", "c", "created_at", "fingerprint", "key", "mark", "s", "sender", "withdrawn"}, row.fields(t), "what is kept of it")

	after := p.bob.want(t, 200, "GET", "/api/conversations/"+conversation, nil)
	require.JSONEq(t, string(before.Body), string(after.Body), "last message, last place and unread count are what they were")
	next := p.bob.say(t, conversation, "next")
	require.EqualValues(t, 3, next.Get("seq"), "its place is not given again")

	p.ann.want(t, 200, "DELETE", messagePath(last), withdrawal())
	p.ann.want(t, 404, "DELETE", messagePath(last), nil)
	p.ann.want(t, 404, "PUT", messagePath(last), object{"content": "back"})
	p.bob.want(t, 404, "DELETE", messagePath(last), withdrawal())
	answer := p.ann.want(t, 400, "POST", "/api/messages", object{"conversation_id": conversation, "content": "x", "in_reply_to": last.Text("message_id")})
	require.Equal(t, "in_reply_to", answer.Text("error.details.field"))
}

// Who may change whose message, and what each is told otherwise. ann owns the
// group, adam is its admin, bob and cy are members, eve is not.
func TestWhoMayChangeMessages(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	client := p.ann.Client
	adam, cy := p.as(t, client, 4), p.as(t, client, 5)
	people := map[string]person{"ann": p.ann, "bob": p.bob, "adam": adam, "cy": cy, "eve": p.eve}
	group := p.ann.group(t, p.bob.id, adam.id, cy.id)
	p.collection(t, "members").set(t, bson.D{{Key: "a", Value: adam.id}}, bson.D{{Key: "role", Value: "admin"}})
	direct := p.ann.want(t, 201, "POST", "/api/conversations", object{"type": "direct", "members": []string{p.bob.id}}).Text("conversation_id")

	edit, remove, withdraw := "PUT", "DELETE", "WITHDRAW"
	tests := map[string]struct {
		conversation   string
		sender, caller string
		action         string
		status         int
	}{
		"the sender edits":                             {group, "bob", "bob", edit, 200},
		"an admin does not edit another's":             {group, "bob", "adam", edit, 403},
		"the owner does not edit another's":            {group, "bob", "ann", edit, 403},
		"a member does not edit another's":             {group, "bob", "cy", edit, 403},
		"a stranger edits nothing":                     {group, "bob", "eve", edit, 404},
		"the sender deletes":                           {group, "bob", "bob", remove, 200},
		"an admin deletes another's":                   {group, "bob", "adam", remove, 200},
		"an admin deletes the owner's":                 {group, "ann", "adam", remove, 200},
		"the owner deletes another's":                  {group, "adam", "ann", remove, 200},
		"a member does not delete another's":           {group, "bob", "cy", remove, 403},
		"a member does not delete an admin's":          {group, "adam", "cy", remove, 403},
		"a stranger deletes nothing":                   {group, "bob", "eve", remove, 404},
		"the sender withdraws":                         {group, "bob", "bob", withdraw, 200},
		"an admin does not withdraw another's":         {group, "bob", "adam", withdraw, 403},
		"the owner does not withdraw another's":        {group, "bob", "ann", withdraw, 403},
		"a member does not withdraw another's":         {group, "bob", "cy", withdraw, 403},
		"a stranger withdraws nothing":                 {group, "bob", "eve", withdraw, 404},
		"the sender edits in a direct one":             {direct, "bob", "bob", edit, 200},
		"the sender deletes in a direct one":           {direct, "bob", "bob", remove, 200},
		"the sender withdraws in a direct one":         {direct, "bob", "bob", withdraw, 200},
		"the maker of a direct one edits no other's":   {direct, "bob", "ann", edit, 403},
		"the maker of a direct one deletes no other's": {direct, "bob", "ann", remove, 403},
		"nobody else withdraws in a direct one":        {direct, "bob", "ann", withdraw, 403},
		"a stranger to a direct one deletes nothing":   {direct, "bob", "eve", remove, 404},
	}
	codes := map[int]string{403: "FORBIDDEN", 404: "NOT_FOUND"}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sent := people[tt.sender].say(t, tt.conversation, "Hello!")
			method, body := tt.action, object{}
			switch tt.action {
			case edit:
				body = object{"content": "Updated text"}
			case withdraw:
				method, body = "DELETE", withdrawal()
			}
			answer := people[tt.caller].want(t, tt.status, method, messagePath(sent), body)
			require.Equal(t, codes[tt.status], answer.Text("error.code"))
			top := people[tt.sender].history(t, tt.conversation)
			untouched := top.Text("messages.0.message_id") == sent.Text("message_id") && top.Text("messages.0.content") == "Hello!"
			require.Equal(t, tt.status != 200, untouched, "%s", top.Body)
		})
	}
}

func TestChangesAreRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	sent := p.ann.say(t, conversation, "Hello!")
	id := sent.Text("message_id")
	tests := map[string]struct {
		method, path string
		body         any
		status       int
		code, field  string
	}{
		"the same content":            {"PUT", id, object{"content": "Hello!"}, 400, "CONTENT_UNCHANGED", "content"},
		"no content":                  {"PUT", id, object{}, 400, "INVALID_REQUEST", "content"},
		"empty content":               {"PUT", id, object{"content": ""}, 400, "INVALID_REQUEST", "content"},
		"content that is too long":    {"PUT", id, object{"content": strings.Repeat("é", 10_001)}, 400, "INVALID_REQUEST", "content"},
		"content of another type":     {"PUT", id, object{"content": 7}, 400, "INVALID_REQUEST", "content"},
		"an edit that is no object":   {"PUT", id, []string{"x"}, 400, "INVALID_REQUEST", "body"},
		"an edit without a body":      {"PUT", id, nil, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		"a withdrawal of a word":      {"DELETE", id, object{"withdraw": "yes"}, 400, "INVALID_REQUEST", "withdraw"},
		"a deletion of a list":        {"DELETE", id, []string{}, 400, "INVALID_REQUEST", "body"},
		"an edit of no id":            {"PUT", "msg_nonsense", object{"content": "x"}, 404, "NOT_FOUND", ""},
		"a deletion of no id":         {"DELETE", "msg_nonsense", nil, 404, "NOT_FOUND", ""},
		"an id of another kind":       {"DELETE", conversation, nil, 404, "NOT_FOUND", ""},
		"an id in capitals":           {"DELETE", strings.ToUpper(id), nil, 404, "NOT_FOUND", ""},
		"an edit of nothing there":    {"PUT", nothingAt(id), object{"content": "x"}, 404, "NOT_FOUND", ""},
		"a deletion of nothing there": {"DELETE", nothingAt(id), nil, 404, "NOT_FOUND", ""},
		"a withdrawal of nothing":     {"DELETE", nothingAt(id), withdrawal(), 404, "NOT_FOUND", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			answer := p.ann.want(t, tt.status, tt.method, "/api/messages/"+tt.path, tt.body, svctest.BadRequest())
			require.Equal(t, tt.code, answer.Text("error.code"))
			require.Equal(t, tt.field, answer.Text("error.details.field"))
		})
	}
	raw := func(method, media, body string) int {
		return p.ann.do(t, method, messagePath(sent), nil, svctest.WithRaw(media, []byte(body)), svctest.BadRequest()).Status
	}
	require.Equal(t, 400, raw("PUT", "application/json", `{"content":`))
	require.Equal(t, 415, raw("PUT", "text/plain", `{"content":"x"}`))
	require.Equal(t, 413, raw("PUT", "application/json", `{"content":"`+strings.Repeat("x", 1<<20)+`"}`))
	require.Equal(t, 415, raw("DELETE", "application/x-www-form-urlencoded", `withdraw=true`))
	require.Equal(t, 405, p.ann.do(t, "GET", messagePath(sent), nil, svctest.Unrouted()).Status)
	require.Equal(t, "Hello!", p.bob.history(t, conversation).Text("messages.0.content"), "nothing of it was done")
}

// nothingAt gives the id of a place two behind the first one in its conversation.
func nothingAt(id string) string { return id[:len(id)-1] + "r" }

// Who was removed has seen the message, and is told that it is not there.
func TestAFormerMemberChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	conversation := p.ann.group(t, p.bob.id)
	sent := p.bob.say(t, conversation, "Hello!")
	p.collection(t, "members").remove(t, bson.D{{Key: "a", Value: p.bob.id}})
	require.Eventually(t, func() bool { // the feed tells of the removal
		return p.bob.do(t, "PUT", messagePath(sent), object{"content": "Hello!"}).Status == 404
	}, 30*time.Second, 20*time.Millisecond)
	p.bob.want(t, 404, "DELETE", messagePath(sent), withdrawal())
	require.Equal(t, "Hello!", p.ann.history(t, conversation).Text("messages.0.content"))
}

func TestRepeatsAnswerTheMessageAsItIs(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t)
	conversation := p.ann.group(t, p.bob.id)
	reply := p.bob.say(t, conversation, "to be replied to")
	body := func(text string) object {
		return object{"conversation_id": conversation, "content": text, "type": "command", "in_reply_to": reply.Text("message_id"), "client_msg_id": "k"}
	}
	first := p.ann.want(t, 201, "POST", "/api/messages", body("once"))
	again := func(rest string) {
		t.Helper()
		answer := p.ann.want(t, 201, "POST", "/api/messages", body("once"))
		require.Equal(t, "true", answer.Header.Get("Idempotency-Replayed"))
		require.JSONEq(t, fmt.Sprintf(`{"message_id": %q, "conversation_id": %q, "sender_id": %q, "type": "command", "status": "sent", "created_at": %q, "seq": 2, %s}`,
			first.Text("message_id"), conversation, p.ann.id, first.Text("created_at"), rest), string(answer.Body))
	}
	again(`"content": "once"`)
	clock.advance(time.Second)
	p.ann.want(t, 200, "PUT", messagePath(first), object{"content": "twice"})
	edited := clock.String()
	again(fmt.Sprintf(`"content": "twice", "edited_at": %q`, edited))
	require.Equal(t, "IDEMPOTENCY_MISMATCH", p.ann.want(t, 422, "POST", "/api/messages", body("twice")).Text("error.code"),
		"the key belongs to the first body")

	p.bob.want(t, 200, "DELETE", messagePath(reply), withdrawal())
	again(fmt.Sprintf(`"content": "twice", "edited_at": %q`, edited))
	p.ann.want(t, 422, "POST", "/api/messages", body("another"))

	p.ann.want(t, 200, "DELETE", messagePath(first), nil)
	again(fmt.Sprintf(`"deleted": true, "edited_at": %q`, edited))
	p.ann.want(t, 200, "DELETE", messagePath(first), withdrawal())
	again(`"deleted": true`)
	p.ann.want(t, 422, "POST", "/api/messages", body("another"))
	require.Empty(t, p.ann.history(t, conversation).Get("messages"))
}
