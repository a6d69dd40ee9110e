package mongostore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/svctest"
)

// heard records what a feed tells.
type heard struct {
	mu     sync.Mutex
	events []events.Event
	resets int // how often it was told to forget
}

func (h *heard) listen(e events.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Position.IsZero() {
		h.resets++
	}
	if e.Kind != events.Nothing && e.Kind != events.CheckpointMoved {
		h.events = append(h.events, e)
	}
}

func (h *heard) forgot() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.resets
}

func (h *heard) all() []events.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]events.Event(nil), h.events...)
}

// run follows the store's feed until the test ends or stop is called.
func run(t *testing.T, s *mongostore.Store, keep bool) (*events.Feed, *heard, func()) {
	t.Helper()
	logger, _ := svctest.Logs(t)
	h := &heard{}
	checkpoint, err := s.Checkpoint(t.Context())
	require.NoError(t, err)
	f := events.New(events.Options{Source: s, Checkpoint: checkpoint, Memory: 1 << 20, Now: time.Now, Logger: logger}, h.listen)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var owned sync.WaitGroup
	owned.Go(func() { f.Run(ctx) })
	if keep {
		owned.Go(func() { events.NewKeeper(f, s, "test", time.Now, logger).Run(ctx) })
	}
	stop := func() { cancel(); owned.Wait() }
	t.Cleanup(stop)
	require.Eventually(t, func() bool { return f.Healthy() == "" }, 30*time.Second, 5*time.Millisecond)
	return f, h, stop
}

func TestFeedTellsEveryChangeInOrder(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	f, h, _ := run(t, s, false)
	c := inserted(t, s, group(0, "one"), 2)
	say(t, s, c.ID, 1, 1, 2, 3)

	require.Eventually(t, func() bool { return len(kinds(h.all(), events.MessageSent)) == 3 }, 30*time.Second, 5*time.Millisecond)
	all := h.all()
	for i := 1; i < len(all); i++ {
		require.True(t, all[i-1].Position.Before(all[i].Position), "positions grow")
	}
	for i, e := range kinds(all, events.MessageSent) {
		require.Equal(t, int64(i+1), e.Message.ID.Seq)
		require.Equal(t, c.ID, e.Conversation)
	}
	require.Len(t, kinds(all, events.MemberSet), 2)
	require.Len(t, kinds(all, events.ConversationSet), 1)

	first := kinds(all, events.MessageSent)[0]
	upTo, err := f.Wait(t.Context(), kinds(all, events.MessageSent)[2].Position)
	require.NoError(t, err)
	after, ok := f.Between(first.Position, upTo)
	require.True(t, ok)
	require.Len(t, kinds(after, events.MessageSent), 2)
	last, known := f.Last(c.ID)
	require.True(t, known)
	require.Equal(t, sequence.Place{Seq: 3, At: at(3)}, last)
}

func kinds(all []events.Event, kind events.Kind) []events.Event {
	var some []events.Event
	for _, e := range all {
		if e.Kind == kind {
			some = append(some, e)
		}
	}
	return some
}

func TestTwoReplicasGiveEveryChangeTheSamePosition(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	_, one, _ := run(t, s, false)
	_, two, _ := run(t, s, false)
	c := inserted(t, s, group(0, "one"), 2, 3, 4)
	say(t, s, c.ID, 1, 1, 2)
	for _, h := range []*heard{one, two} {
		require.Eventually(t, func() bool { return len(kinds(h.all(), events.MessageSent)) == 2 }, 30*time.Second, 5*time.Millisecond)
	}
	require.Equal(t, one.all(), two.all())
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	f, _, stop := run(t, s, true)
	c := inserted(t, s, group(0, "one"), 2)
	say(t, s, c.ID, 1, 1, 2)

	require.Eventually(t, func() bool {
		v, err := s.View(t.Context(), account(1), c.ID)
		return err == nil && v.Last.Seq == 2 && f.Behind() == 0
	}, 30*time.Second, 20*time.Millisecond, "the document has the last message")

	stop()
	say(t, s, c.ID, 3, 3)
	later := inserted(t, s, group(4, "two"), 2)
	say(t, s, later.ID, 4, 1)

	// A start knows what was sent while nobody followed.
	f, h, _ := run(t, s, false)
	require.Eventually(t, func() bool {
		last, _ := f.Last(c.ID)
		other, _ := f.Last(later.ID)
		return last.Seq == 3 && other.Seq == 1
	}, 30*time.Second, 5*time.Millisecond)
	require.NotEmpty(t, h.all())
}

