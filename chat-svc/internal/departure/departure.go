// Package departure carries out the deletion of accounts, which auth-svc's
// durable change feed tells (docs/api/chat.md, "Deleted accounts"). What is heard
// is noted first, and then the position in the feed moves; what is noted is
// carried out in bounded steps. Each may be done again: a crash loses nothing
// and repeats harmlessly.
package departure

import (
	"context"
	"errors"
	"fmt"
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
	// some is how many accounts are taken up at once, few how many conversations
	// of one in a step.
	some, few = 100, 10
	// steps bounds what is done for one account before it is the next one's turn.
	steps = 100
	// pause is how long an account waits whose departure has failed.
	pause = time.Minute
	// finally is how long after the first look at an account the others follow.
	// Who looked it up just before, or holds its token on a replica that does not
	// hear auth-svc, may let it in for a while: the longest lives a token.
	finally = 30 * time.Minute
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
		return chat.Unmade, true // groups in the making, to which it was named before
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
	// Of the look under way: everything was left, and now it is erased.
	Left   bool
	Behind id.Conversation // the conversations up to this one are done
	UpTo   int64           // and of the next one the messages up to this number
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
	// EndDeparture forgets a departure, and what the account was a member of.
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

// work looks at accounts whose turn it is, at each for a while. One that fails
// does not keep the others waiting.
func (w *worker) work(ctx context.Context) (more bool, err error) {
	due, err := w.Store.Due(ctx, w.now(), some)
	if err != nil {
		return false, err
	}
	var failed error
	for _, d := range due {
		mine, ended, err := w.look(ctx, d)
		if !mine {
			return false, errors.Join(failed, err)
		}
		more = more || !ended
		failed = errors.Join(failed, err)
	}
	return more || len(due) == some, failed
}

// look goes on with one look at an account, and notes how far it came.
func (w *worker) look(ctx context.Context, d Departure) (mine, ended bool, err error) {
	mine = true
	for n := 0; n < steps && mine && !ended && err == nil; n++ {
		mine, err = w.step(ctx, func(ctx context.Context) (err error) {
			ended, err = w.advance(ctx, &d)
			return err
		})
	}
	if !mine || ended {
		return mine, ended, err
	}
	d.Due = w.now() // behind the others that wait
	if err != nil {
		err = fmt.Errorf("take the deleted account %s out of everything: %w", d.Account, err)
		d.Due = d.Due.Add(pause)
	}
	mine, unsaved := w.step(ctx, func(ctx context.Context) error { return w.Store.SaveDeparture(ctx, d) })
	return mine, false, errors.Join(err, unsaved)
}

// advance does some of a look, which has ended when nothing is left of it: the
// account leaves everything before what it has sent is erased, which may take
// long.
func (w *worker) advance(ctx context.Context, d *Departure) (ended bool, err error) {
	do := w.leave
	if d.Left {
		do = w.erase
	}
	done, err := do(ctx, d)
	if err != nil || !done {
		return false, err
	}
	if d.Left || !d.Erase {
		return true, w.done(ctx, *d)
	}
	d.Left, d.Behind = true, id.Conversation{}
	return false, nil
}

// leave takes an account out of some conversations; done when there are no more.
func (w *worker) leave(ctx context.Context, d *Departure) (done bool, err error) {
	if more, err := w.Chat.DropBlocks(ctx, d.Account); err != nil || more {
		return false, err
	}
	attended, err := w.Chat.Store.Attended(ctx, d.Account, d.Behind, few)
	if err != nil {
		return false, err
	}
	for _, c := range attended {
		if err := w.Chat.Depart(ctx, d.Account, c); err != nil {
			return false, err
		}
		d.Behind = c
	}
	return len(attended) < few, nil
}

// erase erases some of what an account has sent; done when there is no more.
func (w *worker) erase(ctx context.Context, d *Departure) (done bool, err error) {
	attended, err := w.Chat.Store.Attended(ctx, d.Account, d.Behind, few)
	if err != nil {
		return false, err
	}
	for _, c := range attended {
		if d.Looks > 0 && d.UpTo == 0 { // the first look has seen to what is older
			if d.UpTo, err = w.Chat.SentBefore(ctx, c, d.Heard); err != nil {
				return false, err
			}
		}
		upTo, _, err := w.Chat.Erase(ctx, d.Account, c, d.UpTo)
		if err != nil {
			return false, err
		}
		if d.UpTo = upTo; upTo > 0 {
			return false, nil
		}
		d.Behind = c
	}
	return len(attended) < few, nil
}

// done ends a look.
func (w *worker) done(ctx context.Context, d Departure) error {
	if d.Looks == 0 {
		w.Logger.InfoContext(ctx, "a deleted account was taken out of its conversations", "account", d.Account, "erase", d.Erase)
		w.Departed()
	}
	d.Looks++
	d.Left, d.Behind, d.UpTo = false, id.Conversation{}, 0
	next, again := after(d.Looks)
	if !again {
		return w.Store.EndDeparture(ctx, d.Account)
	}
	d.Due = d.Heard.Add(next)
	return w.Store.SaveDeparture(ctx, d)
}
