package mongostore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/svctest"
)

// An asked is a command as it went to the database.
type asked struct {
	name    string
	raw     bson.Raw
	left    time.Duration // until its deadline
	bounded bool
}

// after is the cluster time from which on the command reads.
func (a asked) after() events.Position {
	seconds, ordinal, _ := a.raw.Lookup("readConcern", "afterClusterTime").TimestampOK()
	return events.Position{Seconds: seconds, Ordinal: ordinal}
}

// wire records the commands of a name.
type wire struct {
	mu  sync.Mutex
	all []asked
}

func (w *wire) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(ctx context.Context, e *event.CommandStartedEvent) {
		deadline, bounded := ctx.Deadline()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = append(w.all, asked{e.CommandName, append(bson.Raw(nil), e.Command...), time.Until(deadline), bounded})
	}}
}

// during gives the commands of a name that do sends.
func (w *wire) during(name string, do func()) []asked {
	w.mu.Lock()
	w.all = nil
	w.mu.Unlock()
	do()
	w.mu.Lock()
	defer w.mu.Unlock()
	var named []asked
	for _, a := range w.all {
		if a.name == name {
			named = append(named, a)
		}
	}
	return named
}

// What a refusal is settled by is what a majority has, not before the refused
// write; so is what memory is filled from, not before what the feed has told.
// Nothing waits for that without a bound.
func TestReadsThatWaitForAMajority(t *testing.T) {
	t.Parallel()
	w := &wire{}
	db, settings := svctest.Database(t, w.monitor())
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	s := mongostore.New(db)
	c := inserted(t, s, group(0, "one"), 2)
	say(t, s, c.ID, 1, 1)
	session, err := s.Begin()
	require.NoError(t, err)
	defer session.End()
	refused, err := session.Insert(t.Context(), []sequence.Message{row(c.ID, 1, "another")})
	require.NoError(t, err)
	require.Equal(t, sequence.PlaceTaken, refused.Refusal)
	now, err := s.Checkpoint(t.Context())
	require.NoError(t, err)
	told := events.Position{Seconds: now.Seconds, Ordinal: now.Ordinal}

	settles, fills := 5*time.Second, settings.Timeout // settleWait, and the driver's own bound
	tests := map[string]struct {
		read func() error
		at   events.Position // zero: that of the refused write, whichever it is
		most time.Duration
	}{
		"the rows from a refused place on": {most: settles, read: func() error {
			_, err := session.From(t.Context(), c.ID, 1, 10)
			return err
		}},
		"the first one under a key": {most: settles, read: func() error {
			_, _, err := session.ByKey(t.Context(), c.ID, account(1), "k")
			return err
		}},
		"what rights are read in": {most: fills, at: told, read: func() error {
			return s.From(t.Context(), told, func(ctx context.Context) error {
				_, err := s.MembersAmong(ctx, c.ID, []id.Account{account(1)})
				return err
			})
		}},
		"the conversations of an account": {most: fills, at: told, read: func() error {
			_, err := s.Memberships(t.Context(), account(1), told)
			return err
		}},
	}
	for name, tt := range tests { // one after another: they share the record
		finds := w.during("find", func() { require.NoError(t, tt.read(), name) })
		require.NotEmpty(t, finds, name)
		for _, find := range finds {
			require.Equal(t, "majority", find.raw.Lookup("readConcern", "level").StringValue(), name)
			require.False(t, find.after().IsZero(), name)
			require.False(t, find.after().Before(tt.at), name)
			require.True(t, find.bounded, name)
			require.LessOrEqual(t, find.left, tt.most, name)
		}
	}
}

// A database that does not answer holds up the end of a stream for two seconds
// at most.
func TestAStreamEndsWithinABound(t *testing.T) {
	t.Parallel()
	w := &wire{}
	db, _ := svctest.Database(t, w.monitor())
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	s := mongostore.New(db)
	p, err := s.Checkpoint(t.Context())
	require.NoError(t, err)
	changes, err := s.Changes(t.Context(), p)
	require.NoError(t, err)
	kills := w.during("killCursors", changes.Close)
	require.Len(t, kills, 1)
	require.True(t, kills[0].bounded)
	require.LessOrEqual(t, kills[0].left, 2*time.Second)
}
