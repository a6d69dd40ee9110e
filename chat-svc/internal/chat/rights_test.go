package chat_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/svctest"
)

// A replica has rights of its own, whose feed comes through a proxy of its own,
// beside the store that other replicas change.
type replica struct {
	*chat.Service
	store    *mongostore.Store
	slow     *slow
	commands *svctest.Commands // of its requests; the feed has another connection
	feed     *svctest.Proxy
	clock    *svctest.Clock
	told     chan events.Event                  // what changes rights, when the feed has told it
	telling  atomic.Pointer[func(events.Event)] // is called while the feed tells it
	group    id.Conversation
}

// A slow store is the real one, which can be held up after a look at a member,
// counts the rows that catching up reads, and may not tell an account's
// conversations.
type slow struct {
	*mongostore.Store
	looked, goOn chan struct{}
	rows         atomic.Int64
	memberships  error                           // that reading an account's conversations ends in
	from         atomic.Pointer[events.Position] // the last position that was read from
}

func (s *slow) From(ctx context.Context, p events.Position, read func(context.Context) error) error {
	s.from.Store(&p)
	return s.Store.From(ctx, p, read)
}

func (s *slow) Member(ctx context.Context, c id.Conversation, a id.Account) (chat.Member, error) {
	m, err := s.Store.Member(ctx, c, a)
	if s.looked != nil {
		s.looked <- struct{}{}
		<-s.goOn
	}
	return m, err
}

// newReplica has account 1 own a group in which account 2 is.
func newReplica(t *testing.T) *replica {
	t.Helper()
	r := &replica{commands: &svctest.Commands{}, clock: svctest.NewClock(), told: make(chan events.Event, 64)}
	db, settings := svctest.Database(t, r.commands.Monitor())
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	r.store = mongostore.New(db)
	r.slow = &slow{Store: r.store}
	settings.URI, r.feed = svctest.NewProxy(t, settings.URI)
	rights := chat.NewRights(r.slow, r.clock.Now)
	source := mongostore.New(svctest.Open(t, settings))
	checkpoint, err := source.Checkpoint(t.Context())
	require.NoError(t, err)
	feed := events.New(events.Options{
		Source: source, Checkpoint: checkpoint, Memory: 1 << 20, Now: r.clock.Now, Logger: slog.New(slog.DiscardHandler),
	}, rights.Listen, r.listen)
	rights.Hear(feed)
	r.Service = serviceOn(t, r.slow, feed, rights, r.clock.Now)
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { feed.Run(ctx) })
	t.Cleanup(func() { cancel(); following.Wait() })
	require.Eventually(t, func() bool { return feed.Healthy() == "" }, 30*time.Second, 5*time.Millisecond)
	made, err := r.Create(t.Context(), account(1), chat.NewConversation{Type: chat.Group, Members: []id.Account{account(2)}})
	require.NoError(t, err)
	r.group = made.ID
	r.hear(t, events.MemberSet, account(2))
	return r
}

func (r *replica) listen(e events.Event) {
	switch e.Kind {
	case events.MemberSet, events.MemberGone, events.BlocksChanged, events.ConversationClosed:
		if telling := r.telling.Load(); telling != nil {
			(*telling)(e)
		}
		r.told <- e
	}
}

// hear waits until the feed has told of an account.
func (r *replica) hear(t *testing.T, kind events.Kind, a id.Account) {
	t.Helper()
	for {
		select {
		case e := <-r.told:
			if e.Kind == kind && e.Account == a {
				return
			}
		case <-time.After(20 * time.Second):
			require.Fail(t, "the feed does not tell")
		}
	}
}

// look asks for what only members see.
func (r *replica) look(t *testing.T, a id.Account) error {
	t.Helper()
	_, _, err := r.Members(t.Context(), a, r.group, account(9), 1)
	return err
}

// free tells whether a look needs no membership from the database.
func (r *replica) free(t *testing.T, a id.Account) bool {
	t.Helper()
	r.commands.Reset()
	require.NoError(t, r.look(t, a))
	return len(r.commands.Sent("find")) == 1 // the page
}

