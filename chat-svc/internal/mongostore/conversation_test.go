package mongostore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

func TestView(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := inserted(t, s, group(0, "Harbour"), 2)

	view, err := s.View(t.Context(), account(2), c.ID)
	require.NoError(t, err)
	require.Equal(t, chat.View{Conversation: c}, view, "as it was made, nothing said yet")
	_, err = s.View(t.Context(), account(3), c.ID)
	require.ErrorIs(t, err, fault.ErrNotFound, "not for others")
	_, err = s.View(t.Context(), account(2), id.NewGroup())
	require.ErrorIs(t, err, fault.ErrNotFound, "not of another")

	last := say(t, s, c.ID, 20, 1, 2)
	view, err = s.View(t.Context(), account(2), c.ID)
	require.NoError(t, err)
	require.Equal(t, sequence.Place{Seq: 2, At: last.CreatedAt}, view.Last)
}

func TestInsertConversationTwice(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := inserted(t, s, group(0, "first"), 2)
	second := c
	second.Name = "second"
	requireConflict(t, s.InsertConversation(t.Context(), second, ownerAnd(3), false))
	view, err := s.View(t.Context(), account(1), c.ID)
	require.NoError(t, err)
	require.Equal(t, "first", view.Name, "the first one stands")
	_, err = s.Member(t.Context(), c.ID, account(3))
	require.ErrorIs(t, err, fault.ErrNotFound, "nothing of the second is kept")
}

func TestPendingConversation(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := group(0, "large")
	require.NoError(t, s.InsertConversation(t.Context(), c, ownerAnd(2), true))
	notThere := func() {
		_, err := s.View(t.Context(), account(1), c.ID)
		require.ErrorIs(t, err, fault.ErrNotFound)
		views, err := s.Views(t.Context(), account(1), nil, 10)
		require.NoError(t, err)
		require.Empty(t, views)
	}
	notThere()
	chunk := ownerAnd(3, 4)[1:]
	require.NoError(t, s.AddMembers(t.Context(), c.ID, chunk))
	require.NoError(t, s.AddMembers(t.Context(), c.ID, chunk), "a repeat changes nothing")
	notThere()
	require.NoError(t, s.PublishConversation(t.Context(), c.ID))
	_, err := s.View(t.Context(), account(4), c.ID)
	require.NoError(t, err)
	all, err := s.Members(t.Context(), c.ID, "", 10)
	require.NoError(t, err)
	require.ElementsMatch(t, ownerAnd(2, 3, 4), all)
}

func TestCountConversations(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for range 3 {
		inserted(t, s, group(0, ""), 2)
	}
	for most, want := range map[int]int{2: 2, 3: 3, 10: 3} {
		n, err := s.CountConversations(t.Context(), account(2), most)
		require.NoError(t, err)
		require.Equal(t, want, n, "up to %d", most)
	}
	n, err := s.CountConversations(t.Context(), account(9), 10)
	require.NoError(t, err)
	require.Zero(t, n)
	for most, want := range map[int]int{2: 2, 3: 3, 10: 3} {
		n, err := s.CountCreations(t.Context(), account(1), most)
		require.NoError(t, err)
		require.Equal(t, want, n, "up to %d", most)
	}
	n, err = s.CountCreations(t.Context(), account(2), 10)
	require.NoError(t, err)
	require.Zero(t, n, "members made nothing")
}

func TestViews(t *testing.T) {
	t.Parallel()
	s, commands := open(t)
	silent := inserted(t, s, group(30, "silent, made between"))
	old := inserted(t, s, group(0, "old and silent"))
	first := inserted(t, s, group(1, "first message early"))
	latest := inserted(t, s, group(2, "latest message"))
	inserted(t, s, group(3, "of others"), 2)
	require.NoError(t, s.InsertConversation(t.Context(), group(4, "not mine"), ownerAnd(2)[1:], false))
	say(t, s, first.ID, 20, 1)
	say(t, s, latest.ID, 35, 1, 2, 3)

	commands.Reset()
	views, err := s.Views(t.Context(), account(1), nil, 10)
	require.NoError(t, err)
	require.Equal(t, 1, commands.Count(), "one query")
	require.Len(t, views, 5)
	names := func(views []chat.View) (names []string) {
		for _, v := range views {
			names = append(names, v.Name)
		}
		return names
	}
	require.Equal(t, []string{latest.Name, silent.Name, first.Name, "of others", old.Name}, names(views))

	for limit := 1; limit <= 3; limit++ {
		var walked []chat.View
		var behind *chat.Position
		for {
			page, err := s.Views(t.Context(), account(1), behind, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), limit)
			if len(page) == 0 {
				break
			}
			walked = append(walked, page...)
			last := page[len(page)-1].Position()
			behind = &last
		}
		require.Equal(t, views, walked, "pages of %d make up the list", limit)
	}
}

