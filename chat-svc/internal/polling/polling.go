// Package polling is the contract of docs/api/chat.md with those who ask again
// and again: an account that keeps to the instant it was last told is never
// refused, whichever replica answers; how long it is told to wait follows how
// much there is to hear and how busy this replica is.
package polling

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/maypok86/otter/v2"

	"chatplatform.io/svckit/ratelimit"
)

const (
	// floor is the rate of refusal, a constant of the product: replicas must
	// agree on it while a new version is rolled out.
	floor = time.Second
	// growth is by how much the advice grows with each poll that finds nothing.
	growth = 1.5
	// spread is the most that is added, at random, to keep clients from
	// marching in step.
	spread = 0.1
	// remembered bounds the accounts whose advice is kept.
	remembered = 100_000
)

// Settings are what an installation chooses.
type Settings struct {
	MinInterval time.Duration // the least advice, at least a second
	MaxInterval time.Duration // the most
	Burst       int           // polls in a row before refusal
}

// A Limiter refuses at the floor and advises above it. It is safe for
// concurrent use.
type Limiter struct {
	settings Settings
	now      func() time.Time
	load     func() float64
	random   func() float64 // from 0 to 1
	started  time.Time

	refusals *ratelimit.Limiter
	advices  *otter.Cache[string, advice]
}

// advice is what an account was told last.
type advice struct {
	base time.Duration
	next time.Time
}

// New makes a limiter. load says how busy the replica is: 1 when it is not,
// more to have everybody come less often.
func New(settings Settings, load func() float64, now func() time.Time) *Limiter {
	settings.MinInterval = max(settings.MinInterval, floor)
	settings.MaxInterval = max(settings.MaxInterval, settings.MinInterval)
	return &Limiter{
		settings: settings, now: now, load: load, random: rand.Float64, started: now(),
		refusals: ratelimit.New(1/floor.Seconds(), settings.Burst, remembered, now),
		advices:  otter.Must(&otter.Options[string, advice]{MaximumSize: remembered}),
	}
}

// A Verdict is what a poll is answered beside its content.
type Verdict struct {
	Refused bool
	// Early tells that the account was told to come later.
	Early bool
	// Next is when it may come again, at least a second from now; Interval is
	// the same as a length of time.
	Next     time.Time
	Interval time.Duration
}

// Admit judges a poll as it arrives. One that waits for messages is admitted
// when there is room for it, and counted when it ends (Spend).
func (l *Limiter) Admit(account string, waits bool) Verdict {
	told, known := l.advices.GetIfPresent(account)
	v := Verdict{Early: known && l.now().Before(told.next)}
	wait := l.refusals.Wait(account)
	if wait == 0 && !waits {
		wait, _ = l.refusals.Take(account)
	}
	if wait == 0 {
		return v
	}
	v.Refused = true
	return l.tell(v, account, max(l.base(told, known), wait))
}

// Spend counts a poll that has waited.
func (l *Limiter) Spend(account string) { l.refusals.Take(account) }

// Answer advises an account whose poll found something, or nothing.
func (l *Limiter) Answer(v Verdict, account string, found bool) Verdict {
	told, known := l.advices.GetIfPresent(account)
	base := l.base(told, known)
	if known && !found {
		base = time.Duration(float64(base) * growth)
	}
	if found {
		base = l.settings.MinInterval
	}
	return l.tell(v, account, min(base, l.settings.MaxInterval))
}

func (l *Limiter) base(told advice, known bool) time.Duration {
	if !known {
		return l.settings.MinInterval
	}
	return told.base
}

// tell makes the instant of an advice.
func (l *Limiter) tell(v Verdict, account string, base time.Duration) Verdict {
	now := l.now()
	interval := min(time.Duration(float64(base)*l.load()), l.settings.MaxInterval)
	interval = max(interval, base, floor)
	interval += time.Duration(l.random() * spread * float64(interval))
	if _, known := l.advices.GetIfPresent(account); !known && now.Sub(l.started) < l.settings.MaxInterval {
		// After a start everybody comes at once; they are sent back over time.
		interval += time.Duration(l.random() * float64(interval))
	}
	v.Interval = interval
	v.Next = now.Add(interval)
	l.advices.Set(account, advice{base: base, next: v.Next})
	return v
}

// Seconds is the interval in whole seconds, rounded up and at least one.
func (v Verdict) Seconds() int { return max(1, int(math.Ceil(v.Interval.Seconds()))) }
