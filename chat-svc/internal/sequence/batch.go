package sequence

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

// commit writes one batch and sees to it that each of its sends is answered or
// waits again.
func (s *shard) commit(ctx context.Context, sends []*send) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	slices.SortStableFunc(sends, func(a, b *send) int {
		return bytes.Compare(a.draft.Conversation[:], b.draft.Conversation[:])
	})
	sends, run := s.place(s.locate(ctx, sends))
	if len(sends) == 0 {
		return
	}
	session, err := s.Store.Begin()
	if err != nil {
		s.refuse(sends, fault.ErrUnavailable.Because(err))
		return
	}
	defer session.End()

	begun := s.Now()
	outcome, err := session.Insert(ctx, run)
	s.Report(Report{
		Messages: len(run), Refusal: outcome.Refusal, Unknown: err != nil, Took: s.Now().Sub(begun),
	})
	if err != nil {
		s.lose(sends, err)
		return
	}
	s.stored(sends[:outcome.Stored], run[:outcome.Stored])
	if outcome.Refusal != None {
		s.settle(ctx, session, sends[outcome.Stored:], run[outcome.Stored], outcome)
	}
}

// locate reads the last places that are not known. Sends of a conversation
// whose place cannot be read are refused; the others are returned.
func (s *shard) locate(ctx context.Context, sends []*send) []*send {
	var (
		reads  sync.WaitGroup
		slots  = make(chan struct{}, maxReads)
		mu     sync.Mutex
		failed = map[id.Conversation]error{}
	)
	for i, w := range sends {
		c := w.draft.Conversation
		if i > 0 && sends[i-1].draft.Conversation == c {
			continue
		}
		if _, known := s.recall(c); known {
			continue
		}
		slots <- struct{}{}
		reads.Go(func() {
			defer func() { <-slots }()
			last, err := s.Store.LastPlace(ctx, c)
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[c] = err
				return
			}
			s.confirm(c, last)
		})
	}
	reads.Wait()
	return slices.DeleteFunc(sends, func(w *send) bool {
		err, lost := failed[w.draft.Conversation]
		if lost {
			s.refuse([]*send{w}, fault.ErrUnavailable.Because(err))
		}
		return lost
	})
}

// place gives each send the next place of its conversation. What is no longer
// known, because memory is bounded, waits again.
func (s *shard) place(sends []*send) ([]*send, []Message) {
	now := s.Now().UTC().Truncate(time.Millisecond)
	var (
		placed  = make([]*send, 0, len(sends))
		run     = make([]Message, 0, len(sends))
		again   []*send
		current id.Conversation
		last    Place
		known   bool
	)
	for i, w := range sends {
		if c := w.draft.Conversation; i == 0 || c != current {
			current = c
			last, known = s.recall(c)
		}
		if !known {
			again = append(again, w)
			continue
		}
		last.Seq++
		if now.After(last.At) {
			last.At = now
		}
		placed = append(placed, w)
		run = append(run, Message{
			ID:     id.Message{Conversation: current, Seq: last.Seq},
			Sender: w.draft.Sender, Body: w.draft.Body, CreatedAt: last.At,
			Key: w.draft.Key, Fingerprint: w.draft.Fingerprint, Mark: w.mark,
		})
	}
	if len(again) > 0 {
		s.requeue(again)
	}
	return placed, run
}

// stored acknowledges what stands and remembers where each conversation ends.
func (s *shard) stored(sends []*send, run []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range run {
		if i+1 == len(run) || run[i+1].ID.Conversation != m.ID.Conversation {
			s.remember(m.ID.Conversation, Place{Seq: m.ID.Seq, At: m.CreatedAt})
		}
		s.answer(sends[i], Receipt{Message: m}, nil)
	}
}

// lose answers a batch of which nobody knows what was stored: none of it is
// acknowledged, nothing is believed of its conversations any more, and each
// sender's retry with its key settles the matter.
func (s *shard) lose(sends []*send, err error) {
	for _, w := range sends {
		s.forget(w.draft.Conversation)
	}
	s.refuse(sends, fault.ErrUnavailable.Because(err))
}

// settle deals with the row that stopped an insert, the first of rest, and has
// all behind it tried again with new places.
func (s *shard) settle(ctx context.Context, session Session, rest []*send, row Message, outcome Outcome) {
	switch outcome.Refusal {
	case PlaceTaken:
		rest = s.findOwn(ctx, session, rest, row.ID)
	case KeyRepeated:
		rest = s.replay(ctx, session, rest)
	default:
		s.refuse(rest[:1], fmt.Errorf("store message %s: %w", row.ID, outcome.Err))
		rest = rest[1:]
	}
	if len(rest) > 0 {
		s.requeue(rest)
	}
}

// findOwn reads what stands from the taken place on. The taker may be this
// very batch, written before its connection broke and sent again by the
// driver: messages that are found by their marks are acknowledged where they
// stand. It returns what is to be tried again.
func (s *shard) findOwn(ctx context.Context, session Session, rest []*send, taken id.Message) []*send {
	c := taken.Conversation
	s.contend(c)
	s.forget(c)
	end := 0
	for end < len(rest) && rest[end].draft.Conversation == c {
		end++
	}
	rows, err := session.From(ctx, c, taken.Seq, maxBatch)
	if err != nil {
		s.refuse(rest[:end], fault.ErrUnavailable.Because(err))
		return rest[end:]
	}
	// No rows: the taker is gone. All that were asked for: there may be more.
	// In both cases the next batch reads the last place.
	if n := len(rows); n > 0 && n < maxBatch {
		s.confirm(c, Place{Seq: rows[n-1].ID.Seq, At: rows[n-1].CreatedAt})
	}
	return slices.DeleteFunc(rest, func(w *send) bool {
		at := slices.IndexFunc(rows, func(m Message) bool { return m.Mark == w.mark })
		if at >= 0 {
			s.acknowledge(w, rows[at])
		}
		return at >= 0
	})
}

// replay answers the first of rest, whose key was used before. It returns what
// is to be tried again.
func (s *shard) replay(ctx context.Context, session Session, rest []*send) []*send {
	w, d := rest[0], rest[0].draft
	first, ok, err := session.ByKey(ctx, d.Conversation, d.Sender, d.Key)
	switch {
	case err != nil:
		s.refuse(rest[:1], fault.ErrUnavailable.Because(err))
	case !ok:
		return rest // the write that had the key is gone
	case first.Mark == w.mark:
		// Written by this batch before its connection broke: there are more
		// rows than were remembered.
		s.forget(d.Conversation)
		s.acknowledge(w, first)
	case first.Fingerprint != d.Fingerprint:
		s.refuse(rest[:1], fault.ErrIdempotency)
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answer(w, Receipt{Message: first, Replayed: true}, nil)
	}
	return rest[1:]
}
