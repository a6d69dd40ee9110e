package chat

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
)

// A ListPage is where a walk over a list of conversations goes on: behind a
// position, with no less known than the pages before were made of. So none
// is shown again where it stood before it became active.
type ListPage struct {
	Behind Position
	Known  events.Position
}

// Conversations gives at most limit of the caller's conversations, the most
// recently active first; from is nil for the first page. next is the following
// page; nil when there is none. A page that has one is not empty.
func (s *Service) Conversations(ctx context.Context, caller id.Account, from *ListPage, limit int) (page []View, next *ListPage, err error) {
	for {
		page, next, err = s.listPage(ctx, caller, from, limit)
		if err != nil || len(page) > 0 || next == nil {
			return page, next, err
		}
		from = next // all on it were closed a moment ago
	}
}

func (s *Service) listPage(ctx context.Context, caller id.Account, from *ListPage, limit int) (page []View, next *ListPage, err error) {
	known := s.Feed.Applied()
	var behind *Position
	if from != nil {
		behind = &from.Behind
		if known.Before(from.Known) {
			known = from.Known
		}
	}
	reason := s.trusted(ctx, known)
	if reason == "" {
		page, err = s.listed(ctx, caller, behind, limit+1)
	} else if err = s.distrust(reason); err == nil {
		page, err = s.views(ctx, caller, behind, limit+1)
	}
	if err != nil {
		return nil, nil, err
	}
	if len(page) > limit {
		page = page[:limit]
		next = &ListPage{Behind: page[limit-1].Position(), Known: known}
	}
	if reason == "" {
		page, err = s.fill(ctx, page)
	}
	for i := range page {
		page[i] = s.withMark(caller, page[i])
	}
	return page, next, err
}

// distrust comes before a look at the database for what memory would have.
func (s *Service) distrust(reason string) error {
	s.Distrusted(reason)
	return s.Store.Reachable()
}

// views reads a page; its reader takes a place among those who read much.
func (s *Service) views(ctx context.Context, caller id.Account, behind *Position, limit int) ([]View, error) {
	release, err := s.Reading(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return s.Store.Views(ctx, caller, behind, limit)
}

// listed makes a page in memory, with what lists keep of each conversation.
func (s *Service) listed(ctx context.Context, caller id.Account, behind *Position, limit int) ([]View, error) {
	entries, err := s.Lists.Of(ctx, caller)
	if err != nil {
		return nil, err
	}
	views := make([]View, 0, len(entries))
	for _, e := range entries {
		v := View{Conversation: Conversation{ID: e.Conversation, CreatedAt: e.CreatedAt}, Last: e.Last, Read: e.Read}
		if behind == nil || v.Position().compare(*behind) > 0 {
			views = append(views, v)
		}
	}
	slices.SortFunc(views, func(a, b View) int { return a.Position().compare(b.Position()) })
	return views[:min(len(views), limit)], nil
}

// fill reads the conversations of views that only have what lists keep, and
// leaves out those that are closed.
func (s *Service) fill(ctx context.Context, views []View) ([]View, error) {
	if len(views) == 0 {
		return views, nil
	}
	wanted := make([]id.Conversation, len(views))
	for i, v := range views {
		wanted[i] = v.ID
	}
	found, err := s.Store.Conversations(ctx, wanted)
	if err != nil {
		return nil, err
	}
	filled := views[:0]
	for _, v := range views {
		if c, ok := found[v.ID]; ok {
			v.Conversation = c
			filled = append(filled, v)
		}
	}
	return filled, nil
}

// staleAfter is how long conversation documents may lack a message before
// senders are told that the order of lists is stale (docs/api/chat.md).
const staleAfter = 5 * time.Second

// ListsAreStale tells whether the order of conversations, as the database has
// it, lags behind what was sent. It repairs itself.
func (s *Service) ListsAreStale() bool { return s.Feed.Behind() > staleAfter }

// ListVersion is the version of what the caller's lists show, and whether it is
// known: the account's lists are in memory, and memory is trusted.
func (s *Service) ListVersion(caller id.Account) (uint64, bool) {
	if s.Feed.Healthy() != "" {
		return 0, false
	}
	return s.Lists.Version(caller)
}

// Track keeps the caller's lists in memory from now on, where memory is trusted,
// so that their version is known when they are asked for again. It costs reads
// where they are not there yet.
func (s *Service) Track(ctx context.Context, caller id.Account) {
	if s.Feed.Healthy() == "" {
		s.Lists.Track(ctx, caller)
	}
}

// compare orders positions as lists do: newest first.
func (p Position) compare(q Position) int {
	return cmp.Or(q.At.Compare(p.At), bytes.Compare(q.ID[:], p.ID[:]))
}

// active gives the caller's conversations that have messages, most recently
// active first.
func active(entries []lists.Entry) []lists.Entry {
	spoken := slices.DeleteFunc(slices.Clone(entries), func(e lists.Entry) bool { return e.Last.Seq == 0 })
	slices.SortFunc(spoken, func(a, b lists.Entry) int {
		return cmp.Or(b.Last.At.Compare(a.Last.At), bytes.Compare(b.Conversation[:], a.Conversation[:]))
	})
	return spoken
}
