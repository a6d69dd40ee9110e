package chat

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"errors"
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

const (
	// together is how many conversations are read at once for one page.
	together = 8
	// chunk is the least number of messages that are read of one.
	chunk = 8
)

// A TimelinePosition is the place of a message among all that an account sees:
// newest first by time, then by conversation and number.
type TimelinePosition struct {
	At           time.Time
	Conversation id.Conversation
	Seq          int64
}

func timelineOf(m sequence.Message) TimelinePosition {
	return TimelinePosition{m.CreatedAt, m.ID.Conversation, m.ID.Seq}
}

// newer reports whether p stands before q, newest first.
func (p TimelinePosition) newer(q TimelinePosition) bool {
	return cmp.Or(p.At.Compare(q.At), bytes.Compare(p.Conversation[:], q.Conversation[:]), cmp.Compare(p.Seq, q.Seq)) > 0
}

// A Timeline is a page over all conversations of an account.
type Timeline struct {
	Messages []sequence.Message
	More     bool
	Next     Next
}

// A Page is where a walk over all conversations goes on: behind a message, and
// with the next of its first page, so that what was committed during the walk
// is not jumped over.
type Page struct {
	Behind TimelinePosition
	Next   Next
}

// Timeline gives at most limit messages of all the caller's conversations,
// newest first; from is nil for the first page. It reads the conversations that
// have part in the page, each by bounded ranges.
func (s *Service) Timeline(ctx context.Context, caller id.Account, from *Page, limit int) (Timeline, error) {
	at := s.Feed.Applied()
	var behind *TimelinePosition
	if from != nil {
		at, behind = from.Next.Position, &from.Behind
	}
	entries, err := s.entries(ctx, caller, at)
	if err != nil {
		return Timeline{}, err
	}
	if from != nil {
		if entries, err = s.begun(ctx, caller, entries, *from); err != nil {
			return Timeline{}, err
		}
	}
	blocked, err := s.blockedBy(ctx, caller)
	if err != nil {
		return Timeline{}, err
	}
	walk, err := s.walk(ctx, active(entries), behind)
	if err != nil {
		return Timeline{}, err
	}
	walk.hidden = func(ctx context.Context, c id.Conversation) ([]id.Account, error) { return s.hiddenIn(ctx, c, blocked) }
	page, err := walk.take(ctx, limit+1)
	if err != nil {
		return Timeline{}, fmt.Errorf("read the messages of %s: %w", caller, err)
	}
	t := Timeline{Messages: page, More: len(page) > limit}
	if t.More {
		t.Messages = page[:limit]
	}
	if from != nil {
		t.Next = from.Next
	} else {
		t.Next = Next{Position: at, Above: s.above(page, at)}
	}
	return t, nil
}

// begun has the walk go on in every conversation of which its first page showed
// what the feed had not told: another server may not have heard of it, and by
// next it is not told again.
func (s *Service) begun(ctx context.Context, caller id.Account, entries []lists.Entry, from Page) ([]lists.Entry, error) {
	unheard := maps.Clone(from.Next.Above)
	reached := func(c id.Conversation, seq int64) lists.Entry { // newer than what is behind, as it was shown
		return lists.Entry{Conversation: c, Last: sequence.Place{Seq: seq, At: from.Behind.At.Add(time.Millisecond)}}
	}
	for i, e := range entries {
		if seq := unheard[e.Conversation]; seq > e.Last.Seq {
			entries[i].Last = reached(e.Conversation, seq).Last
		}
		delete(unheard, e.Conversation)
	}
	for c, seq := range unheard {
		_, err := s.Rights.member(ctx, c, caller)
		if errors.Is(err, fault.ErrNotFound) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, reached(c, seq))
	}
	return entries, nil
}

// above names the conversations of which the newest messages are on a first
// page and may stand behind the feed's position already.
func (s *Service) above(page []sequence.Message, at events.Position) map[id.Conversation]int64 {
	newest := map[id.Conversation]int64{}
	for _, m := range page {
		if !m.CreatedAt.Before(at.Time().Add(-lookBack)) {
			newest[m.ID.Conversation] = max(newest[m.ID.Conversation], m.ID.Seq)
		}
	}
	maps.DeleteFunc(newest, func(c id.Conversation, seq int64) bool { return s.Feed.Told(c, seq, at) })
	return newest
}

// entries are the caller's conversations as they were at a position or later,
// from memory where it can be trusted.
func (s *Service) entries(ctx context.Context, caller id.Account, at events.Position) ([]lists.Entry, error) {
	reason := s.trusted(ctx, at)
	if reason == "" {
		return s.Lists.Of(ctx, caller)
	}
	if err := s.distrust(reason); err != nil {
		return nil, err
	}
	views, err := s.Store.Views(ctx, caller, nil, 0)
	if err != nil {
		return nil, err
	}
	entries := make([]lists.Entry, len(views))
	for i, v := range views {
		entries[i] = lists.Entry{Conversation: v.ID, CreatedAt: v.CreatedAt, Last: v.Last, Read: v.Read}
	}
	return entries, nil
}

