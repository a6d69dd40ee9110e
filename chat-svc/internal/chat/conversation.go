package chat

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/readmark"
)

const (
	// MaxShown is how many members a conversation's detail shows in full.
	MaxShown = 1000
	// MaxListed is MaxShown for each conversation of a list.
	MaxListed = 100
)

// A Detail is a conversation with the members that are shown of it: all of
// them where they are few enough; of more the owner, the admins and the caller,
// no more than that number.
type Detail struct {
	View
	Members []Member // the owner, then the earliest first
}

// Conversation gives one conversation to a member; fault.ErrNotFound for
// others.
func (s *Service) Conversation(ctx context.Context, caller id.Account, c id.Conversation) (Detail, error) {
	view, err := s.view(ctx, caller, c)
	if err != nil {
		return Detail{}, err
	}
	return s.detail(ctx, caller, view, MaxShown)
}

// Details shows up to MaxListed members of each of the caller's conversations.
// It reads once for all that have no more, and once or twice for each of the
// others.
func (s *Service) Details(ctx context.Context, caller id.Account, views []View) ([]Detail, error) {
	var small []id.Conversation
	for _, v := range views {
		if v.MemberCount <= MaxListed {
			small = append(small, v.ID)
		}
	}
	all, err := s.Store.AllMembers(ctx, small, MaxListed)
	if err != nil {
		return nil, err
	}
	details := make([]Detail, len(views))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for i, v := range views {
		if v.MemberCount <= MaxListed {
			details[i] = Detail{v, inOrder(all[v.ID])}
			continue
		}
		group.Go(func() (err error) {
			details[i], err = s.detail(ctx, caller, v, MaxListed)
			return err
		})
	}
	return details, group.Wait()
}

func (s *Service) detail(ctx context.Context, caller id.Account, view View, most int) (Detail, error) {
	shown, err := s.shown(ctx, caller, view, most)
	return Detail{View: view, Members: inOrder(shown)}, err
}

func inOrder(members []Member) []Member {
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(rank(a)-rank(b), a.JoinedAt.Compare(b.JoinedAt), cmp.Compare(a.Account, b.Account))
	})
	return members
}

func rank(m Member) int {
	if m.Role == RoleOwner {
		return 0
	}
	return 1
}

func (s *Service) shown(ctx context.Context, caller id.Account, view View, most int) ([]Member, error) {
	if view.MemberCount <= most {
		return s.Store.Members(ctx, view.ID, "", most)
	}
	shown, err := s.Store.Leaders(ctx, view.ID, most-1)
	if err != nil || slices.ContainsFunc(shown, func(m Member) bool { return m.Account == caller }) {
		return shown, err
	}
	own, err := s.Store.Member(ctx, view.ID, caller)
	return append(shown, own), err
}

func (s *Service) view(ctx context.Context, caller id.Account, c id.Conversation) (View, error) {
	view, err := s.Store.View(ctx, caller, c)
	return s.withMark(caller, view), strangers(c, err)
}

// withMark lets an account see the moves of its read mark that were not written
// yet when the view was read.
func (s *Service) withMark(caller id.Account, v View) View {
	v.Read = max(v.Read, s.Reads.Mark(readmark.Reader{Account: caller, Conversation: v.ID}))
	return v
}
