package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

// membersAnEvent is for how many members a creation spends one more event of
// its maker's rate: about as many as are written at once.
const membersAnEvent = MaxChunk

// A NewConversation is what an account asks for.
type NewConversation struct {
	Type     Type
	Name     string       // for groups
	Members  []id.Account // the others; repetitions and the creator count once
	Metadata Metadata     // for groups
	// Client tells apart which of the caller's clients asks; "" where it does
	// not say. That one is sent no event of the conversation it made.
	Client string `json:"-"` // a repeat may come from another
	// Key makes the request repeatable for 24 hours; "" for none.
	Key string
}

// A Creation is what came of it.
type Creation struct {
	View
	Made     bool // false: the direct conversation was there already
	Replayed bool // the answer to an earlier request with the same key
}

// Create makes a group, of which the caller becomes the owner, or finds or
// makes the direct conversation with one other account. Faults: ErrAgentID
// naming the members that are no accounts, fault.ErrInvalid, fault.ErrQuota,
// fault.ErrRateLimited;
// with a key fault.ErrIdempotency and ErrRunning.
func (s *Service) Create(ctx context.Context, caller id.Account, n NewConversation) (Creation, error) {
	n, err := s.normal(caller, n)
	if err != nil {
		return Creation{}, err
	}
	c := id.NewGroup()
	if n.Type == Direct {
		c = id.Direct(s.DirectKey, caller, n.Members[0])
	}
	if n.Key == "" {
		return s.create(ctx, caller, c, n)
	}
	if err := s.mayClaim(ctx, caller, n); err != nil {
		return Creation{}, err
	}
	return s.createOnce(ctx, caller, c, n)
}

// events is what making the conversation spends of the rate of creations.
func (n NewConversation) events() int { return 1 + len(n.Members)/membersAnEvent }

// Start is Create by usernames, in upper or lower case, of which repetitions
// and the caller's own count once: two make a direct conversation, more make a
// group. Faults beside those of Create: fault.ErrNotFound where a name is
// nobody's.
func (s *Service) Start(ctx context.Context, caller id.Account, names []string, key, client string) (d Detail, replayed bool, err error) {
	others, err := s.named(ctx, caller, names)
	if err != nil {
		return Detail{}, false, err
	}
	wanted := NewConversation{Type: Group, Members: others, Key: key, Client: client}
	if len(others) == 1 {
		wanted.Type = Direct
	}
	created, err := s.Create(ctx, caller, wanted)
	if errors.Is(err, ErrAgentID) {
		return Detail{}, false, fault.ErrNotFound.Say("members: one of the accounts was just deleted").With("field", "members").Because(err)
	}
	if err != nil {
		return Detail{}, false, err
	}
	d, err = s.detail(ctx, caller, created.View, MaxShown)
	return d, created.Replayed, err
}

// named finds the accounts of the names but the caller's.
func (s *Service) named(ctx context.Context, caller id.Account, names []string) ([]id.Account, error) {
	lower := make([]string, len(names))
	for i, name := range names {
		lower[i] = strings.ToLower(name)
	}
	slices.Sort(lower)
	lower = slices.Compact(lower)
	if len(lower) > s.limits.MembersPerGroup {
		return nil, s.groupIsFull()
	}
	found, err := s.Accounts.ByName(ctx, lower...)
	if err != nil {
		return nil, fmt.Errorf("look up %d names: %w", len(lower), err)
	}
	var others []id.Account
	var missing []string
	for _, name := range lower {
		switch who, lives := found[name]; {
		case !lives:
			missing = append(missing, name)
		case id.Account(who.ID) != caller:
			others = append(others, id.Account(who.ID))
		}
	}
	if len(missing) > 0 {
		return nil, unknown(fault.ErrNotFound, "members", missing)
	}
	if len(others) == 0 {
		return nil, fault.Field("members", "must name somebody beside yourself")
	}
	return others, nil
}

func (s *Service) groupIsFull() error {
	return fault.ErrQuota.Say("A group has at most %d members.", s.limits.MembersPerGroup).With("quota", "members_per_group")
}

// normal checks what can be checked without asking anybody.
func (s *Service) normal(caller id.Account, n NewConversation) (NewConversation, error) {
	others := slices.DeleteFunc(slices.Clone(n.Members), func(a id.Account) bool { return a == caller })
	slices.Sort(others)
	n.Members = slices.Compact(others)
	switch {
	case utf8.RuneCountInString(n.Name) > MaxName:
		return n, fault.Field("name", "must have at most %d characters", MaxName)
	case utf8.RuneCountInString(n.Metadata.Description) > MaxDescription:
		return n, fault.Field("metadata.description", "must have at most %d characters", MaxDescription)
	case utf8.RuneCountInString(n.Metadata.Avatar) > MaxAvatar:
		return n, fault.Field("metadata.avatar", "must have at most %d characters", MaxAvatar)
	case n.Type == Direct && len(n.Members) != 1:
		return n, fault.Field("members", "must name exactly one other account for a direct conversation")
	case n.Type == Direct:
		n.Name, n.Metadata = "", Metadata{}
	case n.Type != Group:
		return n, fault.Field("type", "must be direct or group")
	case len(n.Members)+1 > s.limits.MembersPerGroup:
		return n, s.groupIsFull()
	}
	return n, nil
}

