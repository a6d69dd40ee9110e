package chatsvc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	anyID    = regexp.MustCompile(`(agt|conv|msg|blk)_[0-9a-z-]+`)
	anyTime  = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
	anyToken = regexp.MustCompile(`"(cursor|next_cursor|next)": "[^"]+"`)
)

// A stage plays testdata/examples.txt. On that page all is of one day, accounts
// have the names of their parts, other ids are counted as they appear, and
// cursors are called opaque-cursor, and so on.
type stage struct {
	clock  *stopped
	opened time.Time // the clock's at 20:00:00
	people map[string]person
	names  map[string]string // what ids and tokens are called on the page
	ids    map[string]string // the same the other way round
}

func newStage(t *testing.T, cast ...string) *stage {
	t.Helper()
	p, clock := newStill(t)
	s := &stage{clock: clock, opened: clock.Now(), people: map[string]person{}, names: map[string]string{}, ids: map[string]string{}}
	for n, name := range cast {
		s.people[name] = p.as(t, p.ann.Client, n+1)
		s.call(s.people[name].id, name)
	}
	return s
}

func (s *stage) call(id, name string) { s.names[id], s.ids[name] = name, id }

// onPage gives a moment of the page, "20:05:00", and the same time that has passed
// since the stage opened.
func onPage(t *testing.T, moment string) (at time.Time, passed time.Duration) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, "2026-04-03T"+moment+"Z")
	require.NoError(t, err)
	return at, at.Sub(time.Date(2026, 4, 3, 20, 0, 0, 0, time.UTC))
}

// play makes a request as it stands on the page, "20:05:00 agt_who METHOD /path"
// and perhaps a body, and gives the answer as it would stand there.
func (s *stage) play(t *testing.T, request string) string {
	t.Helper()
	head, body, _ := strings.Cut(request, "\n")
	words := strings.Fields(head)
	require.Len(t, words, 4, head)
	_, passed := onPage(t, words[0])
	s.clock.advance(s.opened.Add(passed).Sub(s.clock.Now()))
	place{ann: s.people["agt_other"]}.trusted(t) // where the clock went on, the feed has to be heard again
	var sent any
	if body != "" {
		sent = json.RawMessage(s.real(body))
	}
	answer := s.people[words[1]].ask(t, words[2], s.real(words[3]), sent)
	var text bytes.Buffer
	if len(answer.Body) > 0 {
		require.NoError(t, json.Indent(&text, answer.Body, "", "  "))
	}
	return strings.TrimSpace(fmt.Sprint(answer.Status, "\n", s.told(t, text.String())))
}

// real is a text of the page with real ids and tokens in it.
func (s *stage) real(text string) string {
	tokens := make([]string, 0, 6)
	for _, name := range []string{"opaque-cursor", "opaque-next_cursor", "opaque-next"} {
		tokens = append(tokens, name, s.ids[name])
	}
	text = strings.NewReplacer(tokens...).Replace(text)
	return anyID.ReplaceAllStringFunc(text, func(name string) string { return s.ids[name] })
}

// told is an answer as the page would have it.
func (s *stage) told(t *testing.T, answer string) string {
	t.Helper()
	answer = anyToken.ReplaceAllStringFunc(answer, func(field string) string {
		parts := strings.Split(field, `"`) // "", the field, ": ", the token, ""
		s.ids["opaque-"+parts[1]] = parts[3]
		return fmt.Sprintf("%q: %q", parts[1], "opaque-"+parts[1])
	})
	answer = anyID.ReplaceAllStringFunc(answer, func(id string) string {
		if s.names[id] == "" {
			kind, _, _ := strings.Cut(id, "_")
			n := 1
			for s.ids[fmt.Sprint(kind, "_", n)] != "" {
				n++
			}
			s.call(id, fmt.Sprint(kind, "_", n))
		}
		return s.names[id]
	})
	opening, _ := onPage(t, "20:00:00")
	return anyTime.ReplaceAllStringFunc(answer, func(text string) string {
		at, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return opening.Add(at.Sub(s.opened)).Format("2006-01-02T15:04:05.000Z")
	})
}

// Every path answers its example with the same bytes: each field, in its place.
func TestExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("testdata/examples.txt")
	require.NoError(t, err)
	s := newStage(t, "agt_owner", "agt_member", "agt_member1", "agt_member2", "agt_other", "agt_target")
	_, examples, _ := strings.Cut("\n"+string(page), "\n### ")
	for example := range strings.SplitSeq(examples, "\n### ") {
		title, exchange, _ := strings.Cut(example, "\n\n")
		request, answer, _ := strings.Cut(exchange, "\n\n")
		require.Equal(t, strings.TrimSpace(answer), s.play(t, request), title)
	}
}