// Where the changes since the checkpoint are lost, documents are made right from
// the messages, and never set back.
func TestRepair(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	behind, right, silent := inserted(t, s, group(0, "one"), 2), inserted(t, s, group(1, "two"), 2), inserted(t, s, group(2, "three"), 2)
	say(t, s, behind.ID, 1, 1, 2, 3)
	say(t, s, right.ID, 1, 1, 2)
	require.NoError(t, s.SaveActivity(t.Context(), []events.Activity{
		{Conversation: behind.ID, Last: sequence.Place{Seq: 1, At: at(1)}},
		{Conversation: right.ID, Last: sequence.Place{Seq: 2, At: at(2)}},
	}))
	first, err := s.Checkpoint(t.Context())
	require.NoError(t, err)
	say(t, s, right.ID, 3, 3)

	repaired, err := s.Repair(t.Context())
	require.NoError(t, err)
	require.True(t, first.Before(repaired))
	checkpoint, err := s.Checkpoint(t.Context())
	require.NoError(t, err)
	require.Equal(t, repaired, checkpoint)
	entries, err := s.Memberships(t.Context(), account(1), checkpoint)
	require.NoError(t, err)
	last := map[id.Conversation]sequence.Place{}
	for _, e := range entries {
		last[e.Conversation] = e.Last
	}
	require.Equal(t, map[id.Conversation]sequence.Place{
		behind.ID: {Seq: 3, At: at(3)}, right.ID: {Seq: 3, At: at(3)}, silent.ID: {},
	}, last)
}

// A stream whose database is dropped does not go on saying that nothing came.
func TestAStreamOfADroppedDatabase(t *testing.T) {
	t.Parallel()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	s := mongostore.New(db)
	p, err := s.Checkpoint(t.Context())
	require.NoError(t, err)
	changes, err := s.Changes(t.Context(), p)
	require.NoError(t, err)
	defer changes.Close()
	require.NoError(t, db.Drop(t.Context()))
	begun := time.Now()
	for calls := 0; time.Since(begun) < 2*time.Second; calls++ {
		if _, _, err := changes.Next(t.Context()); err != nil {
			return
		}
		require.Less(t, calls, 100, "it waits for changes that cannot come")
	}
}

func TestLeaseHasOneHolder(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	now := time.Now()
	take := func(holder string, at time.Time) bool {
		mine, err := s.Lease(t.Context(), "work", holder, at, at.Add(5*time.Second))
		require.NoError(t, err)
		return mine
	}
	require.True(t, take("a", now))
	require.True(t, take("a", now.Add(time.Second)), "renewed")
	require.False(t, take("b", now.Add(2*time.Second)))
	require.True(t, take("b", now.Add(7*time.Second)), "expired")
	require.False(t, take("a", now.Add(8*time.Second)))
	require.False(t, take("c", now.Add(3*time.Second)), "a clock that is a little behind waits")
	require.True(t, take("c", now.Add(time.Hour)), "one that is ahead takes it")
	require.True(t, take("a", now.Add(9*time.Second)), "and does not hold it until then")
	other, err := s.Lease(t.Context(), "other work", "a", now, now.Add(5*time.Second))
	require.NoError(t, err)
	require.True(t, other, "each work has a lease of its own")
}

// A row that no version of this process has written stops nobody: the feed goes
// on behind it, and what was known is forgotten.
func TestAChangeThatCannotBeRead(t *testing.T) {
	t.Parallel()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	s := mongostore.New(db)
	c := inserted(t, s, group(0, "one"), 2)
	f, h, _ := run(t, s, false)
	for collection, bad := range map[string]bson.D{
		"messages":    {{Key: "_id", Value: "no place"}, {Key: "c", Value: 1}, {Key: "s", Value: "no number"}},
		"members":     {{Key: "_id", Value: "nobody"}, {Key: "c", Value: "no conversation"}},
		"memberships": {{Key: "_id", Value: "none"}, {Key: "a", Value: 1}},
	} {
		_, err := db.Collection(collection).InsertOne(t.Context(), bad)
		require.NoError(t, err)
	}
	say(t, s, c.ID, 1, 1)
	require.Eventually(t, func() bool { return len(kinds(h.all(), events.MessageSent)) == 1 && f.Healthy() == "" }, 30*time.Second, 5*time.Millisecond)
	require.EqualValues(t, 3, f.Unread())
	require.Equal(t, 3, h.forgot())
}