func (r *replica) remembers(t *testing.T, a id.Account) {
	t.Helper()
	require.Eventually(t, func() bool { return r.free(t, a) }, 30*time.Second, 5*time.Millisecond)
}

// elsewhere removes account 2 as another replica does.
func (r *replica) elsewhere(t *testing.T) {
	t.Helper()
	_, err := r.store.ChangeConversation(t.Context(), r.group, []id.Account{account(2)}, func(chat.Conversation, []chat.Member) (chat.Change, error) {
		return chat.Change{At: time.Now(), Leaves: account(2)}, nil
	})
	require.NoError(t, err)
}

func TestRightsLiveWhileTheFeedTells(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.remembers(t, account(2))
	for range 3 {
		r.clock.Advance(time.Hour)
		r.remembers(t, account(2))
	}
	r.elsewhere(t)
	r.hear(t, events.MemberGone, account(2))
	require.ErrorIs(t, r.look(t, account(2)), fault.ErrNotFound)
	require.NoError(t, r.look(t, account(1)))
}

// Without the feed what was known is believed for two seconds.
func TestRightsWithoutTheFeed(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.remembers(t, account(2))
	r.feed.Cut()
	r.elsewhere(t)
	r.clock.Advance(2 * time.Second)
	require.ErrorIs(t, r.look(t, account(2)), fault.ErrNotFound, "the removal shows")
	require.False(t, r.free(t, account(1)), "two seconds after it was heard of last")
	require.True(t, r.free(t, account(1)), "and for two seconds from then on")
	r.clock.Advance(2 * time.Second)
	require.False(t, r.free(t, account(1)))
	r.feed.Restore()
	r.hear(t, events.MemberGone, account(2))
	r.remembers(t, account(1))
	r.clock.Advance(time.Hour)
	r.remembers(t, account(1))
}

// A membership that was read before the feed told of its end is not kept.
func TestRightsThatEndWhileTheyAreRead(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.slow.looked, r.slow.goOn = make(chan struct{}), make(chan struct{})
	answered := make(chan error)
	go func() { answered <- r.look(t, account(2)) }()
	<-r.slow.looked
	r.elsewhere(t)
	r.hear(t, events.MemberGone, account(2))
	r.slow.goOn <- struct{}{}
	require.NoError(t, <-answered, "it was a member when it asked")
	r.slow.looked = nil
	require.ErrorIs(t, r.look(t, account(2)), fault.ErrNotFound)
}

// What is read while the feed tells of a change, when rights have ended what they
// knew and the change does not count as applied yet, is read from that change on:
// a database that lags would otherwise give what was ended.
func TestRightsThatAreReadWhileTheFeedTells(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.remembers(t, account(2))
	type read struct{ told, from events.Position }
	reads := make(chan read, 1)
	telling := func(e events.Event) {
		if e.Kind == events.MemberGone {
			_, _, err := r.Members(context.Background(), account(2), r.group, account(9), 1)
			if errors.Is(err, fault.ErrNotFound) {
				reads <- read{e.Position, *r.slow.from.Load()}
			}
			close(reads)
		}
	}
	r.telling.Store(&telling)
	r.elsewhere(t)
	r.hear(t, events.MemberGone, account(2))
	got, refused := <-reads
	require.True(t, refused, "the removal shows")
	require.False(t, got.from.Before(got.told), "read from %v, told of %v", got.from, got.told)
}

// Many who ask at once are answered by one read.
func TestRightsAreReadOnce(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.slow.looked, r.slow.goOn = make(chan struct{}, 16), make(chan struct{})
	answered := make(chan error)
	for range 8 {
		go func() { answered <- r.look(t, account(2)) }()
	}
	<-r.slow.looked
	close(r.slow.goOn)
	for range 8 {
		require.NoError(t, <-answered)
	}
	require.Empty(t, r.slow.looked)
}
