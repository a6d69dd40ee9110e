package identity

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
)

// maxCode is how long a code may be as a person types it.
const maxCode = 64

// ErrCode is the refusal of a recovery code.
var ErrCode = fault.ErrUnauthenticated.Say("The code is wrong or has ended; ask for another.")

// ReplaceRecoveryKey makes a new recovery key for an account that proved the
// old one. With revokeKeys every API key ends too.
func (s *Service) ReplaceRecoveryKey(ctx context.Context, account Account, revokeKeys bool) (secret.Secret, error) {
	fresh, err := s.deps.Maker.RecoveryKey()
	if err != nil {
		return secret.Secret{}, err
	}
	err = s.deps.Store.ReplaceRecovery(ctx, account.ID, account.Recovery, s.deps.Peppers.Hash(fresh), revokeKeys, s.deps.Now())
	if err != nil {
		return secret.Secret{}, fmt.Errorf("replace the recovery key of %s: %w", account.ID, notFoundIs(err, ErrCredential))
	}
	s.deps.Audit.InfoContext(ctx, "recovery key replaced", "account", account.ID, "keys_revoked", revokeKeys)
	return fresh, nil
}

// RequestRecovery has a code mailed to the verified address of an account, if
// there is such an account and address; whether there is, the caller cannot
// tell, neither by the answer nor by its time. While a code lives no other is
// mailed: a stranger, who knows the id as everybody does, can neither void the
// owner's code nor fill the mailbox. Guesses are not counted against a code of
// 80 bits either, only against those who guess.
func (s *Service) RequestRecovery(ctx context.Context, accountID string) error {
	if !secret.CheckID(secret.PrefixAgent, accountID) {
		return ErrAgentID
	}
	now := s.deps.Now()
	err := s.deps.Store.QueueMailOnce(ctx, MailJob{
		AccountID: accountID, Purpose: PurposeRecover, Due: now, ExpiresAt: now.Add(recoveryMailTTL),
	}, now)
	if err != nil {
		return fmt.Errorf("queue a recovery mail of %s: %w", accountID, err)
	}
	s.deps.Audit.InfoContext(ctx, "recovery requested", "account", accountID)
	return nil
}

// ConfirmRecovery takes a mailed code and makes a new recovery key; every API
// key of the account ends. ErrCode whatever is wrong with the pair, and
// ErrAgentID where accountID is no id at all.
func (s *Service) ConfirmRecovery(ctx context.Context, accountID, typed string) (secret.Secret, error) {
	if !secret.CheckID(secret.PrefixAgent, accountID) {
		return secret.Secret{}, ErrAgentID
	}
	if typed == "" || utf8.RuneCountInString(typed) > maxCode {
		return secret.Secret{}, fault.Field("code", "must be the mailed code, at most %d characters", maxCode)
	}
	code, ok := secret.ParseCode(typed)
	if !ok {
		return secret.Secret{}, ErrCode
	}
	proof, err := s.deps.Store.Code(ctx, accountID, s.deps.Now())
	if err != nil && !errors.Is(err, fault.ErrNotFound) {
		return secret.Secret{}, fmt.Errorf("confirm the recovery of %s: %w", accountID, err)
	}
	if !s.deps.Peppers.Verify(code, proof.Secret) {
		return secret.Secret{}, ErrCode
	}
	fresh, err := s.deps.Maker.RecoveryKey()
	if err != nil {
		return secret.Secret{}, err
	}
	err = s.deps.Store.Recover(ctx, accountID, proof.Secret, s.deps.Peppers.Hash(fresh), s.deps.Now())
	if err != nil {
		return secret.Secret{}, fmt.Errorf("recover %s: %w", accountID, notFoundIs(err, ErrCode))
	}
	s.deps.Audit.InfoContext(ctx, "account recovered by e-mail", "account", accountID)
	return fresh, nil
}
