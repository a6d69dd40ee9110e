// Package readmark moves read marks behind the request: many moves become one
// write, and what is not written yet is known to the readers of this process.
package readmark

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"chatplatform.io/chat-svc/internal/id"
)

const (
	// gather is how long moves are collected before they are written.
	gather = time.Second
	// again is how long a failed write waits.
	again = time.Second
	// writeWait bounds one write.
	writeWait = 10 * time.Second
	maxBatch  = 1000
	// maxPending bounds what waits while the database is away, and what is
	// remembered of what was written.
	maxPending = 64 << 10
	// remembered is for how many rounds of writing, which are a second apart, a
	// written mark is remembered at least.
	remembered = 8
)

// A Reader is an account in a conversation.
type Reader struct {
	Account      id.Account
	Conversation id.Conversation
}

// Store keeps read marks.
type Store interface {
	// MoveReads moves each mark up to a number, never back. Marks of accounts
	// that are no members are left out.
	MoveReads(ctx context.Context, marks map[Reader]int64) error
}

// A Writer owns a goroutine until Close.
type Writer struct {
	store  Store
	logger *slog.Logger

	wake   chan struct{} // holds one token when there is something to write
	stop   chan struct{}
	ended  chan struct{}
	cancel context.CancelFunc

	mu      sync.Mutex
	pending map[Reader]int64
	writing map[Reader]int64 // nil, or on its way to the store
	// What was written lately, and before that. A mark never goes back, so it
	// does no harm to remember one for longer than need be.
	written, before map[Reader]int64
	rounds          int // of writing into written
	closed          bool
}

// New starts a writer.
func New(store Store, logger *slog.Logger) *Writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{
		store: store, logger: logger, pending: map[Reader]int64{}, written: map[Reader]int64{}, cancel: cancel,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	go w.run(ctx)
	return w
}

// Move notes that the reader has read up to seq. It never blocks. When the
// database has been away for so long that memory is full, the move is dropped:
// the reader's next one makes good for it.
func (w *Writer) Move(r Reader, seq int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, known := w.pending[r]
	if w.closed || before >= seq || !known && len(w.pending) >= maxPending {
		return
	}
	w.pending[r] = seq
	w.signal()
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Mark is how far the reader has read at least, as far as this process knows:
// what is not written yet, and what was in the last seconds. Who read the store
// before a mark was written finds it here. 0 for none.
func (w *Writer) Mark(r Reader) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.pending[r], w.writing[r], w.written[r], w.before[r])
}

// Close refuses further moves, writes what is pending until ctx ends, and ends
// the goroutine.
func (w *Writer) Close(ctx context.Context) {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.mu.Unlock()
	if first {
		close(w.stop)
	}
	end := context.AfterFunc(ctx, w.cancel)
	<-w.ended
	end()
	w.cancel()
}

func (w *Writer) run(ctx context.Context) {
	defer close(w.ended)
	pause := gather
	for w.wait(pause) {
		pause = gather
		if !w.flush(ctx) {
			pause = again
		}
	}
	w.flush(ctx)
}

// wait returns when there is something to write and moves were gathered for a
// while; false when the writer is to end.
func (w *Writer) wait(pause time.Duration) bool {
	select {
	case <-w.stop:
		return false
	case <-w.wake:
	}
	select {
	case <-w.stop:
		return false
	case <-time.After(pause):
		return true
	}
}

// flush writes all that is pending, in batches, until one fails.
func (w *Writer) flush(ctx context.Context) bool {
	w.age()
	for {
		batch := w.take()
		if len(batch) == 0 {
			return true
		}
		err := w.write(ctx, batch)
		w.settle(batch, err)
		if err != nil {
			w.logger.WarnContext(ctx, "read marks wait", "marks", len(batch), "error", err.Error())
			return false
		}
	}
}

func (w *Writer) write(ctx context.Context, batch map[Reader]int64) error {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	return w.store.MoveReads(ctx, batch)
}

// take moves a batch from what is pending to what is being written.
func (w *Writer) take() map[Reader]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := make(map[Reader]int64, min(len(w.pending), maxBatch))
	for r, seq := range w.pending {
		if len(batch) == maxBatch {
			break
		}
		batch[r] = seq
	}
	maps.DeleteFunc(w.pending, func(r Reader, _ int64) bool { return batch[r] != 0 })
	w.writing = batch
	return batch
}

// age forgets what was written long ago, at most half of what is remembered.
func (w *Writer) age() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rounds++; w.rounds > remembered || len(w.written) >= maxPending {
		w.before, w.written, w.rounds = w.written, map[Reader]int64{}, 1
	}
}

// settle remembers what was written and puts back what was not.
func (w *Writer) settle(batch map[Reader]int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = nil
	if err == nil {
		for r, seq := range batch {
			w.written[r] = max(w.written[r], seq)
		}
		return
	}
	for r, seq := range batch {
		w.pending[r] = max(w.pending[r], seq)
	}
	w.signal()
}
