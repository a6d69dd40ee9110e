package lists_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/sequence"
)

// bounds are small, so that everything is met.
const (
	mostAccounts = 3
	mostEntries  = 8
)

// A world is a database, a feed that tells its changes later, and lists.
type world struct {
	*lists.Lists
	now           time.Time
	conversations map[id.Conversation]*conversation
	told          map[id.Conversation]int64 // how far the feed told of messages
	own           map[id.Conversation]int64 // what this process wrote
	untold        []events.Event
	position      uint32                                  // of the last change
	taken         uint32                                  // of the last one that was told
	past          map[uint32]map[id.Account][]lists.Entry // what the database had at a position

	calls   chan uint32         // a load that reads, from a position on
	answers chan []lists.Entry  // what it is given; nil breaks it
	ended   chan error          // of a load
	loads   map[id.Account]bool // in flight: at most one
	from    uint32              // where the load reads, or later
	read    []lists.Entry       // by the load, and not answered yet

	versions map[id.Account]uint64
	shown    map[id.Account]string // what the lists showed under the version
}

type conversation struct {
	last    int64
	pending bool
	closed  bool
	edits   int                  // that the feed told, or this process made
	members map[id.Account]int64 // read marks
}

func newWorld() *world {
	w := &world{
		now: time.Unix(1_800_000_000, 0), conversations: map[id.Conversation]*conversation{},
		past: map[uint32]map[id.Account][]lists.Entry{}, told: map[id.Conversation]int64{}, own: map[id.Conversation]int64{},
		calls: make(chan uint32), answers: make(chan []lists.Entry), ended: make(chan error), loads: map[id.Account]bool{},
		versions: map[id.Account]uint64{}, shown: map[id.Account]string{},
	}
	w.Lists = lists.New(w, func() time.Time { return w.now }, lists.Bounds{Accounts: mostAccounts, Entries: mostEntries})
	w.Hear(w)
	return w
}

// Memberships implements lists.Store: when it answers, and whether, is decided
// by the test.
func (w *world) Memberships(_ context.Context, _ id.Account, from events.Position) ([]lists.Entry, error) {
	w.calls <- from.Seconds - 1
	if all := <-w.answers; all != nil {
		return all, nil
	}
	return nil, errors.New("the database is away")
}

// Taken and Last implement lists.Feed.
func (w *world) Taken() events.Position { return events.Position{Seconds: w.taken + 1} }

func (w *world) Last(c id.Conversation) (sequence.Place, bool) {
	return sequence.Place{Seq: w.told[c], At: w.at(w.told[c])}, w.told[c] > 0
}

func (w *world) at(seq int64) time.Time {
	if seq == 0 {
		return time.Time{}
	}
	return time.Unix(seq, 0)
}

// rows are what the database has of an account.
func (w *world) rows(a id.Account) []lists.Entry {
	all := []lists.Entry{}
	for c, conversation := range w.conversations {
		if read, member := conversation.members[a]; member {
			last := min(conversation.last, w.told[c])
			all = append(all, lists.Entry{
				Conversation: c, CreatedAt: time.Unix(1, 0), Read: read, Pending: conversation.pending,
				Last: sequence.Place{Seq: last, At: w.at(last)},
			})
		}
	}
	return all
}

// remember keeps what the database has now.
func (w *world) remember() {
	now := map[id.Account][]lists.Entry{}
	for _, a := range accounts() {
		now[a] = w.rows(a)
	}
	w.past[w.position] = now
}

// was gives what the database had at a position, or as soon after it as all of
// what happened at once had. Documents of conversations lag behind what was
// sent.
func (w *world) was(a id.Account, at uint32, lag int64) []lists.Entry {
	for w.past[at] == nil {
		at++
	}
	all := []lists.Entry{}
	for _, e := range w.past[at][a] {
		last := max(0, e.Last.Seq-lag)
		e.Last = sequence.Place{Seq: last, At: w.at(last)}
		all = append(all, e)
	}
	return all
}

// commit writes a change that the feed tells later.
func (w *world) commit(e events.Event) {
	w.position++
	e.Position = events.Position{Seconds: w.position + 1}
	w.untold = append(w.untold, e)
}

// tell has the feed apply its next change.
func (w *world) tell() {
	e := w.untold[0]
	w.untold = w.untold[1:]
	switch e.Kind {
	case events.MessageSent:
		w.told[e.Conversation] = e.Message.ID.Seq
	case events.MessageChanged:
		w.conversations[e.Conversation].edits++
	}
	w.taken = e.Position.Seconds - 1
	w.Listen(e)
}

