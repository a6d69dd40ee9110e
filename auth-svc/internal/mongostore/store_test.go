package mongostore_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/mongostore"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/svctest"
)

func TestMain(m *testing.M) { os.Exit(svctest.Run(m)) }

// now is an instant that a database keeps exactly.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func open(t *testing.T) (*mongostore.Store, *mongodb.DB) {
	t.Helper()
	db, _ := svctest.Database(t)
	require.NoError(t, db.Migrate(t.Context(), mongostore.Schema()))
	return mongostore.New(db), db
}

// hashed makes a hash out of a letter.
func hashed(letter string) secret.Hashed {
	return secret.Hashed{Hash: bytes.Repeat([]byte(letter), 32), Version: 1}
}

func account(id, name string) identity.Account {
	return identity.Account{ID: id, Name: name, Kind: identity.KindAgent, Recovery: hashed("r"), CreatedAt: now()}
}

func key(accountID, id, letter string) identity.Key {
	return identity.Key{ID: id, AccountID: accountID, Name: "cli", Secret: hashed(letter), Scopes: []string{"llm:chat"}, CreatedAt: now()}
}

// both runs two things at once and gives their errors.
func both(first, second func() error) (error, error) {
	other := make(chan error, 1)
	go func() { other <- second() }()
	return first(), <-other
}

func TestAccountsAndNames(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	full := account("a1", "Ada")
	full.Email, full.Metadata = "ada@example.com", identity.Metadata{Description: "d", Owner: "o", Version: "v"}
	full.Profile = identity.Profile{DisplayName: "", Description: "d"}
	require.NoError(t, s.InsertAccount(t.Context(), full))
	require.ErrorIs(t, s.InsertAccount(t.Context(), account("a2", "ADA")), identity.ErrNameTaken)
	_, err := s.Account(t.Context(), "a2")
	require.ErrorIs(t, err, fault.ErrNotFound, "what was refused left nothing")
	got, err := s.Account(t.Context(), "a1")
	require.NoError(t, err)
	got.CreatedAt = got.CreatedAt.UTC()
	require.Equal(t, full, got)
	byName, err := s.AccountByName(t.Context(), "aDA")
	require.NoError(t, err)
	require.Equal(t, "a1", byName.ID)
	_, err = s.AccountByName(t.Context(), "bob")
	require.ErrorIs(t, err, fault.ErrNotFound)

	require.NoError(t, s.DeleteAccount(t.Context(), "a1", identity.ContentKeep, now()))
	require.ErrorIs(t, s.DeleteAccount(t.Context(), "a1", identity.ContentKeep, now()), fault.ErrNotFound)
	require.ErrorIs(t, s.InsertAccount(t.Context(), account("a3", "ada")), identity.ErrNameTaken, "also of one that is deleted")
	tomb, err := s.AccountByName(t.Context(), "ada")
	require.NoError(t, err)
	require.NotNil(t, tomb.DeletedAt)
	require.Equal(t, identity.Account{
		ID: "a1", Name: "Ada", Kind: identity.KindAgent, CreatedAt: tomb.CreatedAt, DeletedAt: tomb.DeletedAt,
	}, tomb)
}

func TestWhatIsGoneIsNotFound(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	require.NoError(t, s.InsertAccount(t.Context(), account("gone", "gone")))
	require.NoError(t, s.DeleteAccount(t.Context(), "gone", identity.ContentErase, now()))
	for _, id := range []string{"gone", "never"} {
		name := "x"
		_, err := s.UpdateProfile(t.Context(), id, identity.ProfilePatch{DisplayName: &name}, now())
		require.ErrorIs(t, err, fault.ErrNotFound)
		require.ErrorIs(t, s.ReplaceRecovery(t.Context(), id, hashed("r"), hashed("x"), true, now()), fault.ErrNotFound)
		require.ErrorIs(t, s.InsertKey(t.Context(), key(id, "k", "k"), 5), fault.ErrNotFound)
		require.ErrorIs(t, s.RevokeKey(t.Context(), id, "k", now()), fault.ErrNotFound)
		require.ErrorIs(t, s.RotateKey(t.Context(), key(id, "k", "k"), key(id, "f", "f"), now(), 5), fault.ErrNotFound)
		_, err = s.Key(t.Context(), id, "k")
		require.ErrorIs(t, err, fault.ErrNotFound)
		_, err = s.KeyBySecret(t.Context(), id, []secret.Hashed{hashed("k")})
		require.ErrorIs(t, err, fault.ErrNotFound)
		_, err = s.Code(t.Context(), id, now())
		require.ErrorIs(t, err, fault.ErrNotFound)
		require.ErrorIs(t, s.Recover(t.Context(), id, hashed("c"), hashed("x"), now()), fault.ErrNotFound)
	}
	changes, err := s.Changes(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, changes, 1, "only the deletion was told")
}

