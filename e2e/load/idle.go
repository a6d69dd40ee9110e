package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	idleSockets = 5000
	idlePeople  = 500
	idleWait    = 21 * time.Second // each connection is sent a sign of life
	idlePolls   = 2 * time.Second
)

// idle is what a WebSocket takes on which nothing happens: the growth of a fresh
// platform's resident memory.
func idle() scenario {
	return scenario{name: "P6", run: func(ctx context.Context, w *world) (rows []row, err error) {
		count, err := socketsMost(idleSockets)
		if err != nil {
			return nil, err
		}
		w, err = open(ctx, w.settings, manySockets(), w.progress)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, w.close()) }()
		people, err := w.people(idlePeople)
		if err != nil {
			return nil, err
		}
		polls, err := polling(w.client, w.server.URL, people[:pollers], http.StatusNotModified)
		if err != nil {
			return nil, err
		}
		before, usedBefore, err := w.settle(ctx, polls)
		if err != nil {
			return nil, err
		}
		_, leave, err := w.listen(ctx, people, count, func(int, []byte) error { return errors.New("an idle connection was told a message") })
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, leave()) }()
		after, used, err := w.settle(ctx, polls)
		if err != nil {
			return nil, err
		}
		const mega = 1e6
		return []row{{
			Work: fmt.Sprintf("idle WebSocket, resident memory each: %d of %d accounts, %.1f → %.1f MB; %.2f %% of a core (%.2f without)",
				count, idlePeople, float64(before)/mega, float64(after)/mega, 100*used.Seconds()/idleWait.Seconds(), 100*usedBefore.Seconds()/idleWait.Seconds()),
			Figure: (float64(after) - float64(before)) / float64(count), Unit: "B", Target: "≤ 9 KB",
		}}, nil
	}}
}

// settle gives the platform's memory once the garbage of what was before is
// collected, as polls make garbage, too, and the processor time of a silence.
func (w *world) settle(ctx context.Context, polls operation) (memory uint64, used time.Duration, err error) {
	if _, err := closed(ctx, pollers, idlePolls, nil, polls); err != nil {
		return 0, 0, err
	}
	used = cpuTime(w.server.PID())
	select {
	case <-time.After(idleWait):
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	return residentMemory(w.server.PID()), cpuTime(w.server.PID()) - used, nil
}