// create makes the conversation c, unless it is there.
func (s *Service) create(ctx context.Context, caller id.Account, c id.Conversation, n NewConversation) (Creation, error) {
	existing, err := s.view(ctx, caller, c)
	if err == nil {
		return Creation{View: existing}, nil
	}
	if !errors.Is(err, fault.ErrNotFound) {
		return Creation{}, err
	}
	if err := s.mayCreate(ctx, caller, n); err != nil {
		return Creation{}, err
	}
	return s.finish(ctx, caller, c, n)
}

// finish makes what is still missing of a conversation.
func (s *Service) finish(ctx context.Context, caller id.Account, c id.Conversation, n NewConversation) (Creation, error) {
	view := View{Conversation: Conversation{
		ID: c, Type: n.Type, Name: n.Name, Creator: caller, Client: n.Client, Metadata: n.Metadata,
		MemberCount: len(n.Members) + 1, CreatedAt: s.now(), UpdatedAt: s.now(),
	}}
	err := s.insert(ctx, view.Conversation, membersOf(caller, n, view.CreatedAt))
	all := append([]id.Account{caller}, n.Members...)
	s.Lists.Forget(all...)
	s.Rights.changed(c, all...)
	if errors.Is(err, fault.ErrConflict) { // another maker of the same direct conversation
		existing, err := s.view(ctx, caller, c)
		return Creation{View: existing}, err
	}
	return Creation{View: view, Made: true}, err
}

func membersOf(creator id.Account, n NewConversation, at time.Time) []Member {
	role := RoleOwner
	if n.Type == Direct {
		role = RoleMember
	}
	all := []Member{{Account: creator, Role: role, JoinedAt: at}}
	for _, a := range n.Members {
		all = append(all, Member{Account: a, Role: RoleMember, JoinedAt: at})
	}
	return all
}

// insert keeps a conversation with all its members. What does not fit one
// transaction is made pending first and published last.
func (s *Service) insert(ctx context.Context, c Conversation, all []Member) error {
	pending := len(all) > MaxChunk
	err := s.Store.InsertConversation(ctx, c, all[:min(len(all), MaxChunk)], pending)
	if !pending || err != nil && !errors.Is(err, fault.ErrConflict) {
		return err
	}
	for chunk := range slices.Chunk(all[MaxChunk:], MaxChunk) {
		if err := s.Store.AddMembers(ctx, c.ID, chunk); err != nil {
			return err
		}
	}
	return s.Store.PublishConversation(ctx, c.ID)
}

// mayCreate holds the creator's rate and quota, and finds out whether the others
// exist. What counts is what an account made, whether it stays in it or not and
// whatever it was invited to: strangers do not use up its quota, and it cannot
// put others into more by leaving.
func (s *Service) mayCreate(ctx context.Context, caller id.Account, n NewConversation) error {
	if wait, ok := s.Creations.TakeN(string(caller), n.events()); !ok {
		return fault.ErrRateLimited.After(wait)
	}
	if n.Type == Group {
		if err := s.mayOwn(ctx, caller); err != nil {
			return err
		}
	}
	if len(n.Members) == 0 {
		return nil
	}
	ids := make([]string, len(n.Members))
	for i, a := range n.Members {
		ids[i] = string(a)
	}
	living, err := s.Accounts.ByID(ctx, ids...)
	if err != nil {
		return fmt.Errorf("look up %d accounts: %w", len(ids), err)
	}
	missing := slices.DeleteFunc(ids, func(a string) bool { _, lives := living[a]; return lives })
	if len(missing) > 0 {
		return unknown(ErrAgentID, "members", missing)
	}
	return nil
}

// mayOwn holds the quota of groups. Direct conversations, which nobody can
// close, are bounded by the rate and by whom there is to talk to.
func (s *Service) mayOwn(ctx context.Context, caller id.Account) error {
	most := s.limits.ConversationsPerAccount
	count, err := s.Store.CountCreations(ctx, caller, most)
	if err == nil && count >= most {
		return fault.ErrQuota.Say("You have made %d groups, the most that an account can have made; close some.", most).
			With("quota", "conversations_per_account")
	}
	return err
}

// unknown refuses the accounts that a field wrongly lists, and names the first.
func unknown(refusal *fault.Fault, field string, missing []string) error {
	const most, longest = 20, 60
	named := make([]string, 0, most)
	for _, who := range missing[:min(len(missing), most)] {
		if utf8.RuneCountInString(who) > longest {
			who = string([]rune(who)[:longest]) + "…"
		}
		named = append(named, who)
	}
	return refusal.Say("%s: no such account: %s", field, strings.Join(named, ", ")).
		With("field", field).With("unknown", named)
}
