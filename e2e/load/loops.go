package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// An operation is done once a call; worker is from 0 up to the concurrency.
type operation func(ctx context.Context, worker int) error

// closed does op over and over with so many workers for d, and returns how many
// were done in a second. The first failure ends it.
func closed(ctx context.Context, workers int, d time.Duration, op operation) (perSecond float64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for worker := range workers {
		group.Go(func() {
			for time.Since(began) < d && ctx.Err() == nil {
				if err := op(ctx, worker); err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}

// A duel is a work and its yardstick, measured in turns.
type duel struct {
	perSecond, yardstick, ratio float64       // medians of the rounds
	perThousand                 time.Duration // processor time of the server for 1,000 of ours; 0 where unknown
}

// fight lets ours and the yardstick take turns in closed loops.
func (w *world) fight(ctx context.Context, workers int, ours, yardstick operation) (duel, error) {
	var per, yard, ratio, cost []float64
	for range w.rounds {
		before, known := cpuTime(w.server.PID())
		began := time.Now()
		a, err := closed(ctx, workers, w.round, ours)
		if err != nil {
			return duel{}, err
		}
		took := time.Since(began)
		after, _ := cpuTime(w.server.PID())
		b, err := closed(ctx, workers, w.round, yardstick)
		if err != nil {
			return duel{}, fmt.Errorf("yardstick: %w", err)
		}
		per, yard, ratio = append(per, a), append(yard, b), append(ratio, a/b)
		if known {
			cost = append(cost, (after-before).Seconds()/(a*took.Seconds())*1000)
		}
	}
	d := duel{perSecond: median(per), yardstick: median(yard), ratio: median(ratio)}
	if len(cost) > 0 {
		d.perThousand = time.Duration(median(cost) * float64(time.Second))
	}
	return d, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Latencies are those of an open loop.
type latencies struct {
	p50, p99, most time.Duration
}

// inFlightMost bounds what an open loop may have under way; a server that falls
// behind further has failed.
const inFlightMost = 2048

// paced starts op so many times a second for d, whether or not earlier ones are
// done, and measures each from the instant at which it was due.
func paced(ctx context.Context, perSecond int, d time.Duration, op operation) (latencies, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	total := int(float64(perSecond) * d.Seconds())
	took := make([]time.Duration, total)
	slots := make(chan int, inFlightMost)
	for slot := range inFlightMost {
		slots <- slot
	}
	var group sync.WaitGroup
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range total {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		var slot int
		select {
		case slot = <-slots:
		default:
			cancel(errors.New("the server falls behind: too much is under way"))
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			if err := op(ctx, slot); err != nil {
				cancel(err)
			}
			took[i] = time.Since(due)
			slots <- slot
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return latencies{}, context.Cause(ctx)
	}
	slices.Sort(took)
	return latencies{p50: took[total/2], p99: took[total*99/100], most: took[total-1]}, nil
}
