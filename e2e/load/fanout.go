package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	fanSockets = 10_000
	fanPeople  = 100
)

// fanOut is one message that is told to many connections.
func fanOut() scenario {
	return scenario{name: "P4 fan-out", env: manySockets(), run: func(ctx context.Context, w *world) (rows []row, err error) {
		count, err := socketsMost(fanSockets)
		if err != nil {
			return nil, err
		}
		talk, err := w.talk(fanPeople, 1)
		if err != nil {
			return nil, err
		}
		var now atomic.Pointer[spread]
		ctx, leave, err := w.listen(ctx, talk.people, count, func(socket int, frame []byte) error { return now.Load().hear(socket, frame) })
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, leave()) }()
		var laps []latencies
		var lasts []float64
		used := cpuTime(w.server.PID())
		for began := time.Now(); time.Since(began) < time.Duration(w.rounds)*w.round; {
			now.Store(&spread{text: []byte(content(0, len(laps))), began: time.Now(), took: make([]time.Duration, count), whole: make(chan struct{})})
			if err := talk.send(ctx, 0); err != nil {
				return nil, err
			}
			if err := now.Load().wait(ctx); err != nil {
				return nil, err
			}
			lap := latenciesOf(now.Load().took)
			laps, lasts = append(laps, lap), append(lasts, lap.most.Seconds())
		}
		used = cpuTime(w.server.PID()) - used
		last, size := median(lasts), now.Load().size.Load()
		r := row{
			Work: fmt.Sprintf("one message to %d WebSockets of %d accounts, %d bytes each; the last has it after %.0f ms: %.1f MB a second",
				count, fanPeople, size, last*1000, float64(count)*float64(size)/last/1e6),
			Figure: float64(count) / last, Unit: "/s",
		}
		r.cost(used * 1000 / time.Duration(len(laps)*count))
		r.latency(middle(laps))
		return []row{r}, talk.check()
	}}
}

// A spread is how one message comes to all connections.
type spread struct {
	text  []byte
	began time.Time
	took  []time.Duration // of each connection; 0 before it has come
	done  atomic.Int64    // how many have it
	size  atomic.Int64    // of its frame
	whole chan struct{}   // closed when all have it
}

func (s *spread) hear(socket int, frame []byte) error {
	if s == nil || s.took[socket] != 0 || !bytes.Contains(frame, s.text) {
		return fmt.Errorf("connection %d was told what was not due: %s", socket, frame)
	}
	s.took[socket] = time.Since(s.began)
	s.size.Store(int64(len(frame)))
	if s.done.Add(1) == int64(len(s.took)) {
		close(s.whole)
	}
	return nil
}

func (s *spread) wait(ctx context.Context) error {
	select {
	case <-s.whole:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(callTimeout):
		return fmt.Errorf("after %s only %d of %d connections have a message", callTimeout, s.done.Load(), len(s.took))
	}
}
