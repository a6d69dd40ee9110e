// Package polling is the contract of docs/api/chat.md with those who ask again
// and again: an account that keeps to the instant it was last told is never
// refused, whichever replica answers; how long it is told to wait follows how
// much there is to hear and how busy this replica is.
package polling

import (
	"fmt"
	"math"
	"sync"
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
	MaxInterval time.Duration // the most, before the spread
	Burst       int           // polls in a row before refusal
}

// Check refuses settings under which the contract could not be kept.
func (s Settings) Check() error {
	if s.MinInterval < floor || s.MaxInterval < s.MinInterval || s.Burst < 1 {
		return fmt.Errorf("polls: the least interval must be at least %s, the most at least that, and the burst at least 1", floor)
	}
	return nil
}

// Deps are what a Limiter works with.
type Deps struct {
	// Load says how busy the replica is: 1 when it is not, more to have
	// everybody come less often.
	Load   func() float64
	Now    func() time.Time
	Random func() float64 // from 0 up to 1
}

// A Limiter refuses at the floor and advises above it. It is safe for
// concurrent use, and remembers at most 100,000 accounts.
//
// Why who keeps to the newest answer is never refused: no bucket of any
// replica, whatever was drawn from it, asks for more than a second after the
// last draw; every answer is given after its draw and names an instant at
// least a second ahead.
type Limiter struct {
	Deps
	settings Settings
	started  time.Time

	refusals *ratelimit.Limiter
	advices  *otter.Cache[string, *advice]
}

// advice is what an account was told last; the zero advice is nothing. It is
// changed in place: the cache would make an entry anew for every poll.
type advice struct {
	mu   sync.Mutex
	base time.Duration
	next time.Time
}

// New makes a limiter of settings that were checked.
func New(settings Settings, deps Deps) *Limiter {
	return &Limiter{
		Deps: deps, settings: settings, started: deps.Now(),
		refusals: ratelimit.New(1/floor.Seconds(), settings.Burst, remembered, deps.Now),
		advices:  otter.Must(&otter.Options[string, *advice]{MaximumSize: remembered}),
	}
}

// A Verdict is what a poll is answered beside its content.
type Verdict struct {
	Refused bool
	// Early tells that the account was told to come later.
	Early bool
	// Next is when it may come again, in whole milliseconds and at least a
	// second from now; Interval is the same as a length of time.
	Next     time.Time
	Interval time.Duration
}

// Admit judges a poll as it arrives. One that waits for messages is admitted
// when there is room for it, and counted when it ends (Spend). A refusal
// advises; otherwise Answer does.
func (l *Limiter) Admit(account string, waits bool) Verdict {
	told := l.told(account)
	told.mu.Lock()
	defer told.mu.Unlock()
	v := Verdict{Early: l.Now().Before(told.next)}
	if waits {
		v.Refused = l.refusals.Wait(account) > 0
	} else {
		_, admitted := l.refusals.Take(account)
		v.Refused = !admitted
	}
	if v.Refused {
		l.tell(&v, told, max(told.base, l.settings.MinInterval))
	}
	return v
}

// Spend counts a poll that has waited.
func (l *Limiter) Spend(account string) { l.refusals.Take(account) }

// Answer advises an account whose poll found something, or nothing.
func (l *Limiter) Answer(v Verdict, account string, found bool) Verdict {
	told := l.told(account)
	told.mu.Lock()
	defer told.mu.Unlock()
	base := l.settings.MinInterval
	if !found {
		base = min(max(base, time.Duration(float64(told.base)*growth)), l.settings.MaxInterval)
	}
	l.tell(&v, told, base)
	return v
}

func (l *Limiter) told(account string) *advice {
	told, known := l.advices.GetIfPresent(account)
	if !known {
		told, _ = l.advices.SetIfAbsent(account, &advice{})
	}
	return told
}

// tell makes the instant of an advice. It is made when the answer is, not when
// the poll came: what was drawn from the bucket was drawn before.
func (l *Limiter) tell(v *Verdict, told *advice, base time.Duration) {
	now := l.Now()
	interval := min(time.Duration(float64(base)*l.Load()), l.settings.MaxInterval)
	share := spread
	if told.next.IsZero() && now.Sub(l.started) < l.settings.MaxInterval {
		share = 1 // after a start everybody comes at once, and is sent back over time
	}
	interval += time.Duration(l.Random() * share * float64(interval))
	// Clients are told milliseconds: rounded down, a second would be less.
	v.Next = now.Add(interval + time.Millisecond - 1).Truncate(time.Millisecond)
	v.Interval = v.Next.Sub(now)
	told.base, told.next = base, v.Next
}

// Seconds is the interval in whole seconds, rounded up.
func (v Verdict) Seconds() int { return int(math.Ceil(v.Interval.Seconds())) }
