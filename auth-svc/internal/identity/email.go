package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chatplatform.io/auth-svc/internal/mail"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
)

const (
	verificationTTL = 24 * time.Hour
	codeTTL         = 15 * time.Minute
	// A mail that could not be sent is tried again for this long.
	verificationMailTTL = 24 * time.Hour
	recoveryMailTTL     = time.Hour

	firstTryTimeout = 3 * time.Second // of the try that a caller waits for
	mailLease       = time.Minute     // one try in the background
	mailBackoffMax  = 30 * time.Minute
)

// ErrProof is the refusal of a mailed link's token.
var ErrProof = fault.Field("token", "this link is not valid, was used or has ended; ask for another")

// VerifyEmail marks the address that the link was mailed to as verified. A
// link works once.
func (s *Service) VerifyEmail(ctx context.Context, given secret.Secret) error {
	if !secret.Check(secret.PrefixEmailToken, given.Reveal()) {
		return ErrProof
	}
	accountID, err := s.deps.Store.VerifyEmail(ctx, s.deps.Peppers.Candidates(given), s.deps.Now())
	if err != nil {
		return fmt.Errorf("use a verification link: %w", notFoundIs(err, ErrProof))
	}
	s.deps.Audit.InfoContext(ctx, "e-mail verified", "account", accountID)
	return nil
}

// ResendVerification mails a fresh link, which replaces the old one. It
// returns when the link ends, or nil where the relay is away and the mail
// follows.
func (s *Service) ResendVerification(ctx context.Context, accountID string) (*time.Time, error) {
	account, err := s.Living(ctx, accountID)
	switch {
	case err != nil:
		return nil, err
	case account.Email == "":
		return nil, fault.ErrConflict.Say("The account has no e-mail address.")
	case account.EmailVerifiedAt != nil:
		return nil, fault.ErrConflict.Say("The e-mail address is verified already.")
	}
	return s.sendLinkOrQueue(ctx, account), nil
}

// sendLinkOrQueue tries to send a link at once, for a moment; what cannot be
// sent is queued. It returns when the link ends, or nil where it was not sent.
func (s *Service) sendLinkOrQueue(ctx context.Context, account Account) *time.Time {
	if s.deps.Mailer == nil {
		return nil
	}
	try, cancel := context.WithTimeout(ctx, firstTryTimeout)
	defer cancel()
	expires, err := s.sendLink(try, account)
	if err == nil {
		return &expires
	}
	if errors.Is(err, mail.ErrRefused) {
		s.deps.Audit.WarnContext(ctx, "mail was refused", "account", account.ID, "purpose", PurposeVerify, "error", err)
		return nil
	}
	now := s.deps.Now()
	queued := s.deps.Store.QueueMail(ctx, MailJob{
		AccountID: account.ID, Purpose: PurposeVerify, Attempts: 1, Due: now.Add(time.Second), ExpiresAt: now.Add(verificationMailTTL),
	})
	s.deps.Audit.WarnContext(ctx, "mail was not sent, it is tried again",
		"account", account.ID, "purpose", PurposeVerify, "error", errors.Join(err, queued))
	return nil
}

// sendLink makes a link, keeps the hash of its token and mails it. It returns
// when the link ends.
func (s *Service) sendLink(ctx context.Context, account Account) (time.Time, error) {
	value, err := s.deps.Maker.EmailToken()
	if err != nil {
		return time.Time{}, err
	}
	link := Proof{
		AccountID: account.ID, Email: account.Email, Secret: s.deps.Peppers.Hash(value), ExpiresAt: s.deps.Now().Add(verificationTTL),
	}
	if err := s.deps.Store.InsertLink(ctx, link); err != nil {
		return time.Time{}, fmt.Errorf("keep the link of %s: %w", account.ID, err)
	}
	message := mail.Verification(account.Email, s.config.PublicURL, account.Name, value, link.ExpiresAt)
	if err := s.deps.Mailer.Send(ctx, message); err != nil {
		return time.Time{}, fmt.Errorf("mail the link of %s: %w", account.ID, err)
	}
	return link.ExpiresAt, nil
}

// sendCode makes a recovery code, keeps its hash and mails it, unless one that
// was mailed still lives.
func (s *Service) sendCode(ctx context.Context, account Account) error {
	value, err := s.deps.Maker.RecoveryCode()
	if err != nil {
		return err
	}
	canonical, _ := secret.ParseCode(value.Reveal()) // what the maker made is a code
	code := Proof{
		AccountID: account.ID, Email: account.Email, Secret: s.deps.Peppers.Hash(canonical), ExpiresAt: s.deps.Now().Add(codeTTL),
	}
	err = s.deps.Store.InsertCode(ctx, code, s.deps.Now())
	if errors.Is(err, fault.ErrConflict) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keep the recovery code of %s: %w", account.ID, err)
	}
	message := mail.Recovery(account.Email, s.config.PublicURL, account.ID, account.Name, value, code.ExpiresAt)
	if err := s.deps.Mailer.Send(ctx, message); err != nil {
		return fmt.Errorf("mail the recovery code of %s: %w", account.ID, err)
	}
	if err := s.deps.Store.CodeSent(ctx, account.ID, code.Secret); err != nil {
		return fmt.Errorf("note that the recovery code of %s was sent: %w", account.ID, err)
	}
	return nil
}

func (s *Service) send(ctx context.Context, account Account, purpose Purpose) error {
	if purpose == PurposeRecover {
		return s.sendCode(ctx, account)
	}
	_, err := s.sendLink(ctx, account)
	return err
}

// SendDue sends one mail that is due and reports whether there was one. It is
// called again and again by the service's mail loop, on every replica.
func (s *Service) SendDue(ctx context.Context) (bool, error) {
	job, err := s.deps.Store.LeaseMail(ctx, s.deps.Now(), s.deps.Now().Add(mailLease))
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find a mail that is due: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, mailLease)
	defer cancel()
	account, err := s.Living(ctx, job.AccountID)
	if errors.Is(err, fault.ErrNotFound) || err == nil && !job.wanted(account) {
		return true, s.deps.Store.DropMail(ctx, job)
	}
	if err == nil {
		err = s.send(ctx, account, job.Purpose)
	}
	if err == nil {
		return true, s.deps.Store.DropMail(ctx, job)
	}
	due := s.deps.Now().Add(min(time.Second<<min(job.Attempts, 12), mailBackoffMax))
	if errors.Is(err, mail.ErrRefused) || due.After(job.ExpiresAt) {
		s.deps.Audit.ErrorContext(ctx, "mail is given up", "account", job.AccountID, "purpose", job.Purpose, "error", err)
		return true, s.deps.Store.DropMail(ctx, job)
	}
	return true, errors.Join(err, s.deps.Store.PutOffMail(ctx, job, due))
}

// wanted tells whether the mail still makes sense for the account.
func (m MailJob) wanted(a Account) bool {
	if m.Purpose == PurposeVerify {
		return a.Email != "" && a.EmailVerifiedAt == nil
	}
	return a.EmailVerifiedAt != nil
}