// trusted is "" where memory has everything up to a position, otherwise why
// not, as Feed.Healthy has it.
func (s *Service) trusted(ctx context.Context, at events.Position) string {
	if reason := s.Feed.Healthy(); reason != "" {
		return reason
	}
	if _, err := s.Feed.Wait(ctx, at); err != nil {
		return "behind"
	}
	return s.Feed.Healthy()
}

// source is one conversation of a walk.
type source struct {
	conversation id.Conversation
	below        int64              // numbers from here on were taken
	bound        TimelinePosition   // nothing that is still to come is newer
	wide         int64              // how many times wider the next range is; 0 before the first
	hidden       []id.Account       // senders whose messages are left out
	rows         []sequence.Message // read and not taken yet, newest first
}

// walk merges conversations; the source with the newest bound comes first.
type walk struct {
	store   Store
	hidden  func(context.Context, id.Conversation) ([]id.Account, error)
	sources []*source
}

func (w *walk) Len() int           { return len(w.sources) }
func (w *walk) Less(i, j int) bool { return w.sources[i].bound.newer(w.sources[j].bound) }
func (w *walk) Swap(i, j int)      { w.sources[i], w.sources[j] = w.sources[j], w.sources[i] }
func (w *walk) Push(x any)         { w.sources = append(w.sources, x.(*source)) }
func (w *walk) Pop() any {
	last := w.sources[len(w.sources)-1]
	w.sources = w.sources[:len(w.sources)-1]
	return last
}

// walk begins at the newest messages, or behind a position. A conversation
// that has become active since then is entered where it was at that time.
func (s *Service) walk(ctx context.Context, entries []lists.Entry, behind *TimelinePosition) (*walk, error) {
	w := &walk{store: s.Store}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for _, e := range entries {
		top := TimelinePosition{e.Last.At, e.Conversation, e.Last.Seq}
		if behind == nil || behind.newer(top) {
			w.sources = append(w.sources, &source{conversation: e.Conversation, below: e.Last.Seq + 1, bound: top})
			continue
		}
		entered := &source{conversation: e.Conversation, bound: *behind}
		w.sources = append(w.sources, entered)
		if e.Conversation == behind.Conversation {
			entered.below = behind.Seq
			continue
		}
		group.Go(func() error {
			at := behind.At
			if bytes.Compare(e.Conversation[:], behind.Conversation[:]) > 0 {
				at = at.Add(-time.Millisecond) // of the same instant they stand before it
			}
			seq, err := s.Store.SeqAt(ctx, e.Conversation, at)
			entered.below = seq + 1
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	w.sources = slices.DeleteFunc(w.sources, func(s *source) bool { return s.below <= 1 })
	heap.Init(w)
	return w, nil
}

// take gives the next n messages.
func (w *walk) take(ctx context.Context, n int) ([]sequence.Message, error) {
	page := make([]sequence.Message, 0, n)
	for len(page) < n && w.Len() > 0 {
		if len(w.sources[0].rows) == 0 {
			if err := w.read(ctx, n-len(page)); err != nil {
				return nil, err
			}
			continue
		}
		first := w.sources[0]
		page = append(page, first.rows[0])
		first.rows = first.rows[1:]
		first.settle()
		w.fix()
	}
	return page, nil
}

// settle sets the bound to what comes next.
func (s *source) settle() {
	if len(s.rows) > 0 {
		s.bound = timelineOf(s.rows[0])
		return
	}
	s.bound.Seq = s.below - 1 // not newer than the last one
}

// fix puts the first source where it belongs, or away when it is used up.
func (w *walk) fix() {
	if first := w.sources[0]; len(first.rows) == 0 && first.below <= 1 {
		heap.Pop(w)
		return
	}
	heap.Fix(w, 0)
}

// read fetches rows for the first sources that have none, as many messages in
// all as are still missing and at least a chunk of each.
func (w *walk) read(ctx context.Context, missing int) error {
	var empty []*source
	for w.Len() > 0 && len(empty) < together && len(w.sources[0].rows) == 0 {
		empty = append(empty, heap.Pop(w).(*source))
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range empty {
		group.Go(func() error {
			return w.readOne(ctx, s, max(chunk, missing/len(empty)+1))
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, s := range empty {
		if len(s.rows) > 0 || s.below > 1 {
			heap.Push(w, s)
		}
	}
	return nil
}

// readOne reads a range that has as many places as messages are wanted. Where
// messages were withdrawn or are hidden, the next range of the same source is
// wider, so that few reads pass however many.
func (w *walk) readOne(ctx context.Context, s *source, size int) (err error) {
	if s.wide == 0 {
		s.wide = 1
		if s.hidden, err = w.hidden(ctx, s.conversation); err != nil {
			return err
		}
	}
	above := max(0, s.below-1-s.wide*int64(size))
	if s.rows, err = w.store.History(ctx, s.conversation, above, s.below-1, size, s.hidden...); err != nil {
		return err
	}
	if s.below = above + 1; len(s.rows) == size {
		s.below = s.rows[size-1].ID.Seq
	} else {
		s.wide *= wideSpan
	}
	s.settle()
	return nil
}
