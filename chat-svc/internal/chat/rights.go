package chat

import (
	"context"
	"time"

	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/readmark"
)

const (
	// rightsAge is how far behind the database rights may be: a change is in
	// effect on every replica within two seconds, also on one that no longer
	// hears of changes, and at once on the one that makes it (docs/api/chat.md).
	rightsAge  = 2 * time.Second
	rightsSize = 100_000
	rightsWait = 5 * time.Second // for one read
	// rememberedBlocks bounds what is remembered of one account's blocks, and
	// of what bars its sends; more is read each time.
	rememberedBlocks = 16
)

// RightsStore reads what rights are made of.
type RightsStore interface {
	// Member finds one member; fault.ErrNotFound.
	Member(ctx context.Context, c id.Conversation, a id.Account) (Member, error)
	// Barriers bar an account's sends: conversations that it has blocked, and
	// accounts that block it. They are given in the order of their ids, those
	// behind an id (""; all), at most limit.
	Barriers(ctx context.Context, a id.Account, behind string, limit int) ([]Target, error)
	// Blocks are the blocks of an account that stand behind a position (nil:
	// all), newest first, then by id, at most limit.
	Blocks(ctx context.Context, a id.Account, behind *BlockPosition, limit int) ([]Block, error)
	// From lets read ask, by its context, for what a majority has at a position
	// of the feed or later; the zero position is any.
	From(ctx context.Context, p events.Position, read func(context.Context) error) error
}

// Heard knows how much of what happened Listen has been told.
type Heard interface {
	// Taken is the position of the newest change that Listen may have heard of.
	Taken() events.Position
	// Complete is a moment before which nothing was committed that was not told
	// since the feed began; zero where that is not known.
	Complete() time.Time
}

// Rights keep in memory who is a member, what bars an account's sends, and
// whom it blocks. What they tell is never more than two seconds behind the
// database: an entry lives while the feed tells everything and until it tells
// of a change, and is otherwise read again after two seconds. Who is no member
// is looked up each time, so that a new one is let in at once.
type Rights struct {
	store RightsStore
	heard Heard

	members  *memory[readmark.Reader, Member]
	barriers *memory[id.Account, []Target]
	blocks   *memory[id.Account, []Block]
}

// NewRights makes empty rights. Listen must hear every event of the feed.
func NewRights(store RightsStore, now func() time.Time) *Rights {
	return &Rights{
		store:    store,
		members:  newMemory[readmark.Reader, Member](rightsSize, now),
		barriers: newMemory[id.Account, []Target](rightsSize, now),
		blocks:   newMemory[id.Account, []Block](rightsSize, now),
	}
}

// Hear names the feed whose every event Listen hears, before the first look.
func (r *Rights) Hear(heard Heard) { r.heard = heard }

// Lookups count, for each memory by its name, what it had and what had to be
// read.
func (r *Rights) Lookups() map[string]func() (hits, misses uint64) {
	return map[string]func() (hits, misses uint64){
		"members": r.members.lookups, "barriers": r.barriers.lookups, "blocks": r.blocks.lookups,
	}
}

// Listen applies one event; it runs on the feed's goroutine. An event without
// a position ends everything.
func (r *Rights) Listen(e events.Event) {
	switch {
	case e.Position.IsZero():
		r.members.endWhere(all)
		r.barriers.endWhere(all)
		r.blocks.endWhere(all)
	case e.Kind == events.MemberSet || e.Kind == events.MemberGone:
		r.changed(e.Conversation, e.Account)
	case e.Kind == events.ConversationClosed:
		r.closed(e.Conversation)
	case e.Kind == events.BlocksChanged:
		r.blocked(e.Account, e.Barred)
	}
}

func all[K any](K) bool { return true }

// changed ends what is known of accounts in a conversation.
func (r *Rights) changed(c id.Conversation, accounts ...id.Account) {
	for _, a := range accounts {
		r.members.end(readmark.Reader{Account: a, Conversation: c})
	}
}

// closed ends what is known of a conversation's members.
func (r *Rights) closed(c id.Conversation) {
	r.members.endWhere(func(k readmark.Reader) bool { return k.Conversation == c })
}

// blocked ends what is known of a block.
func (r *Rights) blocked(blocker, barred id.Account) {
	r.blocks.end(blocker)
	r.barriers.end(barred)
}

// read asks the store for what the feed has told, or later: what an event ended
// is not read again as it was before.
func (r *Rights) read(ctx context.Context, read func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rightsWait) // others may wait for it, too
	defer cancel()
	return r.store.From(ctx, r.heard.Taken(), read)
}

// member finds one member; fault.ErrNotFound.
func (r *Rights) member(ctx context.Context, c id.Conversation, a id.Account) (Member, error) {
	key := readmark.Reader{Account: a, Conversation: c}
	found, mine := r.members.find(key, r.heard.Complete())
	if mine {
		var m Member
		err := r.read(ctx, func(ctx context.Context) (err error) {
			m, err = r.store.Member(ctx, c, a)
			return err
		})
		r.members.give(key, found, m, err, true)
	}
	m, err := found.wait(ctx)
	return m, strangers(c, err)
}

// barriersOf are the first of what bars an account's sends, at most
// barrierChunk.
func (r *Rights) barriersOf(ctx context.Context, a id.Account) ([]Target, error) {
	found, mine := r.barriers.find(a, r.heard.Complete())
	if mine {
		var first []Target
		err := r.read(ctx, func(ctx context.Context) (err error) {
			first, err = r.store.Barriers(ctx, a, "", barrierChunk)
			return err
		})
		r.barriers.give(a, found, first, err, len(first) <= rememberedBlocks)
	}
	return found.wait(ctx)
}

// blocksOf are the newest of an account's blocks: all where there are no more
// than rememberedBlocks, otherwise one more.
func (r *Rights) blocksOf(ctx context.Context, a id.Account) ([]Block, error) {
	found, mine := r.blocks.find(a, r.heard.Complete())
	if mine {
		var newest []Block
		err := r.read(ctx, func(ctx context.Context) (err error) {
			newest, err = r.store.Blocks(ctx, a, nil, rememberedBlocks+1)
			return err
		})
		r.blocks.give(a, found, newest, err, true)
	}
	return found.wait(ctx)
}
