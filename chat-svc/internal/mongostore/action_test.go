package mongostore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/svckit/svctest"
)

// Every replica tells an action once, in its place among the changes, and nobody
// who catches up hears of it.
func TestAnActionIsToldAndNotKept(t *testing.T) {
	t.Parallel()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	s := mongostore.New(db)
	feed, one, _ := run(t, s, false)
	_, two, _ := run(t, s, false)
	c := id.NewGroup()
	for _, action := range []string{"typing", "", "a word of the client's"} {
		require.NoError(t, s.TellAction(t.Context(), c, account(1), action, at(0)))
	}
	// They expire; to hear of that is to hear of nothing.
	gone, err := db.Collection("ephemeral").DeleteMany(t.Context(), bson.D{})
	require.NoError(t, err)
	require.EqualValues(t, 3, gone.DeletedCount)
	say(t, s, c, 1, 1)
	for _, h := range []*heard{one, two} {
		require.Eventually(t, func() bool { return len(h.all()) == 4 }, 20*time.Second, 5*time.Millisecond)
	}
	require.Equal(t, one.all(), two.all())
	for i, action := range []string{"typing", "", "a word of the client's"} {
		e := one.all()[i]
		require.Equal(t, events.Event{
			Position: e.Position, Kind: events.Typing, Conversation: c, Account: account(1), Action: action,
		}, e)
	}
	sent := one.all()[3]
	upTo, err := feed.Wait(t.Context(), sent.Position)
	require.NoError(t, err)
	told, ok := feed.Between(one.all()[0].Position, upTo)
	require.True(t, ok)
	require.Equal(t, []events.Event{sent}, told)
	require.Zero(t, feed.Unread())
}

// An action waits for no majority and no journal, and the database removes it.
func TestAnActionIsWrittenLightly(t *testing.T) {
	t.Parallel()
	w := &wire{}
	db, _ := svctest.Database(t, w.monitor())
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	s := mongostore.New(db)
	inserts := w.during("insert", func() {
		require.NoError(t, s.TellAction(t.Context(), id.NewGroup(), account(1), "typing", at(0)))
	})
	require.Len(t, inserts, 1)
	concern := inserts[0].raw.Lookup("writeConcern")
	require.EqualValues(t, 1, concern.Document().Lookup("w").AsInt64())
	require.False(t, concern.Document().Lookup("j").Boolean())
	doc, err := db.Collection("ephemeral").FindOne(t.Context(), bson.D{}).Raw()
	require.NoError(t, err)
	require.Equal(t, at(30), doc.Lookup("expires_at").Time().UTC())
}
