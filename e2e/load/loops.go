package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// An operation is done once a call; worker is from 0 up to the concurrency.
type operation func(ctx context.Context, worker int) error

// A lap is what a closed loop did.
type lap struct {
	latencies

	done      int
	perSecond float64
}

// closed does op over and over with so many workers for d. before, where there
// is one, comes before each op and is not measured. The first failure ends it.
func closed(ctx context.Context, workers int, d time.Duration, before, op operation) (lap, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([][]time.Duration, workers)
	var group sync.WaitGroup
	began := time.Now()
	for worker := range workers {
		group.Go(func() {
			for time.Since(began) < d && ctx.Err() == nil {
				one, err := timed(ctx, worker, before, op)
				if err != nil {
					cancel(err)
					return
				}
				took[worker] = append(took[worker], one)
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return lap{}, context.Cause(ctx)
	}
	all := slices.Concat(took...)
	if len(all) == 0 {
		return lap{}, fmt.Errorf("nothing was done in %s", d)
	}
	var busy time.Duration
	for _, one := range all {
		busy += one
	}
	return lap{
		latencies: latenciesOf(all), done: len(all),
		perSecond: float64(workers) * float64(len(all)) / busy.Seconds(),
	}, nil
}

func timed(ctx context.Context, worker int, before, op operation) (time.Duration, error) {
	if before != nil {
		if err := before(ctx, worker); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	err := op(ctx, worker)
	return time.Since(began), err
}

// Latencies are those of one loop.
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
	return latenciesOf(took), nil
}

// latenciesOf sorts took, which is not empty.
func latenciesOf(took []time.Duration) latencies {
	slices.Sort(took)
	total := len(took)
	return latencies{p50: took[total/2], p99: took[total*99/100], most: took[total-1]}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
