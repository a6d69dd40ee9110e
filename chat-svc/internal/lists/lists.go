// Package lists keeps in memory what the lists of recently active accounts are
// made of: their conversations, each with its last message and read mark. The
// feed keeps it right, so a list that has nothing new costs no database call.
package lists

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

// Bounds of what is kept in memory; where one is zero, the usual.
type Bounds struct {
	// Accounts bounds those that are tracked, 100,000, and Entries the
	// conversations of all of them together, 2,000,000: those of the account
	// that is loaded last may come on top.
	Accounts, Entries int
	// Own bounds the conversations of which it is known where this process
	// wrote into them lately, 32,768.
	Own int
}

const (
	loadWait  = 5 * time.Second
	trackWait = 500 * time.Millisecond // for who only prepares what comes later
	// maxLoads is how often an account is loaded again whose conversations
	// change meanwhile.
	maxLoads = 8
)

// An Entry is one conversation of an account.
type Entry struct {
	Conversation id.Conversation
	CreatedAt    time.Time
	Last         sequence.Place // Seq 0 before the first message
	Read         int64
	// Pending says that the conversation is still being made: lists do not
	// show it.
	Pending bool
}

// Store reads what an account's lists are made of.
type Store interface {
	// Memberships gives every conversation of an account, as it was at a
	// position of the feed or later, with the last message that its document
	// has.
	Memberships(ctx context.Context, a id.Account, from events.Position) ([]Entry, error)
}

// Feed is what of the event feed is needed here.
type Feed interface {
	// Taken is the position of the newest change that Listen may have heard of.
	Taken() events.Position
	Last(c id.Conversation) (sequence.Place, bool)
}

// Lists tracks accounts. Listen must hear every event of the feed.
type Lists struct {
	store  Store
	feed   Feed
	now    func() time.Time
	bounds Bounds

	mu            sync.Mutex
	accounts      map[id.Account]*account
	loading       map[id.Account]*account // those that are not ready
	conversations map[id.Conversation]*conversation
	entries       int
	own           own
	hits, misses  uint64
	versions      uint64 // given out so far: an account that is tracked anew never repeats one
}

// account is one that is tracked.
type account struct {
	loaded  chan struct{} // closed when member and err are set
	err     error
	heard   []events.Event // while it loads
	ready   bool
	member  map[id.Conversation]*membership
	version uint64
	changed chan struct{} // closed when the feed tells something of it; nil while nobody watches
	used    time.Time
}

type membership struct {
	conversation *conversation
	read         int64
}

// conversation is shared by all tracked accounts that are in it.
type conversation struct {
	createdAt time.Time
	last      sequence.Place
	pending   bool
	tracked   map[id.Account]*account
}

// New makes lists that track nobody yet.
func New(store Store, now func() time.Time, b Bounds) *Lists {
	b = Bounds{cmp.Or(b.Accounts, 100_000), cmp.Or(b.Entries, 2_000_000), cmp.Or(b.Own, 32<<10)}
	return &Lists{
		store: store, now: now, bounds: b,
		accounts: map[id.Account]*account{}, loading: map[id.Account]*account{},
		conversations: map[id.Conversation]*conversation{}, own: own{most: b.Own / 2},
	}
}

// Hear names the feed whose every event Listen hears, before the first
// account is tracked.
func (l *Lists) Hear(feed Feed) { l.feed = feed }

// Of gives an account's conversations at one moment, in no order, and tracks
// the account from now on.
func (l *Lists) Of(ctx context.Context, a id.Account) (entries []Entry, err error) {
	err = l.read(ctx, a, func(tracked *account) { entries = tracked.entries() })
	return entries, err
}

// Watch does as Of does; changed is closed when the feed tells of something
// behind that moment that the account's lists show.
func (l *Lists) Watch(ctx context.Context, a id.Account) (entries []Entry, changed <-chan struct{}, err error) {
	err = l.read(ctx, a, func(tracked *account) {
		if tracked.changed == nil {
			tracked.changed = make(chan struct{})
		}
		entries, changed = tracked.entries(), tracked.changed
	})
	return entries, changed, err
}

func (a *account) entries() []Entry {
	all := make([]Entry, 0, len(a.member))
	for c, m := range a.member {
		if m.conversation.pending {
			continue
		}
		all = append(all, Entry{
			Conversation: c, CreatedAt: m.conversation.createdAt, Last: m.conversation.last, Read: m.read,
		})
	}
	return all
}

// Track has an account tracked from now on, where that takes at most half a
// second and does not fail.
func (l *Lists) Track(ctx context.Context, a id.Account) {
	if tracked, mine := l.track(a); mine {
		l.load(ctx, a, tracked, trackWait)
	}
}

