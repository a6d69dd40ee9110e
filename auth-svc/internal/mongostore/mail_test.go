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

func proof(letter string, expires time.Time) identity.Proof {
	return identity.Proof{AccountID: "a1", Email: "a@example.com", Secret: hashed(letter), ExpiresAt: expires}
}

func TestLinksAreSpentOnce(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	a := account("a1", "ada")
	a.Email = "a@example.com"
	require.NoError(t, s.InsertAccount(t.Context(), a))
	hour := now().Add(time.Hour)
	require.NoError(t, s.InsertLink(t.Context(), proof("1", hour)))
	require.NoError(t, s.InsertLink(t.Context(), proof("2", hour)))
	_, err := s.VerifyEmail(t.Context(), []secret.Hashed{hashed("1")}, now())
	require.ErrorIs(t, err, fault.ErrNotFound, "one of the same account is replaced")
	_, err = s.VerifyEmail(t.Context(), []secret.Hashed{hashed("2")}, hour)
	require.ErrorIs(t, err, fault.ErrNotFound, "one that has ended is not live")

	spend := func() error {
		id, err := s.VerifyEmail(t.Context(), []secret.Hashed{hashed("9"), hashed("2")}, now())
		if err == nil {
			require.Equal(t, "a1", id)
		}
		return err
	}
	first, second := both(spend, spend)
	if first != nil {
		first, second = second, first
	}
	require.NoError(t, first)
	require.ErrorIs(t, second, fault.ErrNotFound)
}

func TestASentCodeStaysUntilItEnds(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	hour := now().Add(time.Hour)
	live := func() string {
		got, err := s.Code(t.Context(), "a1", now())
		require.NoError(t, err)
		return string(got.Secret.Hash[:1])
	}
	require.NoError(t, s.InsertCode(t.Context(), proof("1", hour), now()))
	require.NoError(t, s.InsertCode(t.Context(), proof("2", hour), now()))
	require.Equal(t, "2", live(), "one that no relay has is replaced")
	require.NoError(t, s.CodeSent(t.Context(), "a1", hashed("1")))
	require.NoError(t, s.InsertCode(t.Context(), proof("3", hour), now()), "the note was of another code")
	require.NoError(t, s.CodeSent(t.Context(), "a1", hashed("3")))
	require.ErrorIs(t, s.InsertCode(t.Context(), proof("4", hour), now()), fault.ErrConflict)
	require.Equal(t, "3", live())
	_, err := s.Code(t.Context(), "a1", hour)
	require.ErrorIs(t, err, fault.ErrNotFound, "it has ended")
	require.NoError(t, s.InsertCode(t.Context(), proof("5", hour.Add(time.Hour)), hour))
	require.Equal(t, "5", live())
}

func TestACodeRecoversOnce(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	hour := now().Add(time.Hour)
	require.NoError(t, s.InsertCode(t.Context(), proof("1", hour), now()))
	require.ErrorIs(t, s.Recover(t.Context(), "a1", hashed("1"), hashed("f"), now()), fault.ErrNotFound, "there is no account")
	n, err := db.Collection("recovery_codes").CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "what recovered nothing spent nothing")

	require.NoError(t, s.InsertAccount(t.Context(), account("a1", "ada")))
	require.NoError(t, s.InsertKey(t.Context(), key("a1", "k1", "k"), 5))
	require.ErrorIs(t, s.Recover(t.Context(), "a1", hashed("2"), hashed("f"), now()), fault.ErrNotFound, "another code")
	require.ErrorIs(t, s.Recover(t.Context(), "a1", hashed("1"), hashed("f"), hour), fault.ErrNotFound, "it has ended")
	recoverBy := func(fresh string) func() error {
		return func() error { return s.Recover(t.Context(), "a1", hashed("1"), hashed(fresh), now()) }
	}
	want := "f"
	first, second := both(recoverBy("f"), recoverBy("g"))
	if first != nil {
		first, second, want = second, first, "g"
	}
	require.NoError(t, first)
	require.ErrorIs(t, second, fault.ErrNotFound, "another caller has used it")
	a, err := s.Account(t.Context(), "a1")
	require.NoError(t, err)
	require.Equal(t, hashed(want), a.Recovery)
	k, err := s.Key(t.Context(), "a1", "k1")
	require.NoError(t, err)
	require.NotNil(t, k.RevokedAt)
}

func TestWhatHasEndedIsRemoved(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	past := now().Add(-time.Minute)
	require.NoError(t, s.InsertLink(t.Context(), proof("1", past)))
	require.NoError(t, s.InsertCode(t.Context(), proof("1", past), now()))
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
			require.NoError(t, s.QueueMailOnce(t.Context(), identity.MailJob{
				AccountID: "a1", Purpose: identity.PurposeRecover, Due: now(), ExpiresAt: now().Add(time.Hour),
			}, now()))
			require.NoError(t, s.InsertCode(t.Context(), proof("1", now().Add(time.Hour)), now()))
		})
	}
	racing.Wait()
	n, err := db.Collection("mails").CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

func TestAMailThatWaitsIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	start := now()
	job := identity.MailJob{AccountID: "a1", Purpose: identity.PurposeRecover, Due: start, ExpiresAt: start.Add(time.Hour)}
	require.NoError(t, s.QueueMailOnce(t.Context(), job, start))
	taken, err := s.LeaseMail(t.Context(), start, start.Add(time.Minute))
	require.NoError(t, err)
	require.NoError(t, s.QueueMailOnce(t.Context(), job, start))
	_, err = s.LeaseMail(t.Context(), start, start.Add(time.Minute))
	require.ErrorIs(t, err, fault.ErrNotFound, "it is with a worker")
	require.NoError(t, s.DropMail(t.Context(), taken))

	require.NoError(t, s.QueueMailOnce(t.Context(), job, start))
	later := start.Add(time.Hour)
	job.Due, job.ExpiresAt = later, later.Add(time.Hour)
	require.NoError(t, s.QueueMailOnce(t.Context(), job, later))
	again, err := s.LeaseMail(t.Context(), later, later.Add(time.Minute))
	require.NoError(t, err, "what was given up is asked for anew")
	require.Equal(t, 1, again.Attempts)
}
