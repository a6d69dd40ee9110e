package chatsvc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func (p person) edits(t *testing.T, m *svctest.Response) *svctest.Response {
	t.Helper()
	return p.do(t, "PUT", messagePath(m), object{"content": "Updated text"})
}

func (p person) deletes(t *testing.T, m *svctest.Response) *svctest.Response {
	t.Helper()
	return p.do(t, "DELETE", messagePath(m), nil)
}

func (p person) withdraws(t *testing.T, m *svctest.Response) *svctest.Response {
	t.Helper()
	return p.do(t, "DELETE", messagePath(m), withdrawal())
}

func TestWindows(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t)
	conversation := p.ann.group(t, p.bob.id)
	tests := []struct {
		name   string
		act    func(person, *testing.T, *svctest.Response) *svctest.Response
		age    time.Duration
		status int
		code   string
	}{
		{"an edit at once", person.edits, 0, 200, ""},
		{"an edit in the last millisecond", person.edits, 15 * time.Minute, 200, ""},
		{"an edit a millisecond late", person.edits, 15*time.Minute + time.Millisecond, 403, "EDIT_WINDOW_EXPIRED"},
		{"an edit months late", person.edits, 24 * 90 * time.Hour, 403, "EDIT_WINDOW_EXPIRED"},
		{"a withdrawal at once", person.withdraws, 0, 200, ""},
		{"a withdrawal in the last millisecond", person.withdraws, 2 * time.Minute, 200, ""},
		{"a withdrawal a millisecond late", person.withdraws, 2*time.Minute + time.Millisecond, 403, "WITHDRAW_WINDOW_EXPIRED"},
		{"a deletion knows no window", person.deletes, 24 * 90 * time.Hour, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sent := p.ann.say(t, conversation, "Hello!")
			clock.advance(tt.age)
			answer := tt.act(p.ann, t, sent)
			require.Equal(t, tt.status, answer.Status, "%s", answer.Body)
			require.Equal(t, tt.code, answer.Text("error.code"))
		})
	}
}

func TestWhatWindowsLeaveAlone(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t)
	conversation := p.ann.group(t, p.bob.id)
	t.Run("who may not is told so, early or late", func(t *testing.T) {
		sent := p.ann.say(t, conversation, "Hello!")
		clock.advance(time.Hour)
		require.Equal(t, "FORBIDDEN", p.bob.edits(t, sent).Text("error.code"))
		require.Equal(t, "FORBIDDEN", p.bob.withdraws(t, sent).Text("error.code"))
	})
	t.Run("an edit that changes nothing is late first", func(t *testing.T) {
		sent := p.ann.say(t, conversation, "Updated text")
		clock.advance(time.Hour)
		require.Equal(t, "EDIT_WINDOW_EXPIRED", p.ann.edits(t, sent).Text("error.code"))
	})
	t.Run("an edit does not open the windows again", func(t *testing.T) {
		sent := p.ann.say(t, conversation, "Hello!")
		clock.advance(2 * time.Minute)
		require.Equal(t, 200, p.ann.edits(t, sent).Status)
		clock.advance(time.Millisecond)
		require.Equal(t, 403, p.ann.withdraws(t, sent).Status)
	})
	t.Run("what is withdrawn stays so, and may be repeated late", func(t *testing.T) {
		sent := p.ann.say(t, conversation, "Hello!")
		require.Equal(t, 200, p.ann.withdraws(t, sent).Status)
		clock.advance(time.Hour)
		require.Equal(t, 200, p.ann.withdraws(t, sent).Status)
	})
}
