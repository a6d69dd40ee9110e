package chat

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

// lookBack is how far before a position's time messages are looked for when
// the feed no longer reaches back to it: a message becomes visible at most
// this long after the moment that it carries: a batch has 20 s, and a replica
// whose clock is 30 s wrong sends nothing.
const lookBack = time.Minute

// A Next is where exact catch-up goes on: everything that the feed carries
// behind a position, but of some conversations only what is above a number,
// because the rest was shown already.
type Next struct {
	Position events.Position
	Above    map[id.Conversation]int64
	// Walk is set while what lies before Position is read from the database,
	// because the feed no longer had it: the last message that was shown.
	Walk *TimelinePosition
}

// After gives at most limit messages that were committed behind next, oldest
// first, in all of the caller's conversations, or in one. Without any it waits
// for the first, up to wait. fault.ErrUnavailable where this replica does not
// hear the feed.
func (s *Service) After(
	ctx context.Context, caller id.Account, only *id.Conversation, next Next, limit int, wait time.Duration,
) (Timeline, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		snapshot, err := s.seen(ctx, caller, only, next)
		if err != nil {
			return Timeline{}, err
		}
		found, err := s.behind(ctx, snapshot.Entries, next, limit)
		if err == nil {
			found.Messages, err = s.shownTo(ctx, caller, found.Messages)
		}
		if err == nil && len(found.Messages) == 0 && found.More { // all were hidden or withdrawn
			next = found.Next
			continue
		}
		if err != nil || len(found.Messages) > 0 || wait == 0 {
			return found, err
		}
		select {
		case <-snapshot.Changed:
		case <-deadline.C:
			return found, nil
		case <-ctx.Done():
			return found, nil
		}
	}
}

// seen gives the conversations to look into, once the feed has come to next.
func (s *Service) seen(ctx context.Context, caller id.Account, only *id.Conversation, next Next) (lists.Snapshot, error) {
	if reason := s.Feed.Healthy(); reason != "" {
		s.Distrusted(reason)
		return lists.Snapshot{}, fault.ErrUnavailable.Say("New messages cannot be told at the moment; try again.")
	}
	if err := s.Feed.Wait(ctx, next.Position); err != nil {
		return lists.Snapshot{}, err
	}
	snapshot, err := s.Lists.Of(ctx, caller)
	if err != nil || only == nil {
		return snapshot, err
	}
	snapshot.Entries = slices.DeleteFunc(snapshot.Entries, func(e lists.Entry) bool { return e.Conversation != *only })
	if len(snapshot.Entries) == 0 {
		return snapshot, fault.ErrNotFound
	}
	return snapshot, nil
}

func (s *Service) behind(ctx context.Context, entries []lists.Entry, next Next, limit int) (Timeline, error) {
	if next.Walk == nil {
		if found, ok := s.fromFeed(entries, next, limit); ok {
			return found, nil
		}
		start := TimelinePosition{At: next.Position.Time().Add(-lookBack)}
		next = Next{Position: s.Feed.Applied(), Walk: &start}
	}
	return s.fromRows(ctx, entries, next, limit)
}

// fromFeed takes messages out of the feed's ring; false where it does not
// reach back.
func (s *Service) fromFeed(entries []lists.Entry, next Next, limit int) (Timeline, bool) {
	mine := make(map[id.Conversation]bool, len(entries))
	for _, e := range entries {
		mine[e.Conversation] = true
	}
	sent, upTo, ok := s.Feed.Since(next.Position, limit+1, func(e events.Event) bool {
		return e.Kind == events.MessageSent && mine[e.Conversation] && e.Message.ID.Seq > next.Above[e.Conversation]
	})
	if !ok {
		return Timeline{}, false
	}
	found := Timeline{More: len(sent) > limit, Next: Next{Position: upTo}}
	if found.More {
		sent = sent[:limit]
		found.Next.Position = sent[limit-1].Position
	}
	if found.Next.Position.Before(next.Position) {
		found.Next.Position = next.Position
	}
	found.Next.Above = stillAbove(next.Above, sent)
	found.Messages = s.asTheyAre(sent)
	return found, true
}

// stillAbove keeps the numbers that the feed has not told yet.
func stillAbove(numbers map[id.Conversation]int64, sent []events.Event) map[id.Conversation]int64 {
	still := map[id.Conversation]int64{}
	for c, seq := range numbers {
		if !slices.ContainsFunc(sent, func(e events.Event) bool { return e.Conversation == c }) {
			still[c] = seq
		}
	}
	return still
}

// asTheyAre gives the messages with what was changed about them since.
func (s *Service) asTheyAre(sent []events.Event) []sequence.Message {
	if len(sent) == 0 {
		return nil
	}
	at := make(map[id.Message]int, len(sent))
	messages := make([]sequence.Message, len(sent))
	for i, e := range sent {
		at[e.Message.ID], messages[i] = i, *e.Message
	}
	s.Feed.Since(sent[0].Position, len(sent), func(e events.Event) bool {
		if e.Kind == events.MessageChanged {
			if i, ok := at[e.Message.ID]; ok {
				messages[i] = *e.Message
			}
		}
		return false
	})
	return slices.DeleteFunc(messages, func(m sequence.Message) bool { return m.Withdrawn })
}

// fromRows reads what was created since an instant, oldest first.
func (s *Service) fromRows(ctx context.Context, entries []lists.Entry, next Next, limit int) (Timeline, error) {
	walk := *next.Walk
	rows := make([][]sequence.Message, len(entries))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for i, e := range entries {
		if e.Last.Seq == 0 || e.Last.At.Before(walk.At) {
			continue
		}
		from, above := walk.entry(e.Conversation)
		group.Go(func() (err error) {
			rows[i], err = s.Store.CreatedSince(inner, e.Conversation, from, above, limit+1)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Timeline{}, fmt.Errorf("read what was created since %s: %w", walk.At, err)
	}
	all := slices.Concat(rows...)
	slices.SortFunc(all, func(a, b sequence.Message) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt),
			bytes.Compare(a.ID.Conversation[:], b.ID.Conversation[:]), cmp.Compare(a.ID.Seq, b.ID.Seq))
	})
	if len(all) <= limit {
		return Timeline{Messages: all, Next: Next{Position: next.Position}}, nil
	}
	last := timelineOf(all[limit-1])
	return Timeline{Messages: all[:limit], More: true, Next: Next{Position: next.Position, Walk: &last}}, nil
}

// entry is where a conversation goes on, oldest first, behind p: messages of
// an instant and later, above a number. Those of one instant stand in the
// order of their conversations.
func (p TimelinePosition) entry(c id.Conversation) (from time.Time, above int64) {
	switch order := bytes.Compare(c[:], p.Conversation[:]); {
	case order == 0:
		return p.At, p.Seq
	case order < 0 && p.Seq > 0:
		return p.At.Add(time.Millisecond), 0
	}
	return p.At, 0
}
