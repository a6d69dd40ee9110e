// Package departure carries out the deletion of accounts, which auth-svc's
// durable change feed tells (docs/api/chat.md, "Deleted accounts"). What is heard
// is noted first, and then the position in the feed moves; what is noted is
// carried out in bounded steps. Each may be done again: a crash loses nothing
// and repeats harmlessly.
package departure

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/chore"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lease"
	"chatplatform.io/svckit/fault"
)

const (
	// every is how often the feed and the store are asked by who heard nothing:
	// what a replica leaves that dies, another takes up when its lease ends.
	every = lease.Time
	// stepWait bounds one step.
	stepWait = 10 * time.Second
	// some is how many accounts, and conversations of one, are taken up at once.
	some = 100
	// finally is how long after the first look at an account the others follow.
	// Who looked it up just before, or holds its token on a replica that does not
	// hear auth-svc, may let it in for a while: the longest lives a token.
	finally = 30 * time.Minute
	// unmade is how long a group may still be in the making, to which the account
	// was named before (docs/data-model.md, "claims").
	unmade = 25 * time.Hour
)

// after is how long after its deletion was heard an account is looked at for
// the n-th time; false when it is enough.
func after(n int) (time.Duration, bool) {
	switch n {
	case 0:
		return 0, true
	case 1:
		return finally, true
	case 2:
		return unmade, true
	}
	return 0, false
}

// A Departure is a deleted account while there is something to do about it.
type Departure struct {
	Account id.Account
	Erase   bool      // what it has sent goes too
	Heard   time.Time // when chat-svc first knew
	Looks   int       // that are done
	Due     time.Time // of the next look
	Behind  id.Conversation
	// of the look under way: the conversations up to this one are done
}

// Feed is auth-svc's change feed.
type Feed interface {
	// Changes gives the first changes after a position, and the position to go
	// on from; accounts.ErrPosition.
	Changes(ctx context.Context, after accounts.Position) ([]accounts.Change, accounts.Position, error)
}

// Store keeps what was heard until it is carried out.
type Store interface {
	lease.Store
	// Heard is how far the feed was read; zero at first.
	Heard(ctx context.Context) (accounts.Position, error)
	// Hear keeps departures that are not there yet, and then the position behind
	// them.
	Hear(ctx context.Context, deleted []Departure, upTo accounts.Position) error
	// Due are departures whose next look is due, the oldest first, at most limit.
	Due(ctx context.Context, now time.Time, limit int) ([]Departure, error)
	// SaveDeparture notes how far a departure is.
	SaveDeparture(ctx context.Context, d Departure) error
	// EndDeparture forgets a departure.
	EndDeparture(ctx context.Context, a id.Account) error
}

// Deps are what departures work with.
type Deps struct {
	Feed   Feed
	Store  Store
	Chat   *chat.Service
	Holder string // tells replicas apart
	Now    func() time.Time
	Logger *slog.Logger
	// Departed counts accounts that were taken out of everything.
	Departed func()
}

// Start begins to carry out what is left from before; news of a deletion
// wakes it.
func Start(deps Deps) *chore.Chore {
	w := &worker{Deps: deps, lease: lease.New(deps.Store, "departures", deps.Holder, deps.Now)}
	return chore.Start("the deletion of accounts waits", every, deps.Logger, w.round)
}

type worker struct {
	Deps
	lease *lease.Lease
}

func (w *worker) now() time.Time { return w.Now().UTC().Truncate(time.Millisecond) }

// round goes on with what is known while auth-svc is away.
func (w *worker) round(ctx context.Context) (more bool, err error) {
	heard, deaf := w.hear(ctx)
	left, err := w.work(ctx)
	return heard || left, errors.Join(deaf, err)
}

// step does something small, if this replica is the one to do it.
func (w *worker) step(ctx context.Context, do func(context.Context) error) (mine bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepWait)
	defer cancel()
	if mine, err = w.lease.Take(ctx); err != nil || !mine {
		return mine, err
	}
	return true, do(ctx)
}

