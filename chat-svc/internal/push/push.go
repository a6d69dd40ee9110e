// Package push tells connected clients what happens, as it happens
// (docs/api/events.md). One hub hears the feed, finds the connections of those
// who may hear of an event, and puts it into their queues; each queue is
// written by one goroutine at a time, which is there only while there is
// something to write.
package push

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/token"
)

// Store reads which conversations an account is in.
type Store interface {
	// Memberships gives every conversation of an account, as it was at a
	// position of the feed or later.
	Memberships(ctx context.Context, a id.Account, from events.Position) ([]lists.Entry, error)
}

// Feed is what of the event feed is needed here.
type Feed interface {
	// Applied is the position of the last change that everything knows, Taken that
	// of the newest that Listen may have heard of.
	Applied() events.Position
	Taken() events.Position
	Wait(ctx context.Context, p events.Position) (upTo events.Position, err error)
	Between(after, upTo events.Position) (found []events.Event, ok bool)
}

// Options of a Hub; all of them are required. F is an event as doors write it.
type Options[F any] struct {
	Store Store
	// Frame makes of an event what an account's clients are sent. Its cost may be
	// a look at the database. fault.ErrNotFound where there is nothing to tell it.
	Frame func(ctx context.Context, t Telling, to id.Account) (F, error)
	// Hidden tells whether what an account says in a conversation is hidden from
	// another.
	Hidden func(ctx context.Context, from, sender id.Account, c id.Conversation) (bool, error)
	// Ended tells whether a credential is good no more.
	Ended func(*token.Claims) bool
	// Most bounds the connections, MostOfOne those of one account.
	Most, MostOfOne int
	// Beat is how often a connection is sent a sign of life.
	Beat time.Duration
	Now  func() time.Time
	// Random gives from 0 to 1, to spread who comes back.
	Random func() float64
	// Panicked hears of what must not happen, for the log.
	Panicked func(error)
	// Wrote hears of each event that a client was sent at a door, and Left how a
	// connection ended.
	Wrote func(door string)
	Left  func(door string, why Why)
}

// A Hub knows who is connected. Listen must hear every event of the feed.
type Hub[F any] struct {
	Options[F]
	feed Feed

	mu            sync.Mutex
	at            events.Position // of the last event that was heard; zero: ask the feed
	accounts      map[id.Account]*account[F]
	conversations map[id.Conversation]*conversation[F]
	connections   map[*Connection[F]]struct{}
	count         int // connections, and those that are being made
	makings       makings[F]
	closed        bool
	running       sync.WaitGroup // one for each connection
}

// conversation is one in which somebody connected is.
type conversation[F any] struct {
	members map[*account[F]]struct{}
	spoke   map[id.Account]int64 // the last message of who spoke lately
}

// account is one that is connected, or about to be.
type account[F any] struct {
	id          id.Account
	loaded      chan struct{} // closed when member and err are set
	err         error
	ready       bool
	heard       []events.Event // while it loads
	member      map[id.Conversation]struct{}
	connections []*Connection[F]
	users       int // connections, and those that are being made
}

// loadWait bounds one look at what an account is in.
const loadWait = 5 * time.Second

// New makes a hub to which nobody is connected.
func New[F any](o Options[F]) *Hub[F] {
	return &Hub[F]{
		Options: o, accounts: map[id.Account]*account[F]{}, connections: map[*Connection[F]]struct{}{},
		conversations: map[id.Conversation]*conversation[F]{}, makings: makings[F]{of: map[id.Conversation]*making[F]{}},
	}
}

// Hear names the feed whose every event Listen hears, before the first
// connection.
func (h *Hub[F]) Hear(feed Feed) { h.feed = feed }

// A Request is what a client connects with.
type Request struct {
	Claims *token.Claims
	Door   string // its name in metrics
	Client string // tells the account's clients apart; "" where it does not say
	// Since is the event behind which it goes on; nil to begin with what happens
	// now.
	Since *events.Position
}

// Connect lets a client hear what its account may hear, from now on or from a
// position on. Nothing is written before Start. Faults: fault.ErrRateLimited
// where the account has too many connections, fault.ErrUnavailable.
func (h *Hub[F]) Connect(ctx context.Context, r Request) (*Connection[F], error) {
	if r.Since != nil {
		if _, err := h.feed.Wait(ctx, *r.Since); err != nil {
			return nil, err
		}
	}
	who := id.Account(r.Claims.Subject)
	a, mine, err := h.enter(who)
	if err != nil {
		return nil, err
	}
	if mine {
		h.load(ctx, a)
	}
	select {
	case <-a.loaded:
		err = a.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.leave(a)
		return nil, err
	}
	c := &Connection[F]{hub: h, account: a, Request: r, claims: r.Claims, writing: true, room: queueMost, beaten: h.Now()}
	upTo, known := h.attach(c)
	h.begin(c, upTo, known)
	return c, nil
}

