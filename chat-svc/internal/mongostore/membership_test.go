package mongostore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/svckit/fault"
)

// always decides the same.
func always(change chat.Change) func(chat.Conversation, []chat.Member) (chat.Change, error) {
	return func(chat.Conversation, []chat.Member) (chat.Change, error) { return change, nil }
}

func owner() []id.Account { return []id.Account{account(1)} }

func everybody(t *testing.T, s *mongostore.Store, c id.Conversation) []chat.Member {
	t.Helper()
	all, err := s.Members(t.Context(), c, "", 10_000)
	require.NoError(t, err)
	return all
}

func TestChangeConversation(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	tests := map[string]struct {
		change chat.Change
		want   func(c chat.Conversation, all []chat.Member) (chat.Conversation, []chat.Member)
	}{
		"nothing": {chat.Change{}, func(c chat.Conversation, all []chat.Member) (chat.Conversation, []chat.Member) { return c, all }},
		"the name": {chat.Change{At: at(9), Name: text("new")}, func(c chat.Conversation, all []chat.Member) (chat.Conversation, []chat.Member) {
			c.Name, c.UpdatedAt = "new", at(9)
			return c, all
		}},
		"the metadata": {chat.Change{At: at(9), Description: text(""), Avatar: text("b.png")}, func(c chat.Conversation, all []chat.Member) (chat.Conversation, []chat.Member) {
			c.Metadata, c.UpdatedAt = chat.Metadata{Avatar: "b.png"}, at(9)
			return c, all
		}},
		"an earlier change does not move the time back": {chat.Change{At: at(2), Name: text("x")}, func(c chat.Conversation, all []chat.Member) (chat.Conversation, []chat.Member) {
			c.Name = "x"
			return c, all
		}},
		"one joins": {chat.Change{At: at(9), Joins: &chat.Member{Account: account(7), Role: chat.RoleAdmin, JoinedAt: at(9)}}, func(c chat.Conversation, all []chat.Member) (chat.Conversation, []chat.Member) {
			c.MemberCount, c.UpdatedAt = 4, at(9)
			return c, append(all, chat.Member{Account: account(7), Role: chat.RoleAdmin, JoinedAt: at(9)})
		}},
		"one leaves": {chat.Change{At: at(9), Leaves: account(2)}, func(c chat.Conversation, all []chat.Member) (chat.Conversation, []chat.Member) {
			c.MemberCount, c.UpdatedAt = 2, at(9)
			return c, []chat.Member{all[0], all[2]}
		}},
		"two change roles": {chat.Change{At: at(9), Roles: map[id.Account]chat.Role{account(1): chat.RoleAdmin, account(2): chat.RoleOwner}}, func(c chat.Conversation, all []chat.Member) (chat.Conversation, []chat.Member) {
			c.UpdatedAt = at(9)
			all[0].Role, all[1].Role = chat.RoleAdmin, chat.RoleOwner
			return c, all
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := open(t)
			c := group(5, "old")
			c.MemberCount = 3
			require.NoError(t, s.InsertConversation(t.Context(), c, ownerAnd(2, 3), false))
			want, members := tt.want(c, ownerAnd(2, 3))
			got, err := s.ChangeConversation(t.Context(), c.ID, owner(), always(tt.change))
			require.NoError(t, err)
			require.Equal(t, want, got, "as it is afterwards")
			view, err := s.View(t.Context(), account(1), c.ID)
			require.NoError(t, err)
			require.Equal(t, want, view.Conversation)
			require.Equal(t, members, everybody(t, s, c.ID))
			for _, m := range members {
				_, err := s.View(t.Context(), m.Account, c.ID)
				require.NoError(t, err, "lists agree with rights")
			}
			count, err := s.MemberCount(t.Context(), c.ID)
			require.NoError(t, err)
			require.Len(t, members, count)
		})
	}
}

func TestWhoLeftIsInNoList(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := inserted(t, s, group(0, ""), 2)
	_, err := s.ChangeConversation(t.Context(), c.ID, owner(), always(chat.Change{At: at(1), Leaves: account(2)}))
	require.NoError(t, err)
	views, err := s.Views(t.Context(), account(2), nil, 10)
	require.NoError(t, err)
	require.Empty(t, views)
	_, err = s.Member(t.Context(), c.ID, account(2))
	require.ErrorIs(t, err, fault.ErrNotFound)
}

func TestWhoJoinsHasReadEverything(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := inserted(t, s, group(0, ""))
	say(t, s, c.ID, 1, 1, 2, 3)
	_, err := s.ChangeConversation(t.Context(), c.ID, owner(), always(chat.Change{At: at(9), Joins: &chat.Member{Account: account(2), Role: chat.RoleMember}}))
	require.NoError(t, err)
	view, err := s.View(t.Context(), account(2), c.ID)
	require.NoError(t, err)
	require.EqualValues(t, 3, view.Read)
}

