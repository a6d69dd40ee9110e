package identity

import (
	"context"
	"time"

	"chatplatform.io/auth-svc/internal/secret"
)

// Store keeps accounts, keys and what hangs on them. Each method is one atomic
// thing. A store that cannot be reached is fault.ErrUnavailable.
type Store interface {
	// InsertAccount keeps a new account. ErrNameTaken where its name belongs
	// to another, also one that is deleted.
	InsertAccount(ctx context.Context, a Account) error
	// Account finds an account or its tombstone; fault.ErrNotFound.
	Account(ctx context.Context, id string) (Account, error)
	// AccountByName finds without regard to case; fault.ErrNotFound.
	AccountByName(ctx context.Context, name string) (Account, error)
	// Accounts finds those of the ids and names that exist, tombstones
	// included, in no order.
	Accounts(ctx context.Context, ids, names []string) ([]Account, error)
	// ListAccounts gives up to limit living accounts in the order of their
	// lower-case names, from after on; kind "" means both.
	ListAccounts(ctx context.Context, kind Kind, after string, limit int) ([]Account, error)
	// UpdateProfile sets the fields that are not nil, tells the change feed and
	// returns the account; fault.ErrNotFound.
	UpdateProfile(ctx context.Context, id string, p ProfilePatch, at time.Time) (Account, error)
	// ReplaceRecovery swaps the hash of the recovery key; with revokeKeys every
	// key is revoked too, and the change feed told. fault.ErrNotFound where the
	// account is gone or old is no longer its hash.
	ReplaceRecovery(ctx context.Context, id string, old, fresh secret.Hashed, revokeKeys bool, at time.Time) error
	// DeleteAccount leaves a tombstone, revokes the keys and tells the change
	// feed; fault.ErrNotFound.
	DeleteAccount(ctx context.Context, id string, content Content, at time.Time) error

	// InsertKey keeps a new key; fault.ErrQuota where the account has most
	// live ones already, fault.ErrNotFound where it is deleted.
	InsertKey(ctx context.Context, k Key, most int) error
	// Keys gives every key of an account that is live at now, and up to 500 of
	// those that have ended, newest first.
	Keys(ctx context.Context, accountID string, now time.Time) ([]Key, error)
	// Key finds one key; fault.ErrNotFound.
	Key(ctx context.Context, accountID, keyID string) (Key, error)
	// KeyBySecret finds the key with one of the hashes, by one query;
	// fault.ErrNotFound.
	KeyBySecret(ctx context.Context, accountID string, hashes []secret.Hashed) (Key, error)
	// RevokeKey revokes a key and tells the change feed; once revoked it stays
	// as it is. fault.ErrNotFound.
	RevokeKey(ctx context.Context, accountID, keyID string, at time.Time) error
	// RotateKey keeps fresh and ends old at until, or, where that is not after
	// fresh.CreatedAt, at once, and tells the change feed. fault.ErrNotFound
	// where old is no longer live; fault.ErrQuota where old lives on and the
	// account has most live keys already.
	RotateKey(ctx context.Context, old, fresh Key, until time.Time, most int) error
	// TouchKeys writes when keys were last used.
	TouchKeys(ctx context.Context, used []KeyUse) error

	// RevokeToken remembers until expires that the token was revoked, and tells
	// the change feed.
	RevokeToken(ctx context.Context, accountID, tokenID string, at, expires time.Time) error
	// TokenRevoked tells whether it was.
	TokenRevoked(ctx context.Context, tokenID string) (bool, error)

	// InsertLink keeps the hash of a link's token that is mailed; one of the
	// same account is replaced.
	InsertLink(ctx context.Context, p Proof) error
	// VerifyEmail spends the live link with one of the hashes, marks the
	// address that it was mailed to as verified and returns its account;
	// fault.ErrNotFound where there is no such link, or the address is no
	// longer the account's.
	VerifyEmail(ctx context.Context, hashes []secret.Hashed, at time.Time) (accountID string, err error)

	// InsertCode keeps the hash of a recovery code that is mailed. A live one
	// of the same account that was sent stays, and it is fault.ErrConflict; any
	// other is replaced.
	InsertCode(ctx context.Context, p Proof, now time.Time) error
	// CodeSent notes that the relay has the mail with the code.
	CodeSent(ctx context.Context, accountID string, code secret.Hashed) error
	// Code finds the account's live recovery code; fault.ErrNotFound.
	Code(ctx context.Context, accountID string, now time.Time) (Proof, error)
	// Recover spends the account's live code, swaps the hash of its recovery
	// key, revokes every key and tells the change feed; fault.ErrNotFound where
	// another caller has used the code, or the account is gone.
	Recover(ctx context.Context, accountID string, code, fresh secret.Hashed, at time.Time) error

	// QueueMail asks for a mail; one of the same account and purpose that
	// still waits is replaced.
	QueueMail(ctx context.Context, m MailJob) error
	// QueueMailOnce is QueueMail, but one that still waits stays as it is.
	QueueMailOnce(ctx context.Context, m MailJob, now time.Time) error
	// LeaseMail takes the mail that has been due longest and puts it off to
	// until, so that nobody else takes it meanwhile; fault.ErrNotFound where
	// none is due.
	LeaseMail(ctx context.Context, now, until time.Time) (MailJob, error)
	// PutOffMail sets when the mail is tried next.
	PutOffMail(ctx context.Context, m MailJob, due time.Time) error
	// DropMail forgets a mail that was sent or given up.
	DropMail(ctx context.Context, m MailJob) error

	// Changes gives up to limit changes after a position, in order.
	Changes(ctx context.Context, after int64, limit int) ([]Change, error)
	// Position gives the position of the last change, 0 before the first.
	Position(ctx context.Context) (int64, error)
	// PositionAt gives the last position after which every change since an
	// instant is found.
	PositionAt(ctx context.Context, at time.Time) (int64, error)
}

// ProfilePatch is a profile of which nil fields stay as they are.
type ProfilePatch struct {
	DisplayName *string
	Description *string
}

// KeyUse is one key's last use.
type KeyUse struct {
	AccountID, KeyID string
	At               time.Time
}

// Content says what becomes of a deleted account's messages.
type Content string

// What becomes of them.
const (
	ContentKeep  Content = "keep"
	ContentErase Content = "erase"
)

// Purpose says what a mail is for.
type Purpose string

// The purposes.
const (
	PurposeVerify  Purpose = "verify"
	PurposeRecover Purpose = "recover"
)

// A Proof is a one-time secret that was mailed, kept as its hash.
type Proof struct {
	AccountID string
	Email     string
	Secret    secret.Hashed
	ExpiresAt time.Time
}

// A MailJob is a mail that waits to be sent. What it will say is made when it
// is sent, so no secret waits with it.
type MailJob struct {
	AccountID string
	Purpose   Purpose
	Attempts  int
	Due       time.Time
	ExpiresAt time.Time // given up then
}

// ChangeKind says what happened.
type ChangeKind string

// The kinds of change.
const (
	ChangeTokenRevoked   ChangeKind = "token_revoked"
	ChangeKeysRevoked    ChangeKind = "keys_revoked"
	ChangeAccountUpdated ChangeKind = "account_updated"
	ChangeAccountDeleted ChangeKind = "account_deleted"
)

// A Change is one entry of the durable feed by which other services learn what
// happened to accounts. Positions grow by one and never go back.
type Change struct {
	Position  int64
	Kind      ChangeKind
	AccountID string
	At        time.Time
	TokenID   string   // token_revoked
	KeyIDs    []string // keys_revoked: at most 100
	Content   Content  // account_deleted
}