// enter takes a place, and finds the account or has the caller load it.
func (h *Hub[F]) enter(who id.Account) (a *account[F], mine bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.count >= h.Most {
		return nil, false, fault.ErrUnavailable.Say("No more clients can be sent events here; try again.")
	}
	a = h.accounts[who]
	if a != nil && a.users >= h.MostOfOne {
		return nil, false, fault.ErrRateLimited.Say("The account has %d connections for events; close some.", h.MostOfOne)
	}
	if mine = a == nil; mine {
		a = &account[F]{id: who, loaded: make(chan struct{}), member: map[id.Conversation]struct{}{}}
		h.accounts[who] = a
	}
	a.users++
	h.count++
	return a, mine, nil
}

// leave gives a place back; of an account without one nothing is kept.
func (h *Hub[F]) leave(a *account[F]) {
	h.count--
	if a.users--; a.users == 0 {
		h.forget(a)
	}
}

func (h *Hub[F]) forget(a *account[F]) {
	if h.accounts[a.id] != a {
		return
	}
	delete(h.accounts, a.id)
	for c := range a.member {
		h.part(a, c)
	}
}

// load reads what the account is in, no older than what was told before the account
// entered: what comes after that is heard meanwhile.
func (h *Hub[F]) load(ctx context.Context, a *account[F]) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadWait) // others may wait for it, too
	defer cancel()
	found, err := h.Store.Memberships(ctx, a.id, h.feed.Taken())
	h.mu.Lock()
	defer h.mu.Unlock()
	defer close(a.loaded)
	if err == nil && h.accounts[a.id] != a {
		err = errForgot
	}
	if err != nil {
		a.err = fmt.Errorf("load the conversations of %s: %w", a.id, err)
		h.forget(a)
		return
	}
	for _, e := range found {
		h.join(a, e.Conversation)
	}
	for _, e := range a.heard {
		h.apply(a, e)
	}
	a.ready, a.heard = true, nil
}

// errForgot says that events were lost while an account was loaded.
var errForgot = fault.ErrUnavailable.Say("Events cannot be told at the moment; try again.")

// apply changes what an account is in.
func (h *Hub[F]) apply(a *account[F], e events.Event) {
	if e.Kind == events.MemberSet {
		h.join(a, e.Conversation)
	} else {
		h.part(a, e.Conversation)
	}
}

func (h *Hub[F]) join(a *account[F], c id.Conversation) {
	a.member[c] = struct{}{}
	if h.conversations[c] == nil {
		h.conversations[c] = &conversation[F]{members: map[*account[F]]struct{}{}}
	}
	h.conversations[c].members[a] = struct{}{}
}

func (h *Hub[F]) part(a *account[F], c id.Conversation) {
	delete(a.member, c)
	in := h.conversations[c]
	if in == nil {
		return
	}
	if delete(in.members, a); len(in.members) == 0 {
		delete(h.conversations, c)
	}
}

// attach has the connection hear what happens from now on; it gives how far
// that is, and what the account is in.
func (h *Hub[F]) attach(c *Connection[F]) (upTo events.Position, known *knowledge[F]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	upTo = h.at
	if upTo.IsZero() {
		upTo = h.feed.Applied()
	}
	c.account.connections = append(c.account.connections, c)
	h.connections[c] = struct{}{}
	h.running.Add(1)
	if c.Since != nil {
		known = &knowledge[F]{maps.Clone(c.account.member), makings[F]{of: maps.Clone(h.makings.of), order: slices.Clone(h.makings.order)}}
	}
	if h.closed || h.accounts[c.account.id] != c.account {
		c.end(Leaving)
	}
	return upTo, known
}

// detach is the end of a connection.
func (h *Hub[F]) detach(c *Connection[F]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.connections, c)
	if at := slices.Index(c.account.connections, c); at >= 0 {
		c.account.connections = slices.Delete(c.account.connections, at, at+1)
	}
	h.leave(c.account)
	h.running.Done()
}

// Count is how many clients are connected by a door.
func (h *Hub[F]) Count(door string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for c := range h.connections {
		if c.Door == door {
			n++
		}
	}
	return n
}

// lookEvery is how often connections are looked after: what ends a credential
// ends its connections two seconds later at most (docs/api/events.md).
const lookEvery = 500 * time.Millisecond

// Run looks after the connections until ctx ends: it sends signs of life, and
// ends those whose credential is good no more.
func (h *Hub[F]) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			h.look()
		case <-ctx.Done():
			return
		}
	}
}

func (h *Hub[F]) look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Now()
	for c := range h.connections {
		c.look(now)
	}
}

// Close ends all connections, telling clients to come back at moments that are
// spread, and waits until they have ended.
func (h *Hub[F]) Close(ctx context.Context) {
	h.mu.Lock()
	h.closed = true
	for c := range h.connections {
		c.end(Leaving)
	}
	h.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.running.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}
