package lists_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/sequence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func here(t *rapid.T) bool { return rapid.Bool().Draw(t, "by this process") }

func (w *world) messages() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"something is said": func(t *rapid.T) {
			c, is, _ := w.one(t, true)
			if is.pending {
				t.Skip("nobody sees it")
			}
			is.last++
			said := id.Message{Conversation: c, Seq: is.last}
			w.commit(events.Event{Kind: events.MessageSent, Conversation: c, Message: &sequence.Message{ID: said, CreatedAt: w.at(is.last)}})
			if here(t) {
				w.own[c] = is.last
				w.Sent(said, w.at(is.last))
			}
		},
		"something is edited": func(t *rapid.T) {
			c, is, _ := w.one(t, true)
			w.commit(events.Event{Kind: events.MessageChanged, Conversation: c})
			if here(t) {
				is.edits++
				w.Changed(c)
			}
		},
		"something is read": func(t *rapid.T) {
			c, is, a := w.one(t, true)
			is.members[a] = rapid.Int64Range(is.members[a], is.last).Draw(t, "read")
			w.commit(events.Event{Kind: events.ReadMoved, Conversation: c, Account: a, Seq: is.members[a]})
			if here(t) {
				w.Read(a, c, is.members[a])
			}
		},
	}
}

func (w *world) members() map[string]func(*rapid.T) {
	change := func(t *rapid.T, e events.Event) {
		w.commit(e)
		if here(t) {
			w.Forget(e.Account)
		}
	}
	return map[string]func(*rapid.T){
		"a group is made": func(t *rapid.T) {
			c := id.Conversation{byte(len(w.conversations))}
			if c[0] > 5 {
				t.Skip("there are enough")
			}
			w.conversations[c] = &conversation{pending: rapid.Bool().Draw(t, "pending"), members: map[id.Account]int64{}}
			for _, a := range accounts()[:rapid.IntRange(1, 5).Draw(t, "members")] {
				w.conversations[c].members[a] = 0
				change(t, events.Event{Kind: events.MemberSet, Conversation: c, Account: a})
			}
		},
		"a group is published": func(t *rapid.T) {
			c, is, _ := w.one(t, true)
			is.pending = false
			w.commit(events.Event{Kind: events.ConversationSet, Conversation: c})
			if here(t) {
				w.Forget(accounts()...)
			}
		},
		"a group is closed": func(t *rapid.T) {
			c, is, _ := w.one(t, true)
			if is.pending {
				t.Skip("nobody sees it")
			}
			is.closed, is.members = true, nil
			w.commit(events.Event{Kind: events.ConversationClosed, Conversation: c})
			if here(t) {
				w.Closed(c)
			}
		},
		"somebody joins": func(t *rapid.T) {
			c, is, a := w.one(t, false)
			is.members[a] = is.last
			change(t, events.Event{Kind: events.MemberSet, Conversation: c, Account: a})
		},
		"a role changes": func(t *rapid.T) {
			c, _, a := w.one(t, true)
			change(t, events.Event{Kind: events.MemberSet, Conversation: c, Account: a})
		},
		"somebody leaves": func(t *rapid.T) {
			c, is, a := w.one(t, true)
			delete(is.members, a)
			change(t, events.Event{Kind: events.MemberGone, Conversation: c, Account: a})
		},
		"blocks change": func(t *rapid.T) {
			change(t, events.Event{Kind: events.BlocksChanged, Account: rapid.SampledFrom(accounts()).Draw(t, "account")})
		},
	}
}

func (w *world) machinery() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"the feed tells": func(t *rapid.T) {
			for range rapid.IntRange(0, 4).Draw(t, "changes") {
				if len(w.untold) > 0 {
					w.tell()
				}
			}
		},
		"the feed missed too much": func(*rapid.T) {
			for _, e := range w.untold {
				if e.Kind == events.MessageChanged {
					w.conversations[e.Conversation].edits++
				}
			}
			w.untold, w.taken = nil, w.position
			for c, is := range w.conversations {
				w.told[c] = is.last
			}
			w.Listen(events.Event{})
		},
		"time passes": func(*rapid.T) {
			for len(w.untold) > 0 {
				w.tell()
			}
			w.now = w.now.Add(3 * time.Second)
		},
		"an account asks": func(t *rapid.T) {
			if len(w.loads) > 0 {
				t.Skip("another one does")
			}
			a := rapid.SampledFrom(accounts()).Draw(t, "account")
			w.loads[a] = true
			go func() { _, err := w.Of(context.Background(), a); w.ended <- err }()
			require.NoError(t, w.settle(a))
		},
		"its conversations are read": func(t *rapid.T) {
			for a := range w.loads {
				w.read = w.was(a, rapid.SampledFrom([]uint32{w.from, w.position}).Draw(t, "position"), rapid.Int64Range(0, 2).Draw(t, "lag"))
			}
		},
		"what was read comes": func(t *rapid.T) {
			for a := range w.loads {
				if w.read == nil {
					t.Skip("nothing was read")
				}
				w.answers <- w.read
				_ = w.settle(a) // it may be read again, and no more in the end
			}
		},
		"the database breaks": func(t *rapid.T) {
			for a := range w.loads {
				w.answers <- nil
				require.Error(t, w.settle(a))
			}
		},
	}
}

// Whatever happens, in whatever order, and whatever of it happens while an
// account is loaded: what is in memory is what the database has, as far as the
// feed has told it or further; own changes are in it at once; and nothing stays
// of accounts that are no longer tracked.
func TestMemoryIsWhatTheDatabaseHas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		actions := map[string]func(*rapid.T){"": func(t *rapid.T) {
			w.remember()
			for _, a := range accounts() {
				w.check(t, a)
			}
			w.checkSize(t)
		}}
		for _, more := range []map[string]func(*rapid.T){w.messages(), w.members(), w.machinery()} {
			maps.Copy(actions, more)
		}
		defer func() {
			for a := range w.loads {
				w.answers <- nil
				_ = w.settle(a)
			}
			w.Listen(events.Event{})
			require.Equal(t, lists.Size{}, w.Size())
		}()
		t.Repeat(actions)
	})
}