// settle waits until the load at hand reads (again) or has ended.
func (w *world) settle(a id.Account) (err error) {
	w.read = nil
	select {
	case w.from = <-w.calls:
	case err = <-w.ended:
		delete(w.loads, a)
	}
	return err
}

func accounts() []id.Account {
	all := make([]id.Account, 5)
	for n := range all {
		all[n] = id.Account(fmt.Sprintf("agt_%020d", n))
	}
	return all
}

// uncertain tells whether the feed has still to tell something of the kinds,
// of an account in a conversation: then lists may show what was before, or
// what is.
func (w *world) uncertain(c id.Conversation, a id.Account, kinds ...events.Kind) bool {
	return slices.ContainsFunc(w.untold, func(e events.Event) bool {
		return e.Conversation == c && (e.Account == a || e.Account == "") && slices.Contains(kinds, e.Kind)
	})
}

// check holds what is in memory of an account against the database and what the
// feed has told.
func (w *world) check(t *rapid.T, a id.Account) {
	version, tracked := w.Version(a)
	if !tracked {
		return
	}
	entries, err := w.Of(context.Background(), a)
	require.NoError(t, err)
	found := map[id.Conversation]lists.Entry{}
	for _, e := range entries {
		found[e.Conversation] = e
	}
	require.Len(t, found, len(entries))
	shown := ""
	for _, c := range w.order() {
		is := w.conversations[c]
		e, listed := found[c]
		read, member := is.members[a]
		if !w.uncertain(c, a, events.MemberSet, events.MemberGone, events.ConversationClosed, events.ConversationSet) {
			require.Equal(t, member && !is.pending, listed, "%s in %s", a, c)
		}
		if !listed {
			continue
		}
		require.LessOrEqual(t, e.Last.Seq, is.last)
		require.GreaterOrEqual(t, e.Last.Seq, w.told[c], "what the feed has told")
		require.GreaterOrEqual(t, e.Last.Seq, w.own[c], "what this process wrote")
		require.True(t, e.Last.At.Equal(w.at(e.Last.Seq)))
		if member && !w.uncertain(c, a, events.ReadMoved, events.MemberSet, events.MemberGone, events.ConversationClosed) {
			require.Equal(t, read, e.Read)
		}
		shown += fmt.Sprint(c, e.Last.Seq, is.edits, "; ")
	}
	if version == w.versions[a] {
		require.Equal(t, w.shown[a], shown, "what is shown changed and the version did not")
	}
	require.GreaterOrEqual(t, version, w.versions[a], "a version is never given out again")
	w.versions[a], w.shown[a] = version, shown
}

// checkSize holds what is kept against what is shown.
func (w *world) checkSize(t *rapid.T) {
	size := w.Size()
	require.LessOrEqual(t, size.Accounts, mostAccounts)
	require.Less(t, size.Entries, mostEntries+len(w.conversations))
	if len(w.loads) > 0 || slices.ContainsFunc(w.untold, func(e events.Event) bool { return e.Kind == events.ConversationSet }) {
		return
	}
	want := lists.Size{}
	distinct := map[id.Conversation]bool{}
	for _, a := range accounts() {
		if _, tracked := w.Version(a); !tracked {
			continue
		}
		entries, err := w.Of(context.Background(), a)
		require.NoError(t, err)
		want.Accounts++
		want.Entries += len(entries)
		for _, e := range entries {
			distinct[e.Conversation] = true
		}
	}
	want.Conversations = len(distinct)
	for _, c := range w.conversations {
		if c.pending { // is kept and not shown
			require.GreaterOrEqual(t, size.Entries, want.Entries)
			return
		}
	}
	require.Equal(t, want, size)
}

func (w *world) order() []id.Conversation {
	all := make([]id.Conversation, 0, len(w.conversations))
	for c := range w.conversations {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b id.Conversation) int { return slices.Compare(a[:], b[:]) })
	return all
}

// one draws a conversation that which takes, with a member or another account.
func (w *world) one(t *rapid.T, member bool) (id.Conversation, *conversation, id.Account) {
	c := id.Conversation{byte(rapid.IntRange(0, 5).Draw(t, "conversation"))}
	a := rapid.SampledFrom(accounts()).Draw(t, "account")
	is := w.conversations[c]
	if is == nil || is.closed {
		t.Skip("there is none")
	}
	if _, in := is.members[a]; in != member {
		t.Skip("it is none")
	}
	return c, is, a
}
