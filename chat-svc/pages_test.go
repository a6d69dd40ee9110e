package chatsvc_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/svckit/svctest"
)

// A list is one of the paths that answer by pages.
type list struct {
	path   string
	shows  string // the field of its entries
	cursor string // the field of its cursor
}

// lists are all of them, those about one conversation twice.
func lists(conversation, another string) []list {
	of := func(c, what string) string { return "/api/conversations/" + c + "/" + what }
	return []list{
		{"/api/messages", "messages", "cursor"},
		{of(conversation, "messages"), "messages", "cursor"},
		{of(another, "messages"), "messages", "cursor"},
		{"/api/conversations", "conversations", "cursor"},
		{of(conversation, "members"), "members", "cursor"},
		{of(another, "members"), "members", "cursor"},
		{"/api/blocks", "blocks", "next_cursor"},
	}
}

// 50 entries are on a page, where nothing else is asked for, and 100 at most.
func TestSizesOfPages(t *testing.T) {
	t.Parallel()
	p := newPlace(t, unlimited, "SEND_BURST=1000")
	const most = 101
	var others []string
	for n := range most {
		others = append(others, agent(1000+n))
	}
	group := p.ann.group(t, others...)
	for n := range most {
		p.ann.say(t, group, fmt.Sprint(n))
		p.ann.block(t, others[n])
		p.ann.want(t, 201, "POST", "/api/conversations", object{"type": "direct", "members": []string{others[n]}})
	}
	for _, l := range lists(group, group) {
		for query, want := range map[string]int{
			"": 50, "?limit=": 50, "?limit=1": 1, "?limit=99": 99, "?limit=100": 100, "?limit=101": 100, "?limit=99999999999999999999": 100,
		} {
			page := p.ann.want(t, 200, "GET", l.path+query, nil, svctest.BadRequest())
			require.Len(t, page.Get(l.shows), want, l.path+query)
			require.Equal(t, true, page.Get("has_more"))
			require.NotEmpty(t, page.Text(l.cursor))
		}
		for _, limit := range []string{"0", "-1", "ten", "1.5", "%201"} {
			answer := p.ann.want(t, 400, "GET", l.path+"?limit="+limit, nil, svctest.BadRequest())
			require.Equal(t, "INVALID_REQUEST", answer.Text("error.code"), l.path)
			require.Equal(t, "limit", answer.Text("error.details.field"), l.path)
		}
	}
}

// A book is what two accounts and a server have to page through.
type book struct {
	place
	lists []list
}

func newBook(t *testing.T) book {
	t.Helper()
	p := newPlace(t)
	group, another := p.ann.group(t, p.bob.id), p.ann.group(t, p.bob.id)
	for _, who := range []person{p.ann, p.bob} {
		for n := range 2 {
			who.say(t, group, fmt.Sprint(n))
			who.say(t, another, fmt.Sprint(n))
			who.block(t, agent(50+n))
		}
	}
	return book{p, lists(group, another)}
}

// first gives the cursor and the next of a list's first page.
func (l list) first(t *testing.T, who person) (cursor, next string) {
	t.Helper()
	page := who.want(t, 200, "GET", l.path+"?limit=1", nil)
	require.NotEmpty(t, page.Text(l.cursor), l.path)
	return page.Text(l.cursor), page.Text("next")
}

func (l list) refuses(t *testing.T, who person, parameter, text, why string) {
	t.Helper()
	answer := who.want(t, 400, "GET", l.path+"?"+parameter+"="+text, nil, svctest.BadRequest())
	require.Equal(t, "INVALID_CURSOR", answer.Text("error.code"), "%s: %s", l.path, why)
	require.Equal(t, parameter, answer.Text("error.details.field"), "%s: %s", l.path, why)
}

// A cursor belongs to its list and its account; nothing else passes for one.
func TestCursorsBelong(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for at, l := range b.lists {
		cursor, next := l.first(t, b.ann)
		b.ann.want(t, 200, "GET", l.path+"?cursor="+cursor, nil)
		theirs, _ := l.first(t, b.bob)
		l.refuses(t, b.ann, "cursor", theirs, "of another account")
		for other, foreign := range b.lists {
			if other != at {
				text, _ := foreign.first(t, b.ann)
				l.refuses(t, b.ann, "cursor", text, "of "+foreign.path)
			}
		}
		broken := map[string]string{"cut short": cursor[:len(cursor)-1], "longer": cursor + "A", "no cursor": "nonsense"}
		for n := range cursor {
			letter := "A"
			if cursor[n] == 'A' {
				letter = "B"
			}
			broken[fmt.Sprint("changed at ", n)] = cursor[:n] + letter + cursor[n+1:]
		}
		for why, text := range broken {
			l.refuses(t, b.ann, "cursor", text, why)
		}
		if next != "" {
			l.refuses(t, b.ann, "cursor", next, "a token of catching up")
			l.refuses(t, b.ann, "after", cursor, "a cursor")
			_, theirs := l.first(t, b.bob)
			l.refuses(t, b.ann, "after", theirs, "of another account")
			l.refuses(t, b.ann, "after", next[:len(next)-1], "cut short")
		}
	}
}

// Of the time before a restored backup no cursor is taken, and no token.
func TestCursorsEndWithTheirEpoch(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	type given struct{ cursor, next string }
	var before []given
	for _, l := range b.lists {
		cursor, next := l.first(t, b.ann)
		before = append(before, given{cursor, next})
	}
	b.collection(t, "schema").remove(t, bson.D{{Key: "_id", Value: "epoch"}})
	restored := b.as(t, document.Client(t, b.server(t).Handler()), 1)
	for n, l := range b.lists {
		l.refuses(t, restored, "cursor", before[n].cursor, "of another epoch")
		if before[n].next != "" {
			l.refuses(t, restored, "after", before[n].next, "of another epoch")
		}
	}
}