// hear notes what the feed tells, and whether there may be more of it.
func (w *worker) hear(ctx context.Context) (more bool, err error) {
	from, err := w.Store.Heard(ctx)
	if err != nil {
		return false, err
	}
	changes, upTo, err := w.Feed.Changes(ctx, from)
	switch {
	case errors.Is(err, accounts.ErrPosition):
		w.Logger.WarnContext(ctx, "auth-svc's change feed began anew, as after a restored backup; the deletion of every account is carried out again")
		upTo = accounts.Position{}
	case errors.Is(err, fault.ErrUnavailable), err == nil && len(changes) == 0:
		return false, nil // that auth-svc is not heard is told by who follows it
	case err != nil:
		return false, err
	}
	var deleted []Departure
	for _, change := range changes {
		if change.Kind != accounts.AccountDeleted {
			continue
		}
		deleted = append(deleted, Departure{
			Account: id.Account(change.AccountID), Erase: change.Content == accounts.Erase, Heard: w.now(), Due: w.now(),
		})
	}
	return w.step(ctx, func(ctx context.Context) error { return w.Store.Hear(ctx, deleted, upTo) })
}

// work looks at accounts whose turn it is.
func (w *worker) work(ctx context.Context) (more bool, err error) {
	due, err := w.Store.Due(ctx, w.now(), some)
	if err != nil {
		return false, err
	}
	for _, d := range due {
		if mine, err := w.look(ctx, d); err != nil || !mine {
			return false, err
		}
	}
	return len(due) == some, nil
}

// look takes an account out of everything, as far as that is not done.
func (w *worker) look(ctx context.Context, d Departure) (mine bool, err error) {
	for more := true; more; {
		mine, err := w.step(ctx, func(ctx context.Context) (err error) {
			more, err = w.Chat.DropBlocks(ctx, d.Account)
			return err
		})
		if err != nil || !mine {
			return mine, err
		}
	}
	for more := true; more; {
		attended, err := w.Chat.Store.Attended(ctx, d.Account, d.Behind, some)
		if err != nil {
			return false, err
		}
		for _, c := range attended {
			if mine, err := w.leave(ctx, d, c); err != nil || !mine {
				return mine, err
			}
			d.Behind = c
		}
		if more = len(attended) == some; more {
			if err := w.Store.SaveDeparture(ctx, d); err != nil {
				return false, err
			}
		}
	}
	return w.step(ctx, func(ctx context.Context) error { return w.done(ctx, d) })
}

// leave takes an account out of one conversation.
func (w *worker) leave(ctx context.Context, d Departure, c id.Conversation) (mine bool, err error) {
	upTo := int64(0)
	mine, err = w.step(ctx, func(ctx context.Context) error {
		if err := w.Chat.Depart(ctx, d.Account, c); err != nil || !d.Erase || d.Looks == 0 {
			return err
		}
		upTo, err = w.Chat.SentBefore(ctx, c, d.Heard) // the first look has seen to that
		return err
	})
	for more := d.Erase; more && mine && err == nil; {
		mine, err = w.step(ctx, func(ctx context.Context) (err error) {
			upTo, _, err = w.Chat.Erase(ctx, d.Account, c, upTo)
			more = upTo > 0
			return err
		})
	}
	return mine, err
}

// done ends a look.
func (w *worker) done(ctx context.Context, d Departure) error {
	if d.Looks == 0 {
		w.Logger.InfoContext(ctx, "a deleted account was taken out of its conversations", "account", d.Account, "erase", d.Erase)
		w.Departed()
	}
	d.Looks++
	d.Behind = id.Conversation{}
	next, again := after(d.Looks)
	if !again {
		return w.Store.EndDeparture(ctx, d.Account)
	}
	d.Due = d.Heard.Add(next)
	return w.Store.SaveDeparture(ctx, d)
}
