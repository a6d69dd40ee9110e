package chat

import (
	"cmp"
	"context"
	"slices"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/readmark"
)

// MaxShown is how many members a conversation's detail shows in full.
const MaxShown = 1000

// A Detail is a conversation with the members that are shown of it: all up to
// MaxShown; beyond that the owner, the admins and the caller.
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
	shown, err := s.shown(ctx, caller, view)
	if err != nil {
		return Detail{}, err
	}
	slices.SortFunc(shown, func(a, b Member) int {
		return cmp.Or(rank(a)-rank(b), a.JoinedAt.Compare(b.JoinedAt), cmp.Compare(a.Account, b.Account))
	})
	return Detail{View: view, Members: shown}, nil
}

func rank(m Member) int {
	if m.Role == RoleOwner {
		return 0
	}
	return 1
}

func (s *Service) shown(ctx context.Context, caller id.Account, view View) ([]Member, error) {
	if view.MemberCount <= MaxShown {
		return s.Store.Members(ctx, view.ID, "", MaxShown)
	}
	shown, err := s.Store.Leaders(ctx, view.ID, MaxShown)
	if err != nil || slices.ContainsFunc(shown, func(m Member) bool { return m.Account == caller }) {
		return shown, err
	}
	own, err := s.Store.Member(ctx, view.ID, caller)
	return append(shown, own), err
}

func (s *Service) view(ctx context.Context, caller id.Account, c id.Conversation) (View, error) {
	view, err := s.Store.View(ctx, caller, c)
	return s.withMark(caller, view), err
}

// withMark lets an account see the moves of its read mark that were not written
// yet when the view was read.
func (s *Service) withMark(caller id.Account, v View) View {
	v.Read = max(v.Read, s.Reads.Mark(readmark.Reader{Account: caller, Conversation: v.ID}))
	return v
}
