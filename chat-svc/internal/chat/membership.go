package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

// ErrOwnerLeaves is the answer to an owner who would leave a group without one.
var ErrOwnerLeaves = fault.New(fault.Forbidden, "OWNER_CANNOT_LEAVE",
	"The owner cannot leave: transfer the ownership first, or close the conversation.")

// ChangeStore changes conversations that are there.
type ChangeStore interface {
	// ChangeConversation changes a conversation as decide says, in one
	// transaction, and gives it as it is afterwards. decide is given the
	// conversation and those of the accounts that are members, in no order,
	// which nobody else changes until the transaction ends. It may run more
	// than once and must only decide; its error changes nothing and comes back.
	// fault.ErrNotFound where the conversation is not there.
	ChangeConversation(ctx context.Context, c id.Conversation, accounts []id.Account,
		decide func(is Conversation, members []Member) (Change, error)) (Conversation, error)
}

// A Change is what one decision does to a conversation. All of it is kept or
// nothing. The member count follows by itself.
type Change struct {
	At time.Time // of the change; zero: nothing changes

	Name        *string // nil: as it was, as the next two
	Description *string
	Avatar      *string

	Joins  *Member    // whose read mark starts at the last message
	Leaves id.Account // "" for nobody
	Roles  map[id.Account]Role
	// Closes takes the conversation away from everybody at once; the members
	// of a group of more than MaxChunk are removed later (package sweep).
	Closes bool
}

// How an invitation ended.
const (
	Invited       = "invited"
	RoleUpdated   = "role_updated"
	AlreadyMember = "already_member"
)

// Invite makes target a member in a role, "" for RoleMember, or gives a member
// that role, and says which of the two it was, or that nothing was to do.
// Inviting is for the owner and admins, making and unmaking admins for the
// owner. Faults: fault.ErrNotFound where the caller is no member,
// fault.ErrForbidden, fault.ErrInvalid, ErrAgentID, fault.ErrQuota.
func (s *Service) Invite(ctx context.Context, caller id.Account, c id.Conversation, target id.Account, role Role) (how string, err error) {
	if role == "" {
		role = RoleMember
	}
	if !role.given() {
		return "", refuseRole()
	}
	may := forLeaders("invite")
	if err := s.admit(ctx, caller, c, may); err != nil {
		return "", err
	}
	if err := s.mayJoin(ctx, c, target); err != nil {
		return "", err
	}
	_, err = s.change(ctx, caller, c, target, may, func(h held) (change Change, err error) {
		how, change, err = s.invitation(h, target, role)
		return change, err
	})
	return how, err
}

// crowded is in how many times as many conversations as it may make an account
// can be before it is invited to no more.
const crowded = 4

// mayJoin finds out whether an account that is no member exists and has room
// for another conversation.
func (s *Service) mayJoin(ctx context.Context, c id.Conversation, target id.Account) error {
	if _, err := s.Store.Member(ctx, c, target); !errors.Is(err, fault.ErrNotFound) {
		return err
	}
	living, err := s.Accounts.ByID(ctx, string(target))
	if err != nil {
		return fmt.Errorf("look up %s: %w", target, err)
	}
	if _, lives := living[string(target)]; !lives {
		return unknown(ErrAgentID, "agent_id", []string{string(target)})
	}
	most := crowded * s.limits.ConversationsPerAccount
	count, err := s.Store.CountConversations(ctx, target, most)
	if err == nil && count >= most {
		return fault.ErrQuota.Say("The account is in %d conversations, the most to which it can be invited.", most).With("quota", "conversations_per_account")
	}
	return err
}

func (s *Service) invitation(h held, target id.Account, role Role) (string, Change, error) {
	switch {
	case h.target == nil && role == RoleAdmin && h.caller.Role != RoleOwner:
		return "", Change{}, fault.ErrForbidden.Say("Only the owner makes admins.")
	case h.target == nil && h.MemberCount >= s.limits.MembersPerGroup:
		return "", Change{}, s.groupIsFull()
	case h.target == nil:
		now := s.now()
		return Invited, Change{At: now, Joins: &Member{Account: target, Role: role, JoinedAt: now}}, nil
	case h.target.Role == role:
		return AlreadyMember, Change{}, nil
	}
	change, err := s.newRole(h, role)
	return RoleUpdated, change, err
}

// SetRole gives a member the role of an admin or takes it away; for the owner.
// Faults: fault.ErrNotFound where caller or target is no member,
// fault.ErrForbidden, also about the owner's own role, fault.ErrInvalid.
func (s *Service) SetRole(ctx context.Context, caller id.Account, c id.Conversation, target id.Account, role Role) error {
	if !role.given() {
		return refuseRole()
	}
	_, err := s.manage(ctx, caller, c, target, mayChangeRoles(), func(h held) (Change, error) {
		if h.target == nil {
			return Change{}, noMember(target)
		}
		return s.newRole(h, role)
	})
	return err
}

func mayChangeRoles() rule { return forOwner("changes roles") }

func (s *Service) newRole(h held, role Role) (Change, error) {
	if err := mayChangeRoles()(h.caller.Role); err != nil {
		return Change{}, err
	}
	switch h.target.Role {
	case RoleOwner:
		return Change{}, fault.ErrForbidden.Say("The owner's role changes only by a transfer.")
	case role:
		return Change{}, nil
	}
	return Change{At: s.now(), Roles: map[id.Account]Role{h.target.Account: role}}, nil
}