func TestWhatADecisionIsMadeOn(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := inserted(t, s, group(0, "Harbour"), 2, 3)
	refusal := errors.New("no")
	_, err := s.ChangeConversation(t.Context(), c.ID, []id.Account{account(2), account(9)}, func(is chat.Conversation, members []chat.Member) (chat.Change, error) {
		require.Equal(t, c, is)
		require.Equal(t, ownerAnd(2)[1:], members)
		return chat.Change{At: at(9), Leaves: account(2)}, refusal
	})
	require.ErrorIs(t, err, refusal, "it comes back")
	require.Len(t, everybody(t, s, c.ID), 3, "and changes nothing")

	pending := group(0, "")
	require.NoError(t, s.InsertConversation(t.Context(), pending, ownerAnd(), true))
	gone := inserted(t, s, group(0, ""))
	_, err = s.ChangeConversation(t.Context(), gone.ID, owner(), always(chat.Change{At: at(1), Closes: true}))
	require.NoError(t, err)
	for name, other := range map[string]id.Conversation{"absent": id.NewGroup(), "still being made": pending.ID, "closed": gone.ID} {
		_, err = s.ChangeConversation(t.Context(), other, owner(), func(chat.Conversation, []chat.Member) (chat.Change, error) {
			require.Fail(t, "nothing to decide", name)
			return chat.Change{}, nil
		})
		require.ErrorIs(t, err, fault.ErrNotFound, name)
		_, err = s.MemberCount(t.Context(), other)
		require.ErrorIs(t, err, fault.ErrNotFound, name)
	}
}

// Decisions about one conversation are made one after the other: of many that
// let one more in as long as there is room, just as many succeed.
func TestDecisionsMeet(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := group(0, "")
	c.MemberCount = 1
	require.NoError(t, s.InsertConversation(t.Context(), c, ownerAnd(), false))
	const callers, room = 10, 5
	results := make(chan error)
	for n := range callers {
		go func() {
			_, err := s.ChangeConversation(t.Context(), c.ID, owner(), func(is chat.Conversation, _ []chat.Member) (chat.Change, error) {
				if is.MemberCount >= room {
					return chat.Change{}, fault.ErrQuota
				}
				return chat.Change{At: at(1), Joins: &chat.Member{Account: account(10 + n), Role: chat.RoleMember}}, nil
			})
			results <- err
		}()
	}
	refused := 0
	for range callers {
		if err := <-results; err != nil {
			require.ErrorIs(t, err, fault.ErrQuota)
			refused++
		}
	}
	require.Equal(t, callers-(room-1), refused)
	require.Len(t, everybody(t, s, c.ID), room)
}

func TestMemberPages(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := inserted(t, s, group(0, ""), 2, 3, 4)
	page, err := s.Members(t.Context(), c.ID, account(1), 2)
	require.NoError(t, err)
	require.Equal(t, ownerAnd(2, 3)[1:], page, "those behind one, in the order of their ids")
	page, err = s.Members(t.Context(), c.ID, account(3), 2)
	require.NoError(t, err)
	require.Equal(t, ownerAnd(4)[1:], page)
}

// crowd makes a group of n members.
func crowd(t *testing.T, s *mongostore.Store, n int) chat.Conversation {
	t.Helper()
	c := group(0, "crowd")
	c.MemberCount = n
	all := []chat.Member{{Account: account(1), Role: chat.RoleOwner, JoinedAt: at(0)}}
	for len(all) < n {
		all = append(all, chat.Member{Account: account(100 + len(all)), Role: chat.RoleMember, JoinedAt: at(0)})
	}
	require.NoError(t, s.InsertConversation(t.Context(), c, all[:min(n, chat.MaxChunk)], true))
	if n > chat.MaxChunk {
		require.NoError(t, s.AddMembers(t.Context(), c.ID, all[chat.MaxChunk:]))
	}
	require.NoError(t, s.PublishConversation(t.Context(), c.ID))
	return c
}

func TestClose(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	other := inserted(t, s, group(0, "stays"), 2)
	small, large := crowd(t, s, chat.MaxChunk), crowd(t, s, chat.MaxChunk+100)
	for _, c := range []chat.Conversation{small, large} {
		_, err := s.ChangeConversation(t.Context(), c.ID, owner(), always(chat.Change{At: at(1), Closes: true}))
		require.NoError(t, err)
		_, err = s.Member(t.Context(), c.ID, account(1))
		require.ErrorIs(t, err, fault.ErrNotFound, "nobody is a member")
		_, err = s.View(t.Context(), account(1), c.ID)
		require.ErrorIs(t, err, fault.ErrNotFound)
	}
	require.Empty(t, everybody(t, s, small.ID), "few are removed at once")
	require.Len(t, everybody(t, s, large.ID), chat.MaxChunk+100, "many later")

	left, err := s.Unswept(t.Context(), time.Time{}, 10)
	require.NoError(t, err)
	require.Equal(t, []id.Conversation{large.ID}, left)
	done, err := s.Sweep(t.Context(), large.ID)
	require.NoError(t, err)
	require.False(t, done)
	require.Len(t, everybody(t, s, large.ID), 100, "a bounded number in one go")
	_, err = s.Member(t.Context(), large.ID, account(100+chat.MaxChunk+50))
	require.ErrorIs(t, err, fault.ErrNotFound, "who is left is no member")
	for range 2 { // again, as another process would
		done, err = s.Sweep(t.Context(), large.ID)
		require.NoError(t, err)
		require.True(t, done)
		require.Empty(t, everybody(t, s, large.ID))
		left, err = s.Unswept(t.Context(), time.Time{}, 10)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	n, err := s.CountConversations(t.Context(), account(1), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n, "lists agree with rights")
	require.Len(t, everybody(t, s, other.ID), 2)

	require.NoError(t, s.AddMembers(t.Context(), large.ID, ownerAnd(2)), "a creation that goes on after the end")
	require.Empty(t, everybody(t, s, large.ID))
}
