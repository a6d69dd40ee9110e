package chat

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/svckit/fault"
)

// The faults of blocks.
var (
	ErrTarget  = fault.New(fault.Invalid, "INVALID_TARGET", "target_id: there is nothing to block under this id.").With("field", "target_id")
	ErrBlocked = fault.New(fault.Forbidden, "BLOCKED", "A block bars you from sending here.")
)

// A Target is what an account blocks: another account, whose sends into any
// conversation with the blocker it bars, or a conversation, into which the
// blocker itself sends no more.
type Target struct {
	Account      id.Account // "" where it is a conversation
	Conversation id.Conversation
}

// String gives the id as clients see it.
func (t Target) String() string {
	if t.Account != "" {
		return string(t.Account)
	}
	return t.Conversation.String()
}

// A Block stands until its blocker takes it back.
type Block struct {
	ID        id.Block
	Blocker   id.Account
	Target    Target
	CreatedAt time.Time
}

// Barred is whose sends the block bars.
func (b Block) Barred() id.Account { return cmp.Or(b.Target.Account, b.Blocker) }

// A BlockPosition is a place in a list of blocks.
type BlockPosition struct {
	At time.Time
	ID id.Block
}

// BlockStore keeps blocks by their blockers and, as barriers, by the accounts
// whose sends they bar.
type BlockStore interface {
	// InsertBlock keeps a block and its barrier, and with a key that the key
	// made it, for 24 hours. fault.ErrConflict where the blocker has blocked
	// the target or has used the key.
	InsertBlock(ctx context.Context, b Block, key string, fingerprint [16]byte) error
	// KeyUse tells what an account has used a key for: the fingerprint of the
	// request, and the block where it was one. fault.ErrNotFound.
	KeyUse(ctx context.Context, a id.Account, key string) (fingerprint [16]byte, b id.Block, err error)
	// Block finds a block of an account; fault.ErrNotFound.
	Block(ctx context.Context, a id.Account, b id.Block) (Block, error)
	// CountBlocks counts the blocks of an account, up to most.
	CountBlocks(ctx context.Context, a id.Account, most int) (int, error)
	// DeleteBlock takes a block and its barrier away, and gives it;
	// fault.ErrNotFound.
	DeleteBlock(ctx context.Context, a id.Account, b id.Block) (Block, error)
	// MemberCount counts a conversation's members; fault.ErrNotFound.
	MemberCount(ctx context.Context, c id.Conversation) (int, error)
}

// Block makes a block. With a key a repeat within 24 hours gives the first
// one again, as it is now. Faults: ErrTarget, fault.ErrConflict where the
// target is blocked already, fault.ErrQuota, fault.ErrRateLimited,
// fault.ErrIdempotency, fault.ErrNotFound where a repeat's block was taken back.
func (s *Service) Block(ctx context.Context, caller id.Account, target Target, key string) (b Block, replayed bool, err error) {
	made := fingerprintOf(target)
	if key != "" {
		if b, err := s.blockUnder(ctx, caller, key, made); !errors.Is(err, errUnused) {
			return b, true, err
		}
	}
	if err := s.mayWriteNow(caller, 1); err != nil {
		return Block{}, false, err
	}
	if err := s.mayBlock(ctx, caller, target); err != nil {
		return Block{}, false, err
	}
	b = Block{ID: id.NewBlock(), Blocker: caller, Target: target, CreatedAt: s.now()}
	err = s.Store.InsertBlock(ctx, b, key, made)
	s.Rights.blocked(caller, b.Barred())
	s.Lists.Forget(caller) // what is hidden from it may change
	if !errors.Is(err, fault.ErrConflict) {
		return b, false, err
	}
	if key != "" { // a racing repeat may have made it
		if b, err := s.blockUnder(ctx, caller, key, made); !errors.Is(err, errUnused) {
			return b, true, err
		}
	}
	return Block{}, false, fault.ErrConflict.Say("You have blocked %s already.", target).With("field", "target_id")
}

