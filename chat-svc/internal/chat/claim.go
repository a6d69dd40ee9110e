package chat

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
)

const (
	// ClaimsKept is how long a key answers with its first result
	// (docs/api/conventions.md, "Safe repeats").
	ClaimsKept = 24 * time.Hour
	// Unmade is how long a group may be in the making: nobody takes it up again
	// when the key of its maker is forgotten.
	Unmade = ClaimsKept + time.Hour

	// creationLease is how long the maker of a conversation is left alone; a
	// repeat that comes later takes over.
	creationLease = 30 * time.Second
	// claimWait bounds the note that a creation failed.
	claimWait = 2 * time.Second
)

// mayClaim lets only repeats in while the caller's rate is used up: of what is
// refused nothing is kept.
func (s *Service) mayClaim(ctx context.Context, caller id.Account, n NewConversation) error {
	wait := s.Creations.WaitN(string(caller), n.events())
	if wait == 0 {
		return nil
	}
	_, _, err := s.Store.KeyUse(ctx, caller, n.Key)
	if errors.Is(err, fault.ErrNotFound) {
		return fault.ErrRateLimited.After(wait)
	}
	return err
}

// createOnce creates under a claim.
func (s *Service) createOnce(ctx context.Context, caller id.Account, c id.Conversation, n NewConversation) (Creation, error) {
	claim := Claim{Account: caller, Key: n.Key, Fingerprint: n.fingerprint(), Conversation: c, StartedAt: s.now()}
	standing, inserted, err := s.Store.InsertClaim(ctx, claim)
	create := s.create
	switch {
	case err != nil:
		return Creation{}, err
	case inserted:
	case standing.Fingerprint != claim.Fingerprint:
		return Creation{}, fault.ErrIdempotency
	case standing.Finished:
		view, err := s.view(ctx, caller, standing.Conversation)
		return Creation{View: view, Made: standing.Made, Replayed: true}, err
	case s.now().Sub(standing.StartedAt) < creationLease:
		return Creation{}, ErrRunning
	default:
		if err := s.Store.TakeClaim(ctx, standing, claim.StartedAt); err != nil {
			return Creation{}, running(err)
		}
		claim.Conversation, create = standing.Conversation, s.resume
	}
	made, err := create(ctx, caller, claim.Conversation, n)
	if err == nil {
		made.Made = made.Made || n.Type == Group // an attempt before this one may have made it
		err = s.Store.FinishClaim(ctx, claim, made.Made)
	}
	if err != nil {
		return Creation{}, errors.Join(err, s.giveUp(ctx, claim, err))
	}
	return made, nil
}

func running(err error) error {
	if errors.Is(err, fault.ErrConflict) {
		return ErrRunning
	}
	return err
}

// giveUp makes the key free after a refusal, and the claim after trouble.
func (s *Service) giveUp(ctx context.Context, claim Claim, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimWait)
	defer cancel()
	switch fault.Of(why).Kind {
	case fault.Invalid, fault.Forbidden, fault.RateLimited:
		return s.Store.DropClaim(ctx, claim)
	default:
		return s.Store.ReleaseClaim(ctx, claim)
	}
}

// fingerprint tells one request from another under the same key.
func (n NewConversation) fingerprint() [16]byte {
	n.Key = ""
	text, _ := json.Marshal(n) // strings and slices of them always have a JSON form
	sum := sha256.Sum256(text)
	return [16]byte(sum[:16])
}

// resume is create where an attempt before this one may have broken off: what
// that one has begun is finished, as it was allowed.
func (s *Service) resume(ctx context.Context, caller id.Account, c id.Conversation, n NewConversation) (Creation, error) {
	begun, err := s.Store.Pending(ctx, c)
	switch {
	case err != nil:
		return Creation{}, err
	case begun:
		return s.finish(ctx, caller, c, n)
	}
	return s.create(ctx, caller, c, n)
}