func TestVerifyEmailOfAnotherAddress(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	a := account("a1", "ada")
	a.Email = "new@example.com"
	require.NoError(t, s.InsertAccount(t.Context(), a))
	link := proof("1", now().Add(time.Hour))
	link.Email = "old@example.com"
	require.NoError(t, s.InsertLink(t.Context(), link))
	_, err := s.VerifyEmail(t.Context(), []secret.Hashed{link.Secret}, now())
	require.ErrorIs(t, err, fault.ErrNotFound)
	n, err := db.Collection("verifications").CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "what changed nothing spent nothing")
	link.Email = "new@example.com"
	require.NoError(t, s.InsertLink(t.Context(), link))
	id, err := s.VerifyEmail(t.Context(), []secret.Hashed{link.Secret}, now())
	require.NoError(t, err)
	require.Equal(t, "a1", id)
	got, err := s.Account(t.Context(), "a1")
	require.NoError(t, err)
	require.NotNil(t, got.EmailVerifiedAt)
}

func TestReplaceRecoveryOfAnotherHash(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	require.NoError(t, s.InsertAccount(t.Context(), account("a1", "ada")))
	require.NoError(t, s.InsertKey(t.Context(), key("a1", "k1", "1"), 5))
	old, wrong := hashed("r"), hashed("w")
	require.ErrorIs(t, s.ReplaceRecovery(t.Context(), "a1", wrong, hashed("x"), true, now()), fault.ErrNotFound)
	k, err := s.Key(t.Context(), "a1", "k1")
	require.NoError(t, err)
	require.Nil(t, k.RevokedAt, "a refusal revokes nothing")
	require.NoError(t, s.ReplaceRecovery(t.Context(), "a1", old, hashed("x"), false, now()))
	require.NoError(t, s.ReplaceRecovery(t.Context(), "a1", hashed("x"), hashed("y"), true, now()))
	k, err = s.Key(t.Context(), "a1", "k1")
	require.NoError(t, err)
	require.NotNil(t, k.RevokedAt)
	got, err := s.Account(t.Context(), "a1")
	require.NoError(t, err)
	require.Equal(t, hashed("y"), got.Recovery)
}

func TestListAccounts(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for i, name := range []string{"Bob", "ada", "Cid", "dan"} {
		a := account(strings.Repeat("x", i+1), name)
		if name == "Cid" {
			a.Kind = identity.KindHuman
		}
		require.NoError(t, s.InsertAccount(t.Context(), a))
	}
	require.NoError(t, s.DeleteAccount(t.Context(), "xxxx", identity.ContentKeep, now())) // dan
	tests := map[string]struct {
		kind  identity.Kind
		after string
		limit int
		want  []string
	}{
		"all in order":        {"", "", 10, []string{"ada", "Bob", "Cid"}},
		"up to a limit":       {"", "", 2, []string{"ada", "Bob"}},
		"from after on":       {"", "ADA", 10, []string{"Bob", "Cid"}},
		"one kind":            {identity.KindHuman, "", 10, []string{"Cid"}},
		"behind the last":     {"", "zed", 10, nil},
		"after no one's name": {"", "b", 10, []string{"Bob", "Cid"}},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			page, err := s.ListAccounts(t.Context(), tt.kind, tt.after, tt.limit)
			require.NoError(t, err)
			var names []string
			for _, a := range page {
				names = append(names, a.Name)
			}
			require.Equal(t, tt.want, names)
		})
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	require.NoError(t, s.InsertAccount(t.Context(), account("a1", "ada")))
	expires := now().Add(time.Hour)
	first, second := key("a1", "k1", "1"), key("a1", "k2", "2")
	first.ExpiresAt = &expires
	second.CreatedAt = first.CreatedAt.Add(time.Second)
	require.NoError(t, s.InsertKey(t.Context(), first, 2))
	require.NoError(t, s.InsertKey(t.Context(), second, 2))
	require.ErrorIs(t, s.InsertKey(t.Context(), key("a1", "k3", "3"), 2), fault.ErrQuota)

	all, err := s.Keys(t.Context(), "a1", now())
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "k2", all[0].ID, "newest first")
	found, err := s.KeyBySecret(t.Context(), "a1", []secret.Hashed{hashed("9"), hashed("1")})
	require.NoError(t, err)
	require.Equal(t, "k1", found.ID)
	require.WithinDuration(t, expires, *found.ExpiresAt, 0)
	_, err = s.KeyBySecret(t.Context(), "a2", []secret.Hashed{hashed("1")})
	require.ErrorIs(t, err, fault.ErrNotFound)

	used := now()
	require.NoError(t, s.TouchKeys(t.Context(), []identity.KeyUse{
		{AccountID: "a1", KeyID: "k1", At: used}, {AccountID: "a1", KeyID: "k1", At: used.Add(-time.Hour)}, {AccountID: "a1", KeyID: "none", At: used},
	}))
	found, err = s.Key(t.Context(), "a1", "k1")
	require.NoError(t, err)
	require.WithinDuration(t, used, *found.LastUsedAt, 0, "an older use does not replace a newer one")

	at := now()
	require.NoError(t, s.RevokeKey(t.Context(), "a1", "k1", at))
	require.NoError(t, s.RevokeKey(t.Context(), "a1", "k1", at.Add(time.Hour)))
	found, err = s.Key(t.Context(), "a1", "k1")
	require.NoError(t, err)
	require.WithinDuration(t, at, *found.RevokedAt, 0, "once revoked it stays as it is")
	changes, err := s.Changes(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, changes, 1, "and is told once")
}