// read looks at an account once it is loaded. One that was dropped meanwhile,
// because what was read is no longer true, is loaded again.
func (l *Lists) read(ctx context.Context, a id.Account, look func(*account)) error {
	for range maxLoads {
		tracked, mine := l.track(a)
		if mine {
			l.load(ctx, a, tracked, loadWait)
		}
		select {
		case <-tracked.loaded:
		case <-ctx.Done():
			return ctx.Err()
		}
		if stands, err := l.look(a, tracked, look); stands || err != nil {
			return err
		}
	}
	return fault.ErrUnavailable.Because(fmt.Errorf("the conversations of %s changed %d times while they were read", a, maxLoads))
}

func (l *Lists) look(a id.Account, tracked *account, look func(*account)) (stands bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tracked.err != nil || l.accounts[a] != tracked {
		return false, tracked.err
	}
	tracked.used = l.now()
	look(tracked)
	return true, nil
}

// Version is that of the messages that the lists of an account show, which is
// tracked and loaded; false for others. It grows with every change of them.
func (l *Lists) Version(a id.Account) (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tracked := l.accounts[a]
	if tracked == nil || !tracked.ready {
		return 0, false
	}
	tracked.used = l.now()
	return tracked.version, true
}

// Lookups count the looks at accounts that were tracked, and those that began
// to track one.
func (l *Lists) Lookups() (hits, misses uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hits, l.misses
}

// A Size is how much is in memory.
type Size struct {
	Accounts, Conversations int
	Entries                 int // conversations of each account, added up
}

// Size is how much is in memory.
func (l *Lists) Size() Size {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Size{len(l.accounts), len(l.conversations), l.entries}
}

// track finds the account, or begins to track it: then the caller loads it.
func (l *Lists) track(a id.Account) (tracked *account, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tracked = l.accounts[a]; tracked != nil {
		l.hits++
		return tracked, false
	}
	l.misses++
	l.makeRoom()
	l.versions++
	tracked = &account{
		version: l.versions << 32, loaded: make(chan struct{}),
		member: map[id.Conversation]*membership{}, used: l.now(),
	}
	l.accounts[a], l.loading[a] = tracked, tracked
	return tracked, true
}

// load reads what the account has, no older than what was told before the account
// was tracked: what comes after that is heard meanwhile. Others may wait for it, too: where it
// was given less time than they have, they try again.
func (l *Lists) load(ctx context.Context, a id.Account, tracked *account, wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
	found, err := l.store.Memberships(ctx, a, l.feed.Taken())
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(tracked.loaded)
	if err != nil {
		if wait == loadWait {
			tracked.err = fmt.Errorf("load the conversations of %s: %w", a, err)
		}
		l.drop(a, tracked)
		return
	}
	if l.accounts[a] != tracked {
		return // dropped: whoever waits loads it again
	}
	for _, e := range found {
		l.join(a, tracked, e)
	}
	tracked.ready = true
	delete(l.loading, a)
	for _, e := range tracked.heard {
		l.apply(a, tracked, e)
	}
	tracked.heard = nil
}

func (l *Lists) join(a id.Account, tracked *account, e Entry) {
	c := l.conversations[e.Conversation]
	if c == nil {
		c = &conversation{createdAt: e.CreatedAt, pending: e.Pending, tracked: map[id.Account]*account{}}
		l.conversations[e.Conversation] = c
	}
	c.advance(e.Last)
	if last, ok := l.feed.Last(e.Conversation); ok {
		c.advance(last)
	}
	c.advance(l.own.last(e.Conversation))
	if tracked.member[e.Conversation] == nil {
		l.entries++
	}
	tracked.member[e.Conversation] = &membership{conversation: c, read: e.Read}
	c.tracked[a] = tracked
}

func (l *Lists) leave(a id.Account, tracked *account, of id.Conversation) {
	m := tracked.member[of]
	if m == nil {
		return
	}
	delete(tracked.member, of)
	l.entries--
	delete(m.conversation.tracked, a)
	if len(m.conversation.tracked) == 0 {
		delete(l.conversations, of)
	}
}

// drop stops tracking an account.
func (l *Lists) drop(a id.Account, tracked *account) {
	if l.accounts[a] != tracked {
		return
	}
	delete(l.accounts, a)
	delete(l.loading, a)
	for c := range tracked.member {
		l.leave(a, tracked, c)
	}
	tracked.raise()
	tracked.wake()
}

// makeRoom drops accounts while there are too many: of a few that come to
// hand, the one that was used least lately.
func (l *Lists) makeRoom() {
	for len(l.accounts) >= l.bounds.Accounts || l.entries >= l.bounds.Entries {
		var oldest id.Account
		var victim *account
		seen := 0
		for a, tracked := range l.accounts {
			if tracked.ready && (victim == nil || tracked.used.Before(victim.used)) {
				oldest, victim = a, tracked
			}
			if seen++; seen == 8 {
				break
			}
		}
		if victim == nil {
			return
		}
		l.drop(oldest, victim)
	}
}

// raise ends what was made of the account's lists so far.
func (a *account) raise() { a.version++ }

// wake has those look again who wait for the feed.
func (a *account) wake() {
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}
