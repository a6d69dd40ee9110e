package crash_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A summary is a conversation in the list of them.
type summary struct {
	ID            string `json:"conversation_id"`
	LastMessageAt string `json:"last_message_at"`
	LastSeq       int64  `json:"last_seq"`
}

// audit holds histories, readers and lists of conversations to what was sent.
func (r *round) audit(ctx context.Context, t *testing.T) {
	t.Helper()
	rows := map[string][]row{}    // by conversation
	last := map[string]string{}   // when the last message was sent, by conversation
	mine := map[string][]string{} // conversations by account
	for _, a := range r.accounts {
		for _, c := range r.listed(t, a.Name) {
			mine[a.Name] = append(mine[a.Name], c.ID)
			if _, done := rows[c.ID]; done {
				continue
			}
			r.must(t, http.StatusOK, request{method: "GET", path: "/api/conversations/" + c.ID, account: a.Name}, &c)
			rows[c.ID] = r.history(t, a.Name, c.ID)
			require.NoError(t, check(c, rows[c.ID], r.sent), "in %s", c.ID)
			r.tally.rows += len(rows[c.ID])
		}
	}
	r.tally.conversations = len(rows)
	for _, m := range r.sent {
		last[m.place.Conversation] = max(last[m.place.Conversation], m.place.CreatedAt)
	}
	for _, reader := range r.readers {
		for _, c := range mine[reader.account] {
			if reader.follows(c) {
				r.until(ctx, t, func() error { return reader.missed(rows[c]) })
			}
		}
		r.tally.told += reader.told()
	}
	for _, a := range r.accounts {
		r.until(ctx, t, func() error { return repaired(r.listed(t, a.Name), last) })
	}
}

func (r *round) listed(t *testing.T, account string) []summary {
	t.Helper()
	var got struct {
		Conversations []summary `json:"conversations"`
	}
	r.must(t, http.StatusOK, request{method: "GET", path: "/api/conversations?limit=100", account: account}, &got)
	return got.Conversations
}

// history walks a conversation and gives it oldest first.
func (r *round) history(t *testing.T, account, conversation string) (all []row) {
	t.Helper()
	for cursor, more := "", true; more; {
		var got page
		path := "/api/conversations/" + conversation + "/messages?limit=100&cursor=" + url.QueryEscape(cursor)
		r.must(t, http.StatusOK, request{method: "GET", path: path, account: account}, &got)
		all = append(all, got.Messages...)
		cursor, more = got.Cursor, got.HasMore
	}
	slices.Reverse(all)
	return all
}

// check holds what a conversation tells of itself, and lists, oldest first, to
// everything that was sent in the round, by text. A message that was not
// acknowledged is given the place where it stands.
func check(c summary, rows []row, sent map[string]*message) error {
	acknowledged := map[string]*message{} // by id
	shown := map[string]*message{}        // by what lists show
	for _, m := range sent {
		if m.met != 0 {
			acknowledged[m.place.ID] = m
		}
		shown[m.shows()] = m
	}
	placed := map[int64]*message{}
	for _, r := range rows {
		m := acknowledged[r.ID]
		if m == nil {
			m = shown[r.Content]
		}
		if err := r.holds(m); err != nil {
			return err
		}
		if placed[r.Seq] != nil {
			return fmt.Errorf("number %d stands twice", r.Seq)
		}
		delete(shown, m.shows())
		m.place = r.place
		placed[r.Seq] = m
	}
	for _, m := range acknowledged {
		if m.place.Conversation == c.ID && placed[m.place.Seq] != m {
			if !m.withdrawn {
				return fmt.Errorf("%q, acknowledged at number %d, is lost", m.text, m.place.Seq)
			}
			placed[m.place.Seq] = m
		}
	}
	return inOrder(placed, c.LastSeq)
}

// holds tells what is wrong with a row of a message.
func (r row) holds(m *message) error {
	switch {
	case m == nil:
		return fmt.Errorf("%q, number %d, stands twice, or nobody sent it", r.Content, r.Seq)
	case m.met == 0 && !m.gaveUp:
		return fmt.Errorf("%q was neither acknowledged nor given up", m.text)
	case m.met != 0 && m.place != r.place:
		return fmt.Errorf("%q was acknowledged at %+v and stands at %+v", m.text, m.place, r.place)
	case m.withdrawn:
		return fmt.Errorf("%q, number %d, is shown although it was withdrawn", m.text, r.Seq)
	case r.Content != m.shows() || r.Deleted != m.deleted:
		return fmt.Errorf("%q, number %d, shows %q (deleted: %t)", m.text, r.Seq, r.Content, r.Deleted)
	case r.Sender != m.sender:
		return fmt.Errorf("%q of %s is shown as one of %s", m.text, m.sender, r.Sender)
	case m.group != "" && m.group != r.Conversation:
		return fmt.Errorf("%q stands in %s, not in %s", m.text, r.Conversation, m.group)
	}
	return nil
}

// inOrder holds numbers to have no gap, times not to run back, and the order
// to be that of acknowledgements: no message was acknowledged before one that
// stands ahead of it was handed in.
func inOrder(placed map[int64]*message, lastSeq int64) error {
	time, latest := "", int64(0)
	for seq := int64(1); seq <= int64(len(placed)); seq++ {
		m := placed[seq]
		switch {
		case m == nil:
			return fmt.Errorf("number %d is a gap: %d messages stand here", seq, len(placed))
		case m.place.CreatedAt < time:
			return fmt.Errorf("time runs back at number %d", seq)
		case m.met != 0 && m.met < latest:
			return fmt.Errorf("%q, number %d, stands behind a message that was handed in after it was acknowledged", m.text, seq)
		}
		time, latest = m.place.CreatedAt, max(latest, m.began)
	}
	if lastSeq != int64(len(placed)) {
		return fmt.Errorf("the conversation says that it ends at %d, and %d messages stand here", lastSeq, len(placed))
	}
	return nil
}

// repaired tells what is wrong with an account's list of conversations, given
// when the last message of each was sent.
func repaired(list []summary, last map[string]string) error {
	for _, c := range list {
		if c.LastMessageAt != last[c.ID] {
			return fmt.Errorf("the last message of %s is of %s, and the list has %s", c.ID, last[c.ID], c.LastMessageAt)
		}
	}
	if !slices.IsSortedFunc(list, func(a, b summary) int { return strings.Compare(b.LastMessageAt, a.LastMessageAt) }) {
		return fmt.Errorf("the list of conversations is not in order: %+v", list)
	}
	return nil
}
