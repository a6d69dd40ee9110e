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
	busyAbove   = 0.85 // of all cores
	calmBelow   = 0.65
	mostLoad    = 8
)

// Load follows how busy the process is: above busyAbove of the machine's cores
// the factor doubles each second, below calmBelow it halves, in between it
// stays. Its owner runs Run until it ends.
type Load struct{ factor atomic.Int64 }

// NewLoad begins with a factor of 1.
func NewLoad() *Load {
	l := &Load{}
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
			l.sample((total - used).Seconds() / now.Sub(at).Seconds() / float64(runtime.NumCPU()))
			used, at = total, now
		}
	}
}

func (l *Load) sample(share float64) {
	factor := l.factor.Load()
	switch {
	case share > busyAbove:
		factor = min(2*factor, mostLoad)
	case share < calmBelow:
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
