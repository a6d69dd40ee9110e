package polling

import (
	"context"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	sampleEvery = time.Second
	mostLoad    = 8

	// Of the cores that the process may use.
	processorCalm, processorBusy = 0.65, 0.85
	// Of the places for messages that wait to be committed.
	queueCalm, queueBusy = 0.05, 0.25
)

// Load follows how busy the replica is: while the process uses more than 85 %
// of its cores, or a quarter of the commit queue is taken, the factor
// doubles each second. Once the one is below 65 % and the other below 5 %, it
// halves; in between it stays. Its owner runs Run until it ends.
type Load struct {
	queued func() float64
	factor atomic.Int64
}

// NewLoad begins with a factor of 1. queued tells how full the commit queue is,
// from 0 to 1.
func NewLoad(queued func() float64) *Load {
	l := &Load{queued: queued}
	l.factor.Store(1)
	return l
}

// Factor is 1 for a replica that is not busy, at most 8.
func (l *Load) Factor() float64 { return float64(l.factor.Load()) }

// Run samples until ctx ends.
func (l *Load) Run(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	used, at := cpu(), time.Now() //nolint:forbidigo // measures this process
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			total := cpu()
			l.Sample((total-used).Seconds()/now.Sub(at).Seconds()/float64(runtime.GOMAXPROCS(0)), l.queued())
			used, at = total, now
		}
	}
}

// Sample takes the shares of a second.
func (l *Load) Sample(processing, queued float64) {
	factor := l.factor.Load()
	switch {
	case processing > processorBusy || queued > queueBusy:
		factor = min(2*factor, mostLoad)
	case processing < processorCalm && queued < queueCalm:
		factor = max(factor/2, 1)
	}
	l.factor.Store(factor)
}

// cpu is the time that the process has used, or 0 where it cannot be told.
func cpu() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
