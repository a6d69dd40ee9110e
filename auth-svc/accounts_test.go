package authsvc_test

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

// A follower is another service: it verifies tokens by itself and follows the
// change feed until the test ends.
type follower struct {
	*accounts.Client
	verifier *token.Verifier
}

func (w *world) follow(t *testing.T, internal string) follower {
	t.Helper()
	client := w.client(t, internal)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		client.Follow(ctx)
	}()
	t.Cleanup(func() { stop(); <-ended })
	return follower{client, token.NewVerifier(token.Config{
		Issuer: w.config.Issuer, Audience: w.config.Audience, Keys: client.Keys(), Revoked: client.Revoked,
		Capacity: 100, Now: w.clock.Now, Registry: prometheus.NewRegistry(),
	})}
}

// client is one that follows nothing.
func (w *world) client(t *testing.T, internal string) *accounts.Client {
	t.Helper()
	client := accounts.New(
		accounts.Settings{URL: internal, SecretFile: filepath.Join(w.config.ServiceCredentialsDir, caller)},
		accounts.Deps{Service: caller, Logger: slog.New(slog.NewJSONHandler(w.logs, nil)), Now: w.clock.Now})
	t.Cleanup(client.Close)
	return client
}

// takes tells whether the service takes a token.
func (f follower) takes(t *testing.T, raw string) bool {
	t.Helper()
	_, err := f.verifier.Verify(t.Context(), raw)
	if err != nil {
		require.ErrorIs(t, err, fault.ErrUnauthenticated)
	}
	return err == nil
}

// soon waits for something that must be so within two seconds, with a generous
// deadline, and tells how long it took.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	start := time.Now()
	require.Eventually(t, so, 30*time.Second, 5*time.Millisecond, what)
	t.Logf("%s after %s", what, time.Since(start).Round(time.Millisecond))
}

func TestAccountsAreFoundAndCached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var commands svctest.Commands
	w.config.MongoDB.Monitors = append(w.config.MongoDB.Monitors, commands.Monitor())
	d := w.open(t)
	client := w.client(t, d.internal)
	a, other, gone := d.newAgent(t), d.register(t, map[string]any{"agent_name": newName(), "kind": "human"}), d.newAgent(t)
	require.Equal(t, http.StatusNoContent, d.Call(t, http.MethodDelete, gone.path(), nil, gone.owner()).Status)
	want := map[string]accounts.Account{
		a.id:     {ID: a.id, Name: a.name, Kind: "agent", DisplayName: a.name},
		other.id: {ID: other.id, Name: other.name, Kind: "human", DisplayName: other.name},
	}
	found, err := client.ByID(t.Context(), a.id, other.id, a.id, gone.id, "agt_00000000000000000000", "nonsense")
	require.NoError(t, err)
	require.Equal(t, want, found)

	commands.Reset()
	found, err = client.ByID(t.Context(), a.id, other.id)
	require.NoError(t, err)
	require.Equal(t, want, found)
	byName, err := client.ByName(t.Context(), strings.ToUpper(a.name))
	require.NoError(t, err)
	require.Equal(t, map[string]accounts.Account{strings.ToLower(a.name): want[a.id]}, byName)
	require.Zero(t, commands.Count(), "what is cached is not asked for")

	byName, err = client.ByName(t.Context(), gone.name, "nobody-of-that-name", "a_b")
	require.NoError(t, err)
	require.Empty(t, byName)
	commands.Reset()
	all, err := client.AnyByID(t.Context(), a.id, gone.id)
	require.NoError(t, err)
	require.Equal(t, map[string]accounts.Account{
		a.id: want[a.id], gone.id: {ID: gone.id, Name: gone.name, Kind: "agent", DisplayName: gone.name, Deleted: true},
	}, all, "what is left of a deleted one")
	found, err = client.ByID(t.Context(), gone.id)
	require.NoError(t, err)
	require.Empty(t, found)
	byName, err = client.ByName(t.Context(), "", "ab", "a_b", gone.id, strings.Repeat("a", 51), "\u212Aim")
	require.NoError(t, err)
	require.Empty(t, byName)
	require.Zero(t, commands.Count(), "deleted ones are cached too, and what is no name is not asked for")
	w.clock.Advance(5*time.Minute + time.Second)
	commands.Reset()
	_, err = client.ByID(t.Context(), a.id)
	require.NoError(t, err)
	require.Equal(t, 1, commands.Count("find"), "after five minutes it is asked for anew")

	many := slices.Repeat([]string{"agt_00000000000000000000"}, 2500)
	found, err = client.ByID(t.Context(), append(many, a.id)...)
	require.NoError(t, err)
	require.Equal(t, []string{a.id}, slices.Collect(maps.Keys(found)), "any number is asked for, in parts")
	found, err = client.ByID(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestFollowersHearOfChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, other := w.open(t), w.open(t)
	f := w.follow(t, other.internal)
	revoked, keyless, rotated, recovered, deleted, witness := d.newAgent(t), d.newAgent(t), d.newAgent(t), d.newAgent(t), d.newAgent(t), d.newAgent(t)
	for _, a := range []agent{revoked, keyless, rotated, recovered, deleted, witness} {
		require.True(t, f.takes(t, a.token))
	}
	do := func(method, path string, body any, credential svctest.Option) {
		t.Helper()
		r := d.Call(t, method, path, body, credential)
		require.Less(t, r.Status, 300, string(r.Body))
	}
	do(http.MethodPost, revokePath, nil, revoked.bearer())
	soon(t, "a revoked token is refused", func() bool { return !f.takes(t, revoked.token) })
	require.True(t, f.takes(t, d.newToken(t, revoked)), "another token of the key is not")
	do(http.MethodDelete, keyless.keyPath(keyless.keyID), nil, keyless.owner())
	soon(t, "a token of a revoked key is refused", func() bool { return !f.takes(t, keyless.token) })
	do(http.MethodPost, rotated.keyPath(rotated.keyID)+"/rotate", nil, rotated.bearer())
	soon(t, "a token of a replaced key is refused", func() bool { return !f.takes(t, rotated.token) })
	do(http.MethodPost, recoverPath, map[string]any{"revoke_keys": true}, recovered.owner())
	soon(t, "a token of a recovered account is refused", func() bool { return !f.takes(t, recovered.token) })

	_, err := f.ByID(t.Context(), witness.id, deleted.id)
	require.NoError(t, err)
	do(http.MethodPatch, witness.path()+"/profile", map[string]any{"display_name": "New"}, witness.bearer())
	soon(t, "a new display name is seen by id", func() bool {
		found, err := f.ByID(t.Context(), witness.id)
		return err == nil && found[witness.id].DisplayName == "New"
	})
	found, err := f.ByName(t.Context(), witness.name)
	require.NoError(t, err)
	require.Equal(t, "New", found[strings.ToLower(witness.name)].DisplayName)

	do(http.MethodDelete, deleted.path(), nil, deleted.owner())
	soon(t, "a deleted account is gone", func() bool {
		found, err := f.ByID(t.Context(), deleted.id)
		return err == nil && len(found) == 0
	})
	soon(t, "a token of a deleted account is refused", func() bool { return !f.takes(t, deleted.token) })
	require.True(t, f.takes(t, witness.token))
}