func TestRotateKeyThatHasEnded(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	require.NoError(t, s.InsertAccount(t.Context(), account("a1", "ada")))
	past := now().Add(-time.Second)
	expired := key("a1", "k1", "1")
	expired.ExpiresAt = &past
	require.NoError(t, s.InsertKey(t.Context(), expired, 5))
	for _, until := range []time.Time{now(), now().Add(time.Hour)} {
		require.ErrorIs(t, s.RotateKey(t.Context(), expired, key("a1", "k2", "2"), until, 5), fault.ErrNotFound)
	}
	_, err := s.Key(t.Context(), "a1", "k2")
	require.ErrorIs(t, err, fault.ErrNotFound, "what was refused left nothing")
}

func TestRotationsHoldTheQuota(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	require.NoError(t, s.InsertAccount(t.Context(), account("a1", "ada")))
	first, second := key("a1", "k1", "1"), key("a1", "k2", "2")
	require.NoError(t, s.InsertKey(t.Context(), first, 2))
	require.NoError(t, s.InsertKey(t.Context(), second, 2))
	later := now().Add(time.Hour)
	require.ErrorIs(t, s.RotateKey(t.Context(), first, key("a1", "k3", "3"), later, 2), fault.ErrQuota)
	k, err := s.Key(t.Context(), "a1", "k1")
	require.NoError(t, err)
	require.Nil(t, k.ExpiresAt, "what was refused ended nothing")
	require.NoError(t, s.RotateKey(t.Context(), first, key("a1", "k4", "4"), now(), 2), "a replacement makes none more")

	rotate := func(old, fresh string) func() error {
		return func() error {
			return s.RotateKey(t.Context(), key("a1", old, "x"), key("a1", fresh, fresh[1:]), later, 3)
		}
	}
	one, other := both(rotate("k2", "k5"), rotate("k4", "k6"))
	if one != nil {
		one, other = other, one
	}
	require.NoError(t, one)
	require.ErrorIs(t, other, fault.ErrQuota, "two at once do not pass it together")
}

func TestManyKeys(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	require.NoError(t, s.InsertAccount(t.Context(), account("a1", "ada")))
	oldest := key("a1", "oldest", "o")
	oldest.CreatedAt = now().Add(-time.Hour)
	require.NoError(t, s.InsertKey(t.Context(), oldest, 1000))
	insert := func(name string, count int, revoked any) {
		docs := make([]any, count)
		for i := range docs {
			id := fmt.Sprintf("%s%d", name, i)
			docs[i] = bson.D{{Key: "_id", Value: id}, {Key: "account", Value: "a1"}, {Key: "hash", Value: []byte(id)},
				{Key: "created_at", Value: now()}, {Key: "revoked_at", Value: revoked}}
		}
		_, err := db.Collection("keys").InsertMany(t.Context(), docs)
		require.NoError(t, err)
	}
	insert("ended", 600, now())
	listed, err := s.Keys(t.Context(), "a1", now())
	require.NoError(t, err)
	require.Len(t, listed, 501)
	require.Equal(t, "oldest", listed[500].ID, "no number of ended keys hides a live one")

	insert("live", 249, nil)
	require.NoError(t, s.DeleteAccount(t.Context(), "a1", identity.ContentKeep, now()))
	changes, err := s.Changes(t.Context(), 0, 10)
	require.NoError(t, err)
	var sizes []int
	told := map[string]bool{}
	for _, change := range changes {
		sizes = append(sizes, len(change.KeyIDs))
		for _, id := range change.KeyIDs {
			told[id] = true
		}
	}
	require.Equal(t, []int{100, 100, 50, 0}, sizes, "no change is large, however many keys end")
	require.Len(t, told, 250)
}

func TestRacingKeysAndDeletion(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for round := range 5 {
		id := strings.Repeat("a", round+1)
		require.NoError(t, s.InsertAccount(t.Context(), account(id, "name-"+id)))
		deleted, made := both(
			func() error { return s.DeleteAccount(t.Context(), id, identity.ContentKeep, now()) },
			func() error { return s.InsertKey(t.Context(), key(id, "k"+id, "k"), 5) })
		require.NoError(t, deleted)
		if made != nil {
			require.ErrorIs(t, made, fault.ErrNotFound)
			continue
		}
		k, err := s.Key(context.WithoutCancel(t.Context()), id, "k"+id)
		require.NoError(t, err)
		require.NotNil(t, k.RevokedAt, "a key that came first went with the account")
	}
}
