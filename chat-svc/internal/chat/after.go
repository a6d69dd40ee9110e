package chat

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

// lookBack is how far before a position's time messages behind it may be
// created: a message becomes visible at most the deadline of a batch (20 s)
// after the moment that it carries, and that is told by the clock of a replica,
// which may be 30 s behind the database's. A position has whole seconds.
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
// hear the feed, or no longer has what it told and Reading refuses.
func (s *Service) After(
	ctx context.Context, caller id.Account, only *id.Conversation, next Next, limit int, wait time.Duration,
) (Timeline, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	// What changes while it is looked closes the channel of the look before:
	// the first look waits for nothing.
	var changed <-chan struct{}
	for {
		found, changes, err := s.look(ctx, caller, only, next, limit)
		if err != nil || len(found.Messages) > 0 || wait == 0 {
			return found, err
		}
		next = found.Next
		if changed != nil {
			select {
			case <-changed:
			case <-deadline.C:
				return found, nil
			case <-ctx.Done():
				return found, nil
			}
		}
		changed = changes
	}
}

// look finds what there is at the moment; changes is closed when what the
// caller's lists show is changed.
func (s *Service) look(
	ctx context.Context, caller id.Account, only *id.Conversation, next Next, limit int,
) (found Timeline, changes <-chan struct{}, err error) {
	// First how far to look, then into which conversations: nothing up to there
	// happened in others.
	upTo, err := s.Feed.Wait(ctx, next.Position)
	if err != nil {
		return found, nil, err
	}
	entries, changes, err := s.seen(ctx, caller, only)
	if err != nil {
		return found, nil, err
	}
	blocked, err := s.blockedBy(ctx, caller)
	if err != nil {
		return found, nil, err
	}
	found, err = s.behind(ctx, entries, blocked, next, upTo, limit)
	return found, changes, err
}

// seen gives the conversations to look into, and what is closed when they
// change.
func (s *Service) seen(
	ctx context.Context, caller id.Account, only *id.Conversation,
) (entries []lists.Entry, changes <-chan struct{}, err error) {
	if reason := s.Feed.Healthy(); reason != "" {
		s.Distrusted(reason)
		return nil, nil, fault.ErrUnavailable.Say("New messages cannot be told at the moment; try again.")
	}
	entries, changes, err = s.Lists.Watch(ctx, caller)
	if err != nil || only == nil {
		return entries, changes, err
	}
	entries = slices.DeleteFunc(entries, func(e lists.Entry) bool { return e.Conversation != *only })
	if len(entries) == 0 {
		return nil, nil, fault.ErrNotFound
	}
	return entries, changes, nil
}

func (s *Service) behind(
	ctx context.Context, entries []lists.Entry, blocked []id.Account, next Next, upTo events.Position, limit int,
) (Timeline, error) {
	if next.Walk == nil {
		if told, ok := s.Feed.Between(next.Position, upTo); ok {
			return s.fromFeed(ctx, told, entries, blocked, next, upTo, limit)
		}
		start := TimelinePosition{At: next.Position.Time().Add(-lookBack)}
		next = Next{Position: upTo, Walk: &start}
	}
	return s.fromRows(ctx, entries, blocked, next, limit)
}

// fromFeed takes messages out of what the feed has told behind next, up to a
// position, each with what was told about it since.
func (s *Service) fromFeed(
	ctx context.Context, told []events.Event, entries []lists.Entry, blocked []id.Account, next Next, upTo events.Position, limit int,
) (Timeline, error) {
	mine := make(map[id.Conversation]bool, len(entries))
	for _, e := range entries {
		mine[e.Conversation] = true
	}
	veil := s.newVeil(blocked)
	changed := events.Changed(told)
	found := Timeline{Next: Next{Position: upTo, Above: maps.Clone(next.Above)}}
	var last events.Position
	for _, e := range told {
		if e.Kind != events.MessageSent || !mine[e.Conversation] || e.Message.ID.Seq <= next.Above[e.Conversation] {
			continue
		}
		m := cmp.Or(changed[e.Message.ID].Message, e.Message)
		if hidden, err := veil.hides(ctx, m); err != nil {
			return Timeline{}, err
		} else if hidden || m.Withdrawn {
			continue
		}
		if len(found.Messages) == limit {
			found.More, found.Next.Position = true, last
			break
		}
		found.Messages, last = append(found.Messages, *m), e.Position
	}
	maps.DeleteFunc(found.Next.Above, func(c id.Conversation, seq int64) bool {
		return s.Feed.Told(c, seq, found.Next.Position)
	})
	return found, nil
}

// fromRows reads what was created since an instant, oldest first. However many
// conversations were active since, it holds the rows of few at a time.
func (s *Service) fromRows(
	ctx context.Context, entries []lists.Entry, blocked []id.Account, next Next, limit int,
) (Timeline, error) {
	release, err := s.Reading(ctx)
	if err != nil {
		return Timeline{}, err
	}
	defer release()
	walk := *next.Walk
	active := slices.DeleteFunc(slices.Clone(entries), func(e lists.Entry) bool {
		return e.Last.Seq == 0 || e.Last.At.Before(walk.At)
	})
	// What was committed behind the position the feed tells afterwards, and in
	// order: the walk may have passed what was created earlier and committed late.
	told := make(map[id.Conversation]int64, len(active))
	for _, e := range active {
		told[e.Conversation] = e.Last.Seq
	}
	s.Feed.EndsAt(next.Position, told)
	var oldest []sequence.Message // of what was read so far
	for some := range slices.Chunk(active, together) {
		var upTo time.Time
		if len(oldest) > limit {
			upTo = oldest[limit].CreatedAt
		}
		found, err := s.createdSince(ctx, some, blocked, walk, upTo, limit+1)
		if err != nil {
			return Timeline{}, fmt.Errorf("read what was created since %s: %w", walk.At, err)
		}
		found = slices.DeleteFunc(found, func(m sequence.Message) bool { return m.ID.Seq > told[m.ID.Conversation] })
		oldest = append(oldest, found...)
		slices.SortFunc(oldest, func(a, b sequence.Message) int {
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt),
				bytes.Compare(a.ID.Conversation[:], b.ID.Conversation[:]), cmp.Compare(a.ID.Seq, b.ID.Seq))
		})
		oldest = slices.Clone(oldest[:min(len(oldest), limit+1)]) // lets go of the others
	}
	if len(oldest) <= limit {
		return Timeline{Messages: oldest, Next: Next{Position: next.Position}}, nil
	}
	last := timelineOf(oldest[limit-1])
	return Timeline{Messages: oldest[:limit], More: true, Next: Next{Position: next.Position, Walk: &last}}, nil
}

// createdSince reads the first of each of some conversations behind walk.
func (s *Service) createdSince(
	ctx context.Context, some []lists.Entry, blocked []id.Account, walk TimelinePosition, upTo time.Time, limit int,
) ([]sequence.Message, error) {
	rows := make([][]sequence.Message, len(some))
	group, ctx := errgroup.WithContext(ctx)
	for i, e := range some {
		from, above := walk.entry(e.Conversation)
		group.Go(func() error {
			hidden, err := s.hiddenIn(ctx, e.Conversation, blocked)
			if err != nil {
				return err
			}
			rows[i], err = s.Store.CreatedSince(ctx, e.Conversation, from, upTo, above, limit, hidden...)
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(rows...), err
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
