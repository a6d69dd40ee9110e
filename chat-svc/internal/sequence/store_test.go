package sequence_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
)

// A mishap is something that happens to one call of the store.
type mishap int

const (
	fine        mishap = iota
	cutBefore          // the connection breaks, nothing was written
	cutAfter           // the connection breaks, a part was written
	noConcern          // all was written, no majority had it in time
	late               // the connection breaks, the command runs a little later
	sentTwice          // the connection breaks and the driver sends the command again
	failover           // another node takes over; what no majority has is lost
	mishapCount        // how many there are
)

var errConnection = errors.New("connection broken")

const unstorable = "what the store rejects"

// A store behaves as a replicated database does: rows are written one by one,
// a majority confirms them later, and what it has not confirmed may be lost.
// It is shared by several committers, each of which takes it for its own.
type store struct {
	mu      sync.Mutex
	log     []sequence.Message
	durable int // log[:durable] is confirmed by a majority
	term    int // how many failovers there were
	late    [][]sequence.Message
	script  []mishap // what happens to the next calls; then nothing does

	reads  int                                                     // of last places
	insert func(ctx context.Context, run []sequence.Message) error // runs before an insert; may be nil
}

func (s *store) next() mishap {
	if len(s.script) == 0 {
		return fine
	}
	f := s.script[0]
	s.script = s.script[1:]
	return f
}

func (s *store) failover() {
	s.log = s.log[:s.durable]
	s.term++
}

// settle decides what becomes of the rows that no majority has.
func (s *store) settle(f mishap) {
	if f == failover {
		s.failover()
	}
	s.durable = len(s.log)
}

func (s *store) write(m sequence.Message) sequence.Refusal {
	if m.Body.Content == unstorable {
		return sequence.Rejected
	}
	for _, row := range s.log {
		if row.ID == m.ID {
			return sequence.PlaceTaken
		}
		if m.Key != "" && row.Key == m.Key && row.Sender == m.Sender && row.ID.Conversation == m.ID.Conversation {
			return sequence.KeyRepeated
		}
	}
	s.log = append(s.log, m)
	return sequence.None
}

// withdraw empties a durable row, as an update that a majority has; it does
// nothing where a failover took the row.
func (s *store) withdraw(m id.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, row := range s.log[:s.durable] {
		if row.ID == m {
			s.log[i] = withdrawn(row)
		}
	}
}

// withdrawn is what withdrawing leaves of a row.
func withdrawn(row sequence.Message) sequence.Message {
	row.Body, row.Withdrawn = sequence.Body{}, true
	return row
}

func (s *store) runLate() {
	for _, run := range s.late {
		for _, m := range run {
			if s.write(m) != sequence.None {
				break
			}
		}
	}
	s.late = nil
}

// begin opens a call: it draws what happens to it.
func (s *store) begin() mishap {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runLate()
	return s.next()
}

func (s *store) LastPlace(_ context.Context, c id.Conversation) (sequence.Place, error) {
	f := s.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if f == cutBefore {
		return sequence.Place{}, errConnection
	}
	var last sequence.Place
	for _, row := range s.log[:s.durable] {
		if row.ID.Conversation == c && row.ID.Seq > last.Seq {
			last = sequence.Place{Seq: row.ID.Seq, At: row.CreatedAt}
		}
	}
	return last, nil
}

func (s *store) Begin() (sequence.Session, error) { return session{s}, nil }

type session struct{ *store }

func (s session) End() {}

func (s session) Insert(ctx context.Context, run []sequence.Message) (sequence.Outcome, error) {
	if s.insert != nil {
		if err := s.insert(ctx, run); err != nil {
			return sequence.Outcome{}, err
		}
	}
	f := s.begin()
	switch f {
	case cutBefore:
		return sequence.Outcome{}, errConnection
	case late:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.late = append(s.late, run)
		return sequence.Outcome{}, errConnection
	case cutAfter:
		s.writeAll(run[:rand.IntN(len(run)+1)])
		return sequence.Outcome{}, errConnection
	case sentTwice:
		s.writeAll(run[:rand.IntN(len(run)+1)])
	}
	outcome, term := s.writeAll(run)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == failover {
		s.failover()
	}
	if f == noConcern || term != s.term {
		return sequence.Outcome{}, errConnection
	}
	s.durable = len(s.log)
	return outcome, nil
}

// writeAll is an ordered insert; others write between its rows. It ends with
// the term of the node it began on.
func (s session) writeAll(run []sequence.Message) (o sequence.Outcome, term int) {
	for i, m := range run {
		s.mu.Lock()
		if i == 0 {
			term = s.term
		}
		if term == s.term {
			o.Refusal = s.write(m)
		}
		over := term != s.term || o.Refusal != sequence.None
		s.mu.Unlock()
		if over {
			return o, term
		}
		o.Stored++
		runtime.Gosched()
	}
	return o, term
}

func (s session) From(_ context.Context, c id.Conversation, seq int64, limit int) ([]sequence.Message, error) {
	f := s.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == cutBefore {
		return nil, errConnection
	}
	s.settle(f)
	var rows []sequence.Message
	for want := seq; len(rows) < limit; want++ {
		row, ok := s.find(func(m sequence.Message) bool {
			return m.ID == id.Message{Conversation: c, Seq: want}
		})
		if !ok {
			break
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (s session) ByKey(_ context.Context, c id.Conversation, sender id.Account, key string) (sequence.Message, bool, error) {
	f := s.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == cutBefore {
		return sequence.Message{}, false, errConnection
	}
	s.settle(f)
	m, ok := s.find(func(m sequence.Message) bool {
		return m.ID.Conversation == c && m.Sender == sender && m.Key == key
	})
	return m, ok, nil
}

func (s *store) find(is func(sequence.Message) bool) (sequence.Message, bool) {
	for _, m := range s.log[:s.durable] {
		if is(m) {
			return m, true
		}
	}
	return sequence.Message{}, false
}