// errUnused says that nothing was made under a key.
var errUnused = errors.New("the key is not used")

func (s *Service) blockUnder(ctx context.Context, caller id.Account, key string, made [16]byte) (Block, error) {
	first, b, err := s.Store.KeyUse(ctx, caller, key)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return Block{}, errUnused
	case err != nil:
		return Block{}, err
	case first != made:
		return Block{}, fault.ErrIdempotency
	}
	return s.Store.Block(ctx, caller, b)
}

func fingerprintOf(target Target) [16]byte {
	sum := sha256.Sum256([]byte("block " + target.String()))
	return [16]byte(sum[:16])
}

// mayBlock finds out whether the caller can see what it wants to block, and has
// room for another block. Racing ones may go some above the quota.
func (s *Service) mayBlock(ctx context.Context, caller id.Account, target Target) error {
	most := s.limits.BlocksPerAccount
	count, err := s.Store.CountBlocks(ctx, caller, most)
	if err != nil {
		return err
	}
	if count >= most {
		return fault.ErrQuota.Say("You have %d blocks, the most that an account can have; take some back.", most).
			With("quota", "blocks_per_account")
	}
	if target.Account == caller {
		return ErrTarget.Say("target_id: nobody blocks itself.")
	}
	if target.Account == "" {
		_, err := s.Store.Member(ctx, target.Conversation, caller)
		if errors.Is(err, fault.ErrNotFound) {
			return ErrTarget
		}
		return err
	}
	living, err := s.Accounts.ByID(ctx, string(target.Account))
	if err != nil {
		return fmt.Errorf("look up %s: %w", target, err)
	}
	if _, lives := living[string(target.Account)]; !lives {
		return ErrTarget
	}
	return nil
}

// Blocks gives at most limit of the caller's blocks that stand behind a
// position, newest first. next is the position of the last one; nil when there
// are no more.
func (s *Service) Blocks(ctx context.Context, caller id.Account, behind *BlockPosition, limit int) (page []Block, next *BlockPosition, err error) {
	page, err = s.Store.Blocks(ctx, caller, behind, limit+1)
	if err == nil && len(page) > limit {
		page = page[:limit]
		last := page[limit-1]
		next = &BlockPosition{last.CreatedAt, last.ID}
	}
	return page, next, err
}

// Unblock takes one of the caller's blocks back. Faults: fault.ErrNotFound,
// fault.ErrRateLimited.
func (s *Service) Unblock(ctx context.Context, caller id.Account, b id.Block) error {
	if err := s.mayWriteNow(caller, 1); err != nil {
		return err
	}
	return s.unblock(ctx, caller, b)
}

func (s *Service) unblock(ctx context.Context, caller id.Account, b id.Block) error {
	was, err := s.Store.DeleteBlock(ctx, caller, b)
	s.Rights.blocked(caller, was.Barred())
	s.Lists.Forget(caller)
	return err
}

// barrierChunk is how many barriers of an account are looked at in one go.
// Almost nobody has so many: two reads do.
const barrierChunk = 500

// mayWrite refuses who has blocked the conversation or is blocked by one of
// its members; others are further accounts to count as members. Who is barred
// nowhere costs at most one read, whatever the size of the conversation.
func (s *Service) mayWrite(ctx context.Context, sender id.Account, c id.Conversation, others ...id.Account) error {
	barriers, err := s.Rights.barriersOf(ctx, sender)
	for err == nil && len(barriers) > 0 {
		var by []id.Account
		for _, b := range barriers {
			switch {
			case b.Account != "":
				by = append(by, b.Account)
			case b.Conversation == c:
				return ErrBlocked.Say("You have blocked this conversation.")
			}
		}
		if err := s.barredBy(ctx, c, by, others); err != nil {
			return err
		}
		if len(barriers) < barrierChunk {
			return nil
		}
		barriers, err = s.Store.Barriers(ctx, sender, barriers[len(barriers)-1].String(), barrierChunk)
	}
	return err
}