// Remove ends the membership of anybody but the owner; for the owner and
// admins, and for oneself, who leaves by it. Faults: fault.ErrNotFound where
// caller or target is no member, fault.ErrForbidden, fault.ErrInvalid.
func (s *Service) Remove(ctx context.Context, caller id.Account, c id.Conversation, target id.Account) error {
	may := forLeaders("remove members")
	if target == caller {
		may = forAll
	}
	_, err := s.manage(ctx, caller, c, target, may, func(h held) (Change, error) {
		switch {
		case h.target == nil:
			return Change{}, noMember(target)
		case h.target.Role == RoleOwner:
			return Change{}, fault.ErrForbidden.Say("The owner cannot be removed.")
		}
		return Change{At: s.now(), Leaves: target}, nil
	})
	return err
}

// Leave ends the caller's membership. Faults: fault.ErrNotFound,
// ErrOwnerLeaves, fault.ErrInvalid.
func (s *Service) Leave(ctx context.Context, caller id.Account, c id.Conversation) error {
	may := func(r Role) error {
		if r == RoleOwner {
			return ErrOwnerLeaves
		}
		return nil
	}
	_, err := s.manage(ctx, caller, c, caller, may, func(held) (Change, error) {
		return Change{At: s.now(), Leaves: caller}, nil
	})
	return err
}

// Transfer makes another member the owner, and the owner an admin. Faults:
// fault.ErrNotFound where caller or target is no member, fault.ErrForbidden
// for who is not the owner, fault.ErrInvalid.
func (s *Service) Transfer(ctx context.Context, caller id.Account, c id.Conversation, target id.Account) error {
	_, err := s.manage(ctx, caller, c, target, forOwner("transfers the ownership"), func(h held) (Change, error) {
		switch {
		case h.target == nil:
			return Change{}, noMember(target)
		case target == caller:
			return Change{}, fault.Field("agent_id", "is the owner already")
		}
		return Change{At: s.now(), Roles: map[id.Account]Role{caller: RoleAdmin, target: RoleOwner}}, nil
	})
	return err
}

// Members gives a page of at most limit members whose ids stand behind one, ""
// for the first page, in the order of their ids; next is the last of them, ""
// when there are no more. Who joins or leaves meanwhile moves nobody else.
// fault.ErrNotFound for who is no member.
func (s *Service) Members(ctx context.Context, caller id.Account, c id.Conversation, behind id.Account, limit int) (page []Member, next id.Account, err error) {
	if _, err := s.Rights.member(ctx, c, caller); err != nil {
		return nil, "", err
	}
	page, err = s.Store.Members(ctx, c, behind, limit+1)
	if err == nil && len(page) > limit {
		page = page[:limit]
		next = page[limit-1].Account
	}
	return page, next, err
}

// held is what a decision is made on: nobody else changes it meanwhile.
type held struct {
	Conversation
	caller Member
	target *Member // nil where it is no member
}

// A rule tells whom a change is refused by the role alone.
type rule func(Role) error

func forAll(Role) error { return nil }

func forOwner(does string) rule {
	return func(r Role) error {
		if r != RoleOwner {
			return fault.ErrForbidden.Say("Only the owner %s.", does)
		}
		return nil
	}
}

func forLeaders(do string) rule {
	return func(r Role) error {
		if !r.Leads() {
			return fault.ErrForbidden.Say("Only the owner and admins %s.", do)
		}
		return nil
	}
}

// manage lets decide change a group that the caller is a member of.
func (s *Service) manage(
	ctx context.Context, caller id.Account, c id.Conversation, target id.Account, may rule, decide func(held) (Change, error),
) (Conversation, error) {
	if err := s.admit(ctx, caller, c, may); err != nil {
		return Conversation{}, err
	}
	return s.change(ctx, caller, c, target, may, decide)
}

// admit refuses a change before its transaction, which would hold up others.
func (s *Service) admit(ctx context.Context, caller id.Account, c id.Conversation, may rule) error {
	member, err := s.Store.Member(ctx, c, caller)
	if err != nil {
		return err
	}
	if c.IsDirect() {
		return fault.ErrInvalid.Say("A direct conversation has two members for good, and no settings.").With("field", "conversation_id")
	}
	return may(member.Role)
}

// change is manage for who was admitted. What memory has ends where something
// changed, or may have: a transaction may be done although it failed.
func (s *Service) change(
	ctx context.Context, caller id.Account, c id.Conversation, target id.Account, may rule, decide func(held) (Change, error),
) (Conversation, error) {
	changes := false
	is, err := s.Store.ChangeConversation(ctx, c, []id.Account{caller, target}, func(is Conversation, found []Member) (Change, error) {
		h := held{Conversation: is}
		for _, m := range found {
			if m.Account == caller {
				h.caller = m
			}
			if m.Account == target {
				h.target = &m
			}
		}
		if h.caller.Account == "" { // no longer
			return Change{}, fault.ErrNotFound
		}
		if err := may(h.caller.Role); err != nil {
			return Change{}, err
		}
		change, err := decide(h)
		changes = changes || err == nil && !change.At.IsZero()
		return change, err
	})
	if changes {
		s.Rights.changed(c, caller, target)
		s.Lists.Forget(target)
		s.Lists.Changed(c)
	}
	return is, err
}

// given reports whether the role can be given to a member.
func (r Role) given() bool { return r == RoleAdmin || r == RoleMember }

func refuseRole() error { return fault.Field("role", "must be member or admin") }

func noMember(a id.Account) error {
	return fault.ErrNotFound.Say("%s is not a member of the conversation.", a).With("field", "agent_id")
}
