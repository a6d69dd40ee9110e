package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// A bout is a work and its yardstick.
type bout struct {
	workers         int
	before          operation // what precedes each of both, unmeasured; may be nil
	ours, yardstick operation
	beside          int // process whose processor time is the yardstick's; 0 for none
}

// A duel is how a bout went: medians of the rounds.
type duel struct {
	perSecond, yardstick, ratio float64 // how many were done
	p50, yardstickP50, slower   float64 // in microseconds, and the first by the second
	latencies                           // of ours, medians of the rounds but for most
	// Processor time of the platform for 1,000 of ours, and of the process
	// beside for 1,000 of the yardstick; 0 where unknown.
	perThousand, besidePerThousand time.Duration
	calls                          float64 // database calls of chat-svc for each of ours
}

// fight lets ours and the yardstick take turns in closed loops. Who begins
// alternates: what one leaves to be written behind falls into the other's turn
// as often as the other way round.
func (w *world) fight(ctx context.Context, b bout) (duel, error) {
	var d duel
	var rounds []round
	for n := range w.rounds {
		r, err := w.turn(ctx, b, n%2 == 1)
		if err != nil {
			return d, err
		}
		rounds = append(rounds, r)
	}
	of := func(value func(round) float64) float64 { return medianOf(rounds, value) }
	length := func(value func(round) time.Duration) time.Duration {
		return time.Duration(of(func(r round) float64 { return float64(value(r)) }))
	}
	d.perSecond = of(func(r round) float64 { return r.ours.perSecond })
	d.yardstick = of(func(r round) float64 { return r.yardstick.perSecond })
	d.ratio = of(func(r round) float64 { return r.ours.perSecond / r.yardstick.perSecond })
	d.p50 = of(func(r round) float64 { return microseconds(r.ours.p50) })
	d.yardstickP50 = of(func(r round) float64 { return microseconds(r.yardstick.p50) })
	d.slower = of(func(r round) float64 { return microseconds(r.ours.p50) / microseconds(r.yardstick.p50) })
	d.latencies = latencies{
		p50:  length(func(r round) time.Duration { return r.ours.p50 }),
		p99:  length(func(r round) time.Duration { return r.ours.p99 }),
		most: slices.MaxFunc(rounds, func(a, b round) int { return cmp.Compare(a.ours.most, b.ours.most) }).ours.most,
	}
	d.perThousand = length(func(r round) time.Duration { return r.cpu * 1000 / time.Duration(r.ours.done) })
	d.besidePerThousand = length(func(r round) time.Duration { return r.besideCPU * 1000 / time.Duration(r.yardstick.done) })
	d.calls = of(func(r round) float64 { return r.calls / float64(r.ours.done) })
	return d, nil
}

// A round is one turn of each.
type round struct {
	ours, yardstick lap
	cpu, besideCPU  time.Duration
	calls           float64
}

func (w *world) turn(ctx context.Context, b bout, yardstickFirst bool) (r round, err error) {
	halves := []func(context.Context, bout, *round) error{w.oursOf, w.yardstickOf}
	if yardstickFirst {
		slices.Reverse(halves)
	}
	for _, half := range halves {
		if err := half(ctx, b, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (w *world) oursOf(ctx context.Context, b bout, r *round) error {
	before, err := w.databaseCalls()
	if err != nil {
		return err
	}
	used := cpuTime(w.server.PID())
	if r.ours, err = closed(ctx, b.workers, w.round, b.before, b.ours); err != nil {
		return err
	}
	r.cpu = cpuTime(w.server.PID()) - used
	after, err := w.databaseCalls()
	r.calls = after - before
	return err
}

func (w *world) yardstickOf(ctx context.Context, b bout, r *round) (err error) {
	used := cpuTime(b.beside)
	if r.yardstick, err = closed(ctx, b.workers, w.round, b.before, b.yardstick); err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	r.besideCPU = cpuTime(b.beside) - used
	return nil
}

func medianOf(rounds []round, value func(round) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = value(r)
	}
	return median(values)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
