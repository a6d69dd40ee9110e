package mongostore_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
)

func proof(purpose identity.Purpose, letter string, expires time.Time) identity.Proof {
	return identity.Proof{Purpose: purpose, AccountID: "a1", Email: "a@example.com", Secret: hashed(letter), ExpiresAt: expires}
}

func TestVerificationsAreTakenOnce(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	hour := now().Add(time.Hour)
	require.NoError(t, s.InsertProof(t.Context(), proof(identity.PurposeVerify, "1", hour)))
	require.NoError(t, s.InsertProof(t.Context(), proof(identity.PurposeVerify, "2", hour)))
	_, err := s.TakeVerification(t.Context(), []secret.Hashed{hashed("1")}, now())
	require.ErrorIs(t, err, fault.ErrNotFound, "one of the same account is replaced")
	_, err = s.TakeVerification(t.Context(), []secret.Hashed{hashed("2")}, hour)
	require.ErrorIs(t, err, fault.ErrNotFound, "one that has ended is not live")

	take := func() error {
		got, err := s.TakeVerification(t.Context(), []secret.Hashed{hashed("9"), hashed("2")}, now())
		if err == nil {
			require.Equal(t, "a1", got.AccountID)
			require.Equal(t, "a@example.com", got.Email)
		}
		return err
	}
	first, second := both(take, take)
	if first != nil {
		first, second = second, first
	}
	require.NoError(t, first)
	require.ErrorIs(t, second, fault.ErrNotFound)
}

func TestRecoveryCodesCountTheirTries(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	hour := now().Add(time.Hour)
	require.NoError(t, s.InsertProof(t.Context(), proof(identity.PurposeRecover, "1", hour)))
	for range 3 {
		got, err := s.TryRecovery(t.Context(), "a1", now(), 3)
		require.NoError(t, err)
		require.Equal(t, hashed("1"), got.Secret)
	}
	_, err := s.TryRecovery(t.Context(), "a1", now(), 3)
	require.ErrorIs(t, err, fault.ErrNotFound, "its tries are used up")
	require.NoError(t, s.InsertProof(t.Context(), proof(identity.PurposeRecover, "2", hour)))
	_, err = s.TryRecovery(t.Context(), "a1", hour, 3)
	require.ErrorIs(t, err, fault.ErrNotFound, "it has ended")
	_, err = s.TryRecovery(t.Context(), "a1", now(), 3)
	require.NoError(t, err, "a fresh one has tries of its own")
	require.ErrorIs(t, s.DropRecovery(t.Context(), "a1", hashed("1")), fault.ErrNotFound)
	drop := func() error { return s.DropRecovery(t.Context(), "a1", hashed("2")) }
	first, second := both(drop, drop)
	if first != nil {
		first, second = second, first
	}
	require.NoError(t, first)
	require.ErrorIs(t, second, fault.ErrNotFound, "another caller has used it")
}

func TestWhatHasEndedIsRemoved(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	past := now().Add(-time.Minute)
	require.NoError(t, s.InsertProof(t.Context(), proof(identity.PurposeVerify, "1", past)))
	require.NoError(t, s.InsertProof(t.Context(), proof(identity.PurposeRecover, "1", past)))
	require.NoError(t, s.QueueMail(t.Context(), identity.MailJob{AccountID: "a1", Purpose: identity.PurposeVerify, Due: now(), ExpiresAt: past}))
	require.NoError(t, s.RevokeToken(t.Context(), "a1", "t1", past, past))
	for _, collection := range []string{"verifications", "recovery_codes", "mails", "revoked_tokens"} {
		require.Eventually(t, func() bool {
			n, err := db.Collection(collection).CountDocuments(t.Context(), bson.D{})
			return err == nil && n == 0
		}, 90*time.Second, 50*time.Millisecond, collection)
	}
}

func TestMailsAreLeasedToOneWorker(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	start := now()
	job := func(id string, due time.Duration) identity.MailJob {
		return identity.MailJob{AccountID: id, Purpose: identity.PurposeVerify, Due: start.Add(due), ExpiresAt: start.Add(time.Hour)}
	}
	lease := func(at time.Time) (identity.MailJob, error) { return s.LeaseMail(t.Context(), at, at.Add(time.Minute)) }
	_, err := lease(start)
	require.ErrorIs(t, err, fault.ErrNotFound)
	for i, id := range []string{"second", "first", "later"} {
		require.NoError(t, s.QueueMail(t.Context(), job(id, []time.Duration{-time.Second, -time.Minute, time.Hour / 2}[i])))
	}
	var taken []identity.MailJob
	var mu sync.Mutex
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() {
			got, err := lease(start)
			if err != nil {
				require.ErrorIs(t, err, fault.ErrNotFound)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, got)
		})
	}
	working.Wait()
	require.Len(t, taken, 2, "each that is due has one worker")
	again, err := lease(start.Add(time.Minute + time.Second))
	require.NoError(t, err, "a lease that ran out is for others")
	require.Equal(t, 2, again.Attempts)

	require.NoError(t, s.PutOffMail(t.Context(), again, start.Add(time.Hour/4)))
	stale := again
	require.NoError(t, s.DropMail(t.Context(), stale), "what was put off is no longer the one that was leased")
	put, err := s.LeaseMail(t.Context(), start.Add(time.Hour/4), start.Add(time.Hour/2))
	require.NoError(t, err)
	require.NoError(t, s.QueueMail(t.Context(), identity.MailJob{AccountID: put.AccountID, Purpose: put.Purpose, Due: start, ExpiresAt: start.Add(time.Hour)}))
	require.NoError(t, s.DropMail(t.Context(), put))
	replaced, err := lease(start)
	require.NoError(t, err, "a mail that was asked for meanwhile stays")
	require.Equal(t, put.AccountID, replaced.AccountID)
	require.NoError(t, s.DropMail(t.Context(), replaced))
}

func TestRacingRequestsForOneMail(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	var racing sync.WaitGroup
	for range 8 {
		racing.Go(func() {
			require.NoError(t, s.QueueMail(t.Context(), identity.MailJob{
				AccountID: "a1", Purpose: identity.PurposeRecover, Due: now(), ExpiresAt: now().Add(time.Hour),
			}))
			require.NoError(t, s.InsertProof(t.Context(), proof(identity.PurposeRecover, "1", now().Add(time.Hour))))
		})
	}
	racing.Wait()
	n, err := db.Collection("mails").CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}
