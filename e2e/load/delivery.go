package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// deliveryRate is how many messages are sent in a second, of which each is
// told.
const deliveryRate = 1000

// delivery is how long it takes from a send until a member that is connected
// has the message. Its yardstick is the bare driver that inserts the same
// documents one by one, at no more than a part of what it can do.
func delivery() scenario {
	return scenario{name: "P4", env: unlimited(), run: func(ctx context.Context, w *world) (rows []row, err error) {
		talk, err := w.talk(senders, conversations)
		if err != nil {
			return nil, err
		}
		insert, end, err := w.bareInserts(ctx, talk)
		if err != nil {
			return nil, err
		}
		defer end()
		h := &hearing{last: map[string]int64{}, heard: map[string]chan struct{}{}}
		ctx, leave, err := w.listen(ctx, talk.people[:1], 1, h.hear)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, leave()) }()
		most, err := closed(ctx, senders, w.round, nil, insert)
		if err != nil {
			return nil, err
		}
		rate := max(1, min(deliveryRate, int(most.perSecond)/slack))
		ours := func(ctx context.Context, worker int) error {
			said, err := talk.say(worker)
			if err != nil {
				return err
			}
			return h.wait(ctx, said.id)
		}
		took, bare, err := w.paceBoth(ctx, ours, insert, rate)
		if err != nil {
			return nil, err
		}
		work := fmt.Sprintf("send → member's WebSocket, %d a second, %d messages, none lost, double or out of order; yardstick: bare inserts, %d a second",
			deliveryRate, w.messages, rate)
		p50 := row{Work: work + "; p50", Figure: microseconds(took.p50), Unit: "µs", Yardstick: microseconds(bare.p50), Target: "≤ yardstick + 2,000 µs"}
		p50.Ratio = p50.Figure / p50.Yardstick
		p50.latency(took)
		p99 := row{Work: "the same; p99", Figure: microseconds(took.p99), Unit: "µs", Yardstick: microseconds(bare.p99), Target: "≤ yardstick + 15,000 µs"}
		p99.Ratio = p99.Figure / p99.Yardstick
		door := row{Work: "of these, from the sender's answer on"}
		door.latency(latenciesOf(h.waits))
		return []row{p50, p99, door}, talk.check()
	}}
}

// paceBoth lets the messages of the run and the yardstick take turns in open
// loops, as fight does in closed ones.
func (w *world) paceBoth(ctx context.Context, ours, yardstick operation, yardstickRate int) (_, _ latencies, err error) {
	each := time.Second * time.Duration(w.messages) / time.Duration(deliveryRate*w.rounds)
	halves := []struct {
		name string
		op   operation
		rate int
		laps []latencies
	}{{name: "messages", op: ours, rate: deliveryRate}, {name: "their yardstick", op: yardstick, rate: yardstickRate}}
	for n := range w.rounds {
		for i := range halves {
			half := &halves[(i+n)%len(halves)]
			lap, err := paced(ctx, half.rate, each, half.op)
			if err != nil {
				return latencies{}, latencies{}, fmt.Errorf("%s, %d a second: %w", half.name, half.rate, err)
			}
			half.laps = append(half.laps, lap)
		}
	}
	return middle(halves[0].laps), middle(halves[1].laps), nil
}

// middle gives the medians of rounds, and the most of all.
func middle(rounds []latencies) (m latencies) {
	p50, p99 := make([]float64, len(rounds)), make([]float64, len(rounds))
	for i, r := range rounds {
		p50[i], p99[i] = float64(r.p50), float64(r.p99)
		m.most = max(m.most, r.most)
	}
	m.p50, m.p99 = time.Duration(median(p50)), time.Duration(median(p99))
	return m
}

// A hearing is what one connection is told of messages. It fails when one of
// a conversation is left out, told twice or out of order.
type hearing struct {
	mu    sync.Mutex
	last  map[string]int64         // number, of each conversation
	heard map[string]chan struct{} // of each message that was not waited for yet; closed when it has come
	waits []time.Duration          // of all that were
}

func (h *hearing) hear(_ int, frame []byte) error {
	var told struct {
		Params struct {
			ID             string `json:"id"`
			ConversationID string `json:"conversation_id"`
			Seq            int64  `json:"seq"`
		} `json:"params"`
	}
	if err := json.Unmarshal(frame, &told); err != nil {
		return err
	}
	m := told.Params
	h.mu.Lock()
	defer h.mu.Unlock()
	if want := h.last[m.ConversationID] + 1; m.Seq != want {
		return fmt.Errorf("of %s number %d was told when %d was due", m.ConversationID, m.Seq, want)
	}
	h.last[m.ConversationID] = m.Seq
	close(h.of(m.ID))
	return nil
}

func (h *hearing) of(id string) chan struct{} {
	if h.heard[id] == nil {
		h.heard[id] = make(chan struct{})
	}
	return h.heard[id]
}

// wait waits until a message was told that was acknowledged.
func (h *hearing) wait(ctx context.Context, id string) error {
	id = strings.TrimPrefix(id, "msg_")
	began := time.Now()
	h.mu.Lock()
	heard := h.of(id)
	h.mu.Unlock()
	select {
	case <-heard:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(callTimeout):
		return fmt.Errorf("message %s was acknowledged and not told in %s", id, callTimeout)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.heard, id)
	h.waits = append(h.waits, time.Since(began))
	return nil
}
