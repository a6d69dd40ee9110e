// Package lease lets one replica at a time do what all of them could, so that
// it is not done many times over. Two at once do no harm: what is done under a
// lease may be done twice. So it may rest on the replicas' clocks: one that is
// ahead takes what another holds, and what it has taken until a far instant is
// free to the others.
package lease

import (
	"context"
	"fmt"
	"time"
)

// Time is how long a lease lasts that is not renewed: after a crash another
// replica takes over behind it.
const Time = 5 * time.Second

// Store keeps who holds which lease.
type Store interface {
	// Lease takes, or renews, the lease of a work for a holder until an instant;
	// false where another holder has it. One that ends later than twice the time
	// from now until then was taken by a wrong clock, and is free.
	Lease(ctx context.Context, work, holder string, now, until time.Time) (bool, error)
}

// A Lease is one replica's claim to a work. One goroutine uses it.
type Lease struct {
	store        Store
	work, holder string
	now          func() time.Time
	until        time.Time // this replica has it; zero: it has not
}

// New makes a lease that is not taken yet; work names it among all, holder
// tells replicas apart.
func New(store Store, work, holder string, now func() time.Time) *Lease {
	return &Lease{store: store, work: work, holder: holder, now: now}
}

// Take takes the lease, or renews it once half its time is over, and tells
// whether this replica has it for a while.
func (l *Lease) Take(ctx context.Context) (bool, error) {
	now := l.now()
	if l.until.Sub(now) > Time/2 {
		return true, nil
	}
	until := now.Add(Time)
	l.until = time.Time{}
	mine, err := l.store.Lease(ctx, l.work, l.holder, now, until)
	if err != nil {
		return false, fmt.Errorf("take the lease of the %s: %w", l.work, err)
	}
	if mine {
		l.until = until
	}
	return mine, nil
}
