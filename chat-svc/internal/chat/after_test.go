package chat_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
)

// Catching up by rows gives everything once and in order, and what a page reads
// grows with the page, not with what was said in each conversation since.
func TestCatchingUpByRowsReadsLittle(t *testing.T) {
	t.Parallel()
	const conversations, each, limit = 24, 6, 2
	r := newReplica(t)
	groups := make([]id.Conversation, conversations)
	for n := range groups {
		made, err := r.Create(t.Context(), account(1), chat.NewConversation{Type: chat.Group, Members: []id.Account{account(2)}})
		require.NoError(t, err)
		groups[n] = made.ID
	}
	start := chat.TimelinePosition{At: r.clock.Now().UTC().Truncate(time.Millisecond)}
	var said []string
	for n := range conversations * each {
		r.clock.Advance(time.Millisecond)
		said = append(said, fmt.Sprint(n))
		_, err := r.Send(t.Context(), account(1+n%2), chat.NewMessage{Conversation: &groups[n%conversations], Content: said[n]})
		require.NoError(t, err)
	}
	var told []string
	next := chat.Next{Walk: &start}
	for next.Walk != nil {
		r.slow.rows.Store(0)
		var page chat.Timeline
		require.Eventually(t, func() (heard bool) {
			var err error
			page, err = r.After(t.Context(), account(2), nil, next, limit, 0)
			return err == nil
		}, 20*time.Second, time.Millisecond)
		for _, m := range page.Messages {
			told = append(told, m.Body.Content)
		}
		require.LessOrEqual(t, len(page.Messages), limit)
		require.LessOrEqual(t, r.slow.rows.Load(), int64(8*(limit+1)+conversations-8),
			"a page of each of those that are read at first, and of the others what stands before its end")
		require.Equal(t, page.More, page.Next.Walk != nil)
		next = page.Next
	}
	require.Equal(t, said, told)
}

// A walk does not tell what was committed behind its position: of what was
// created earlier and committed late it may have passed the place already, and
// the feed tells all of it afterwards, in order.
func TestAWalkLeavesTheFeedWhatItTellsAfterwards(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	begun, err := r.Timeline(t.Context(), account(2), nil, 10)
	require.NoError(t, err)
	_, err = r.Send(t.Context(), account(1), chat.NewMessage{Conversation: &r.group, Content: "first"})
	require.NoError(t, err)
	walked := r.afterOne(t, begun.Next)
	require.Len(t, walked.Messages, 1)

	session, err := r.store.Begin()
	require.NoError(t, err)
	defer session.End()
	late, later := walked.Messages[0], walked.Messages[0]
	late.ID.Seq, late.Body.Content = 2, "late"
	later.ID.Seq, later.Body.Content, later.CreatedAt = 3, "later", late.CreatedAt.Add(10*time.Millisecond)
	_, err = session.Insert(t.Context(), []sequence.Message{late, later})
	require.NoError(t, err)

	heard := r.afterOne(t, walked.Next)
	for len(heard.Messages) < 2 {
		more := r.afterOne(t, heard.Next)
		heard.Messages, heard.Next = append(heard.Messages, more.Messages...), more.Next
	}
	require.Equal(t, []string{"late", "later"}, []string{heard.Messages[0].Body.Content, heard.Messages[1].Body.Content})

	next := chat.Next{Position: walked.Next.Position, Walk: &chat.TimelinePosition{At: late.CreatedAt.Add(5 * time.Millisecond)}}
	page, err := r.After(t.Context(), account(1), nil, next, 10, 0)
	require.NoError(t, err)
	require.Empty(t, page.Messages, "it has passed the one, and does not tell the other before it")
	require.Equal(t, chat.Next{Position: walked.Next.Position}, page.Next)
}

// afterOne asks until there is a message at least.
func (r *replica) afterOne(t *testing.T, next chat.Next) (page chat.Timeline) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		page, err = r.After(t.Context(), account(2), nil, next, 10, 0)
		return err == nil && len(page.Messages) > 0
	}, 20*time.Second, time.Millisecond)
	return page
}

func (s *slow) CreatedSince(
	ctx context.Context, c id.Conversation, at, upTo time.Time, above int64, limit int, hidden ...id.Account,
) ([]sequence.Message, error) {
	found, err := s.Store.CreatedSince(ctx, c, at, upTo, above, limit, hidden...)
	s.rows.Add(int64(len(found)))
	return found, err
}
