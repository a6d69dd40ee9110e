package chat

import (
	"context"
	"errors"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/svckit/cache"
	"chatplatform.io/svckit/fault"
)

const (
	// rightsAge is how long a membership or a block that was read is believed:
	// a change is in effect on every replica within two seconds, and at once on
	// the one that makes it (docs/api/chat.md).
	rightsAge  = 2 * time.Second
	rightsSize = 100_000
	// rememberedBarriers bounds what is remembered of one account.
	rememberedBarriers = 16
)

// strangerError is why somebody is told fault.ErrNotFound who is no member of
// a conversation, whether it is there or not.
type strangerError struct {
	conversation id.Conversation
	cause        error
}

func (e *strangerError) Error() string { return e.cause.Error() }

// strangers notes what a look for a caller's membership did not find.
func strangers(c id.Conversation, err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return fault.ErrNotFound.Because(&strangerError{c, err})
	}
	return err
}

// Disclose tells apart what fault.ErrNotFound leaves open: where err refuses
// who is no member of a conversation that is there, the answer is
// fault.ErrForbidden. Any other err comes back as it is.
func (s *Service) Disclose(ctx context.Context, err error) error {
	var stranger *strangerError
	if !errors.As(err, &stranger) {
		return err
	}
	_, absent := s.Store.MemberCount(ctx, stranger.conversation)
	switch {
	case errors.Is(absent, fault.ErrNotFound):
		return err
	case absent != nil:
		return absent
	}
	return fault.ErrForbidden.Say("You are not a member of this conversation.").Because(err)
}

// member finds one member, in memory or by one read; fault.ErrNotFound. Who is
// no member is looked up each time, so that a new one is let in at once.
func (s *Service) member(ctx context.Context, c id.Conversation, a id.Account) (Member, error) {
	key := readmark.Reader{Account: a, Conversation: c}
	if known, ok := s.rights.get(key, c); ok {
		return known, nil
	}
	asked := s.Now()
	member, err := s.Store.Member(ctx, c, a)
	if err == nil {
		s.rights.set(key, member, asked)
	}
	return member, strangers(c, err)
}

// barriers are the first of what bars an account's sends, in memory or by one
// read.
func (s *Service) barriers(ctx context.Context, a id.Account) ([]Target, error) {
	if known, ok := s.barred.get(a, a); ok {
		return known, nil
	}
	asked := s.Now()
	found, err := s.Store.Barriers(ctx, a, "", barrierChunk)
	if err == nil && len(found) <= rememberedBarriers {
		s.barred.set(a, found, asked)
	}
	return found, err
}

// A memory is a cache of answers that a change made here ends at once, even
// one that was asked for before the change and came after it. A change has a
// subject, which may be that of many answers.
type memory[K, S comparable, V any] struct {
	answers *cache.Cache[K, answer[V]]
	changed *cache.Cache[S, time.Time]
	now     func() time.Time
}

type answer[V any] struct {
	value V
	asked time.Time
}

func newMemory[K, S comparable, V any](now func() time.Time) memory[K, S, V] {
	return memory[K, S, V]{
		answers: cache.New[K, answer[V]](rightsSize, rightsAge, now),
		// No answer that a change could end is believed for longer.
		changed: cache.New[S, time.Time](rightsSize, 2*rightsAge, now),
		now:     now,
	}
}

func (m memory[K, S, V]) get(key K, subject S) (value V, ok bool) {
	known, ok := m.answers.Get(key)
	if !ok {
		return value, false
	}
	if changed, ok := m.changed.Get(subject); ok && !known.asked.After(changed) {
		return value, false
	}
	return known.value, true
}

func (m memory[K, S, V]) set(key K, value V, asked time.Time) {
	m.answers.Set(key, answer[V]{value, asked})
}

// change ends what was asked about the subject so far.
func (m memory[K, S, V]) change(subject S) { m.changed.Set(subject, m.now()) }