func TestAFollowerThatStartsLateKnowsWhatWasRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.newAgent(t)
	require.Equal(t, http.StatusOK, d.Call(t, http.MethodPost, revokePath, nil, a.bearer()).Status)
	f := w.follow(t, d.internal)
	soon(t, "an earlier revocation is known", func() bool { return !f.takes(t, a.token) })
}

func TestFollowersGoOnWithAuthAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	proxied, proxy := svctest.NewProxy(t, d.internal)
	f := w.follow(t, proxied)
	known, unknown := d.newAgent(t), d.newAgent(t)
	_, err := f.ByID(t.Context(), known.id)
	require.NoError(t, err)
	require.True(t, f.takes(t, known.token))

	proxy.Cut()
	found, err := f.ByID(t.Context(), known.id)
	require.NoError(t, err, "what is known is answered")
	require.Len(t, found, 1)
	for outcome, look := range map[string]func() error{
		"by id":   func() error { _, err := f.ByID(t.Context(), known.id, unknown.id); return err },
		"by name": func() error { _, err := f.ByName(t.Context(), unknown.name); return err },
	} {
		require.ErrorIs(t, look(), fault.ErrUnavailable, outcome)
	}
	require.True(t, f.takes(t, unknown.token), "tokens are checked with the keys that are known")
	require.Equal(t, http.StatusOK, d.Call(t, http.MethodPost, revokePath, nil, known.bearer()).Status)
	w.clock.Advance(3 * time.Minute)
	require.GreaterOrEqual(t, f.Unheard(), 3*time.Minute)

	proxy.Restore()
	soon(t, "what was revoked meanwhile is refused", func() bool { return !f.takes(t, known.token) })
	require.Less(t, f.Unheard(), time.Minute)
	found, err = f.ByID(t.Context(), unknown.id)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.True(t, w.logs.Contains("auth-svc's change feed is not heard"))
	require.True(t, w.logs.Contains("auth-svc's change feed is heard again"))
}

func TestAServiceOutlivesTheKeyThatItsTokenWasSignedWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	a := d.newAgent(t)
	client := w.client(t, d.internal)
	_, err := client.ByID(t.Context(), a.id)
	require.NoError(t, err)
	old := w.kids(t)
	w.addKey(t, "z-new")
	soon(t, "the new key signs", func() bool { return d.signs(t, a) == "z-new" })
	require.NoError(t, os.Remove(filepath.Join(w.config.SigningKeysDir, old[0]+".pem")))
	soon(t, "a service finds its way back", func() bool {
		w.clock.Advance(6 * time.Minute) // nothing stays cached
		found, err := client.ByID(t.Context(), a.id)
		return err == nil && len(found) == 1 && !slices.Contains(d.published(t), old[0])
	})
}

func TestAWrongServiceCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("x", 32)), 0o600))
	client := accounts.New(accounts.Settings{URL: d.internal + "/", SecretFile: file},
		accounts.Deps{Service: caller, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	t.Cleanup(client.Close)
	_, err := client.ByID(t.Context(), "agt_00000000000000000000")
	require.ErrorIs(t, err, fault.ErrUnavailable)
	require.NotContains(t, err.Error(), "xxxx")
	require.NoError(t, os.WriteFile(file, []byte(w.credential(t, caller)), 0o600))
	soon(t, "the file is read again", func() bool {
		_, err := client.ByID(t.Context(), "agt_00000000000000000000")
		return err == nil
	})
}
