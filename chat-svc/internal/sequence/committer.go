// Package sequence gives every message its place and writes it: a gapless,
// durable order in each conversation, without a counter, a lock or a leader.
//
// The uniqueness of places in the store is the sequencer. A few committers
// gather what is waiting while their last write is in flight and write it by
// one ordered insert, so that the cost of a durable write is shared and a lone
// sender waits for nobody. Any number of processes may do so at once: whoever
// finds a place taken goes on behind it.
//
// Why there are no gaps: what is stored of a batch is always its beginning,
// the next writer continues from the last durable place, and a place that was
// refused is occupied by a durable row or is tried again.
package sequence

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

const (
	// maxBatch bounds one insert.
	maxBatch = 256
	// deadline bounds one insert and all that it takes to settle it. Readers
	// that look back by created_at rely on it: no row becomes visible later
	// than this after the moment it carries.
	deadline = 20 * time.Second
	// patience bounds how long a message is tried again with new places.
	patience = 20 * time.Second
	// maxAge is how long a remembered place is trusted that the store has not
	// confirmed: beyond it the process may have been asleep, or the data
	// restored from a backup.
	maxAge = 10 * time.Minute
	// contention is how long a conversation is written by itself after
	// another process took a place in it.
	contention = 5 * time.Second
	// maxAlone bounds the inserts that one committer has in flight for such
	// conversations.
	maxAlone = 8
	// maxReads bounds how many conversations one committer looks up at once.
	maxReads = 8
)

// Options of a Committer. Store, Now and Report are required.
type Options struct {
	Store Store
	Now   func() time.Time
	// Report hears of every insert, on the goroutine that made it.
	Report func(Report)
	// Committers is how many inserts are in flight at once, 2 when zero: one
	// gathers and is read by the database while the other becomes durable. More
	// share each durable write among fewer messages.
	Committers int
	// Queue bounds the messages that wait, for each committer; 1,024 when zero.
	Queue int
	// Remembered bounds the conversations whose last place each committer
	// keeps in memory, 16,384 when zero.
	Remembered int
}

// A Report tells how one insert went.
type Report struct {
	Messages int           // in the insert
	Refusal  Refusal       // why it stopped
	Unknown  bool          // nobody knows what was stored
	Took     time.Duration // of the insert alone
}

// A Committer writes messages. It owns goroutines until Close.
type Committer struct {
	shards []*shard
	seed   maphash.Seed
	cancel context.CancelFunc
	owned  sync.WaitGroup
}

// New starts a committer.
func New(o Options) *Committer {
	o.Committers = orDefault(o.Committers, 2)
	o.Queue = orDefault(o.Queue, 1024)
	o.Remembered = orDefault(o.Remembered, 16384)
	ctx, cancel := context.WithCancel(context.Background())
	c := &Committer{seed: maphash.MakeSeed(), cancel: cancel}
	for range o.Committers {
		s := newShard(o)
		c.shards = append(c.shards, s)
		c.owned.Go(func() { s.run(ctx) })
	}
	return c
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// Commit stores the draft and returns when it is durable. The order of
// acknowledgements is the order of places: a message handed in after another
// of its conversation was acknowledged stands behind it.
//
// A key that its sender has used in this conversation gives the first message
// again, or fault.ErrIdempotency when the fingerprint differs. After
// fault.ErrUnavailable the message may have been stored or not; using the same
// key again settles it. When ctx ends first, that is the answer too, and the
// message goes its way.
func (c *Committer) Commit(ctx context.Context, d Draft) (Receipt, error) {
	waiting, joined, err := c.shard(d.Conversation).enqueue(d)
	if err != nil {
		return Receipt{}, err
	}
	select {
	case <-waiting.answered:
	case <-ctx.Done():
		return Receipt{}, fault.ErrUnavailable.Because(ctx.Err())
	}
	receipt := waiting.receipt
	receipt.Replayed = receipt.Replayed || joined
	return receipt, waiting.err
}

// Known is a place that was taken in the conversation when this process last
// wrote there; 0 when it does not remember. The last place is this one or a
// later one.
func (c *Committer) Known(conversation id.Conversation) int64 {
	return c.shard(conversation).known(conversation)
}

// Full is how full the fullest queue is, from 0 to 1; a message for a full one
// is refused.
func (c *Committer) Full() float64 {
	var most float64
	for _, s := range c.shards {
		most = max(most, s.full())
	}
	return most
}

func (c *Committer) shard(conversation id.Conversation) *shard {
	return c.shards[maphash.Comparable(c.seed, conversation)%uint64(len(c.shards))]
}

// Close refuses new messages, waits until those at hand are answered and ends
// the committer's goroutines. When ctx ends first, what is still waiting is
// answered with fault.ErrUnavailable.
func (c *Committer) Close(ctx context.Context) {
	for _, s := range c.shards {
		s.close()
	}
	stop := context.AfterFunc(ctx, c.cancel)
	c.owned.Wait()
	stop()
	c.cancel()
}
