package main

import (
	"context"
	"fmt"
	"time"
)

const (
	senders       = 64
	conversations = 100
	slack         = 4 // the open loop goes at this part of what the yardstick does in a closed one
	sendPaced     = 6 * time.Second
)

// sends are durable sends of many. Their yardstick is the bare driver that
// inserts the same documents, under the same indexes, one by one.
func sends() scenario {
	return scenario{name: "P1", env: unlimited(), run: func(ctx context.Context, w *world) ([]row, error) {
		talk, err := w.talk(senders, conversations)
		if err != nil {
			return nil, err
		}
		insert, end, err := w.bareInserts(ctx, talk)
		if err != nil {
			return nil, err
		}
		defer end()
		d, err := w.fight(ctx, bout{workers: senders, ours: talk.send, yardstick: insert})
		if err != nil {
			return nil, err
		}
		r := row{
			Work:   fmt.Sprintf("durable sends, %d senders, %d conversations; yardstick: bare inserts one by one", senders, conversations),
			Figure: d.perSecond, Unit: "/s", Yardstick: d.yardstick, Ratio: d.ratio, Target: "ratio ≥ 4.0",
		}
		r.cost(d.perThousand)
		r.latency(d.latencies)
		r.Calls = &d.calls
		rows, rate := []row{r}, max(1, int(d.yardstick)/slack)
		for _, loop := range []struct {
			work string
			op   operation
		}{{"durable sends", talk.send}, {"their yardstick", insert}} {
			l, err := paced(ctx, rate, sendPaced, loop.op)
			if err != nil {
				return nil, err
			}
			r := row{Work: fmt.Sprintf("%s, %d a second", loop.work, rate)}
			r.latency(l)
			rows = append(rows, r)
		}
		return rows, talk.check()
	}}
}

// loneSend is a sender that nobody shares a write with.
func loneSend() scenario {
	return scenario{name: "P1b", env: unlimited(), run: func(ctx context.Context, w *world) ([]row, error) {
		talk, err := w.talk(1, 1)
		if err != nil {
			return nil, err
		}
		insert, end, err := w.bareInserts(ctx, talk)
		if err != nil {
			return nil, err
		}
		defer end()
		d, err := w.fight(ctx, bout{workers: 1, ours: talk.send, yardstick: insert})
		if err != nil {
			return nil, err
		}
		r := row{
			Work:   "durable send of a lone sender, p50; yardstick: bare insert",
			Figure: d.p50, Unit: "µs", Yardstick: d.yardstickP50, Ratio: d.slower, Target: "≤ yardstick + 1,000 µs",
		}
		r.cost(d.perThousand)
		r.latency(d.latencies)
		r.Calls = &d.calls
		return []row{r}, talk.check()
	}}
}