func TestViewsOfOneInstant(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for range 7 {
		inserted(t, s, group(5, "same time"))
	}
	seen := map[id.Conversation]bool{}
	var behind *chat.Position
	for range 4 {
		page, err := s.Views(t.Context(), account(1), behind, 2)
		require.NoError(t, err)
		for _, v := range page {
			require.False(t, seen[v.ID], "none twice")
			seen[v.ID] = true
		}
		last := page[len(page)-1].Position()
		behind = &last
	}
	require.Len(t, seen, 7, "none left out")
}

func TestMembers(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := group(0, "roles")
	all := ownerAnd(2, 3, 4)
	all[2].Role = chat.RoleAdmin
	require.NoError(t, s.InsertConversation(t.Context(), c, all, false))
	inserted(t, s, group(0, "another"), 5)

	one, err := s.Member(t.Context(), c.ID, account(3))
	require.NoError(t, err)
	require.Equal(t, all[2], one)
	_, err = s.Member(t.Context(), c.ID, account(5))
	require.ErrorIs(t, err, fault.ErrNotFound)

	some, err := s.MembersAmong(t.Context(), c.ID, []id.Account{account(2), account(4), account(5)})
	require.NoError(t, err)
	require.ElementsMatch(t, []chat.Member{all[1], all[3]}, some)
	leaders, err := s.Leaders(t.Context(), c.ID, 10)
	require.NoError(t, err)
	require.Equal(t, []chat.Member{all[0], all[2]}, leaders)
	leaders, err = s.Leaders(t.Context(), c.ID, 1)
	require.NoError(t, err)
	require.Equal(t, all[:1], leaders, "the owner is never left out")
	few, err := s.Members(t.Context(), c.ID, "", 2)
	require.NoError(t, err)
	require.Len(t, few, 2)
}

func TestAllMembers(t *testing.T) {
	t.Parallel()
	s, commands := open(t)
	one, two := inserted(t, s, group(0, "one"), 2, 3), inserted(t, s, group(0, "two"), 4)
	inserted(t, s, group(0, "another"), 5)
	commands.Reset()
	all, err := s.AllMembers(t.Context(), []id.Conversation{one.ID, two.ID, id.NewGroup()}, 100)
	require.NoError(t, err)
	require.Equal(t, 1, commands.Count(), "one read")
	require.Len(t, all, 2)
	require.ElementsMatch(t, ownerAnd(2, 3), all[one.ID])
	require.ElementsMatch(t, ownerAnd(4), all[two.ID])
	few, err := s.AllMembers(t.Context(), []id.Conversation{one.ID, two.ID}, 1)
	require.NoError(t, err)
	require.Equal(t, 2, len(few[one.ID])+len(few[two.ID]), "no more than that in all")
	commands.Reset()
	none, err := s.AllMembers(t.Context(), nil, 100)
	require.NoError(t, err)
	require.Empty(t, none)
	require.Zero(t, commands.Count())
}

func TestMoveReads(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c := inserted(t, s, group(0, ""), 2)
	move := func(seq int64) int64 {
		require.NoError(t, s.MoveReads(t.Context(), map[readmark.Reader]int64{
			{Account: account(2), Conversation: c.ID}: seq,
			{Account: account(9), Conversation: c.ID}: seq,
		}))
		view, err := s.View(t.Context(), account(2), c.ID)
		require.NoError(t, err)
		return view.Read
	}
	require.EqualValues(t, 4, move(4))
	require.EqualValues(t, 4, move(3), "never back")
	require.EqualValues(t, 5, move(5))
	view, err := s.View(t.Context(), account(1), c.ID)
	require.NoError(t, err)
	require.Zero(t, view.Read, "each member has a mark of its own")
	_, err = s.View(t.Context(), account(9), c.ID)
	require.ErrorIs(t, err, fault.ErrNotFound, "a mark makes no member")
}