func (s *Service) barredBy(ctx context.Context, c id.Conversation, by, others []id.Account) error {
	barred := slices.ContainsFunc(others, func(a id.Account) bool { return slices.Contains(by, a) })
	if !barred && len(by) > 0 {
		found, err := s.Store.MembersAmong(ctx, c, by)
		if err != nil {
			return err
		}
		barred = len(found) > 0
		if barred {
			if barred, err = s.blocksBar(ctx, c); err != nil {
				return err
			}
		}
	}
	if barred {
		return ErrBlocked.Say("A member of this conversation has blocked you.")
	}
	return nil
}

// blocksBar reports whether a block of one member bars another from sending.
// In a larger group than the limit it hides messages instead.
func (s *Service) blocksBar(ctx context.Context, c id.Conversation) (bool, error) {
	most := s.limits.BlocksMaxGroup
	if most == 0 {
		return true, nil
	}
	count, err := s.Store.MemberCount(ctx, c)
	return count <= max(most, pair), err
}

// pair is how many members a direct conversation has.
const pair = 2

// maxHidden bounds the blocks by which an account hides messages (docs/api/chat.md).
const maxHidden = 5000

// blockedBy are the accounts that the caller blocks, as far as that may hide
// messages from it.
func (s *Service) blockedBy(ctx context.Context, caller id.Account) ([]id.Account, error) {
	if s.limits.BlocksMaxGroup == 0 {
		return nil, nil
	}
	newest, err := s.Rights.blocksOf(ctx, caller)
	if err == nil && len(newest) > rememberedBlocks {
		newest, err = s.Store.Blocks(ctx, caller, nil, maxHidden)
	}
	var blocked []id.Account
	for _, b := range newest {
		if b.Target.Account != "" {
			blocked = append(blocked, b.Target.Account)
		}
	}
	return blocked, err
}

// hiddenIn are those of the blocked accounts whose messages are hidden in a
// conversation: all or none. Who blocks nobody costs no read.
func (s *Service) hiddenIn(ctx context.Context, c id.Conversation, blocked []id.Account) ([]id.Account, error) {
	if len(blocked) == 0 {
		return nil, nil
	}
	bar, err := s.blocksBar(ctx, c)
	switch {
	case errors.Is(err, fault.ErrNotFound): // closed meanwhile
		return nil, nil
	case err != nil || bar:
		return nil, err
	}
	return blocked, nil
}

// Hides tells whether what an account says in a conversation is hidden from
// another, who blocks it. Who blocks nobody costs no read.
func (s *Service) Hides(ctx context.Context, from, sender id.Account, c id.Conversation) (bool, error) {
	blocked, err := s.blockedBy(ctx, from)
	if err != nil || !slices.Contains(blocked, sender) {
		return false, err
	}
	hidden, err := s.hiddenIn(ctx, c, blocked)
	return len(hidden) > 0, err
}

// A veil tells which messages are hidden from who has blocked some accounts; it
// asks once for each conversation in which one of them has spoken.
type veil struct {
	*Service
	blocked []id.Account
	speaks  map[id.Account]bool
	over    map[id.Conversation]bool
}

func (s *Service) newVeil(blocked []id.Account) veil {
	v := veil{s, blocked, make(map[id.Account]bool, len(blocked)), map[id.Conversation]bool{}}
	for _, a := range blocked {
		v.speaks[a] = true
	}
	return v
}

func (v veil) hides(ctx context.Context, m *sequence.Message) (bool, error) {
	if !v.speaks[m.Sender] {
		return false, nil
	}
	c := m.ID.Conversation
	over, known := v.over[c]
	if !known {
		hidden, err := v.hiddenIn(ctx, c, v.blocked)
		if err != nil {
			return false, err
		}
		over = len(hidden) > 0
		v.over[c] = over
	}
	return over, nil
}
