package sequence

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

// A send is a draft on its way to its place.
type send struct {
	draft    Draft
	mark     [8]byte
	accepted time.Time

	// receipt and err are written once, before answered is closed.
	receipt  Receipt
	err      error
	answered chan struct{}
}

// An origin is what makes an idempotency key somebody's.
type origin struct {
	conversation id.Conversation
	sender       id.Account
	key          string
}

func (d Draft) origin() origin { return origin{d.Conversation, d.Sender, d.Key} }

// A memory is what a shard knows of a conversation.
type memory struct {
	last      Place
	confirmed time.Time // when the store said so; zero: last is not known
	contended time.Time // when another process last took a place
}

// A shard is one committer: the conversations whose hash is its own.
type shard struct {
	Options

	wake chan struct{} // holds one token when there may be something to do

	mu       sync.Mutex
	closed   bool
	waiting  []*send
	byOrigin map[origin]*send // every unanswered send that has a key
	memories map[id.Conversation]memory
	alone    map[id.Conversation]bool // being written by themselves now
}

func newShard(o Options) *shard {
	return &shard{
		Options:  o,
		wake:     make(chan struct{}, 1),
		byOrigin: map[origin]*send{},
		memories: map[id.Conversation]memory{},
		alone:    map[id.Conversation]bool{},
	}
}

// enqueue puts the draft into the queue, or finds the same one on its way.
func (s *shard) enqueue(d Draft) (waiting *send, joined bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.Key != "" {
		if same := s.byOrigin[d.origin()]; same != nil {
			if same.draft.Fingerprint != d.Fingerprint {
				return nil, false, fault.ErrIdempotency
			}
			return same, true, nil
		}
	}
	if s.closed || len(s.waiting) >= s.Queue {
		return nil, false, fault.ErrUnavailable
	}
	waiting = &send{draft: d, accepted: s.Now(), answered: make(chan struct{})}
	_, _ = rand.Read(waiting.mark[:]) // never fails: crypto/rand ends the process instead
	if d.Key != "" {
		s.byOrigin[d.origin()] = waiting
	}
	s.waiting = append(s.waiting, waiting)
	s.signal()
	return waiting, false, nil
}

func (s *shard) full() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(len(s.waiting)) / float64(s.Queue)
}

func (s *shard) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.signal()
}

// run writes what is waiting until the shard is closed and everything is
// answered.
func (s *shard) run(ctx context.Context) {
	var beside sync.WaitGroup
	defer beside.Wait()
	for !s.finished() {
		common, alone := s.take()
		for c, batch := range alone {
			beside.Go(func() {
				s.commit(ctx, batch)
				s.release(c)
			})
		}
		if len(common) > 0 {
			s.commit(ctx, common)
			continue
		}
		<-s.wake
	}
}

func (s *shard) finished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed && len(s.waiting) == 0 && len(s.alone) == 0
}

// take removes from the queue what may be written now: one batch of many
// conversations, and a batch of its own for each contended one, so that its
// refusals delay no others. It leaves what a batch in flight has to precede.
func (s *shard) take() (common []*send, alone map[id.Conversation][]*send) {
	s.mu.Lock()
	defer s.mu.Unlock()
	alone = map[id.Conversation][]*send{}
	left := s.waiting[:0]
	for _, w := range s.waiting {
		c := w.draft.Conversation
		batch, opened := alone[c]
		switch {
		case opened && len(batch) < maxBatch:
			alone[c] = append(batch, w)
		case opened || s.alone[c]:
			left = append(left, w)
		case s.contended(c) && len(s.alone) < maxAlone:
			s.alone[c] = true
			alone[c] = []*send{w}
		case s.contended(c) || len(common) == maxBatch:
			left = append(left, w)
		default:
			common = append(common, w)
		}
	}
	clear(s.waiting[len(left):])
	s.waiting = left
	return common, alone
}

func (s *shard) contended(c id.Conversation) bool {
	m := s.memories[c]
	return !m.contended.IsZero() && s.Now().Sub(m.contended) < contention
}

// release says that the conversation's own batch is done.
func (s *shard) release(c id.Conversation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.alone, c)
	s.signal()
}

// requeue puts back what is to be given new places, before all others. What
// has been tried for too long is given up.
func (s *shard) requeue(sends []*send) {
	s.mu.Lock()
	defer s.mu.Unlock()
	front := make([]*send, 0, len(sends)+len(s.waiting))
	for _, w := range sends {
		if s.Now().Sub(w.accepted) > patience {
			s.answer(w, Receipt{}, fault.ErrUnavailable)
			continue
		}
		front = append(front, w)
	}
	s.waiting = append(front, s.waiting...)
	s.signal()
}

func (s *shard) acknowledge(w *send, m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer(w, Receipt{Message: m}, nil)
}

func (s *shard) refuse(sends []*send, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range sends {
		s.answer(w, Receipt{}, err)
	}
}

// answer ends a send; the caller holds the lock.
func (s *shard) answer(w *send, r Receipt, err error) {
	if w.draft.Key != "" {
		delete(s.byOrigin, w.draft.origin())
	}
	w.receipt, w.err = r, err
	close(w.answered)
}
