package token_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

func TestServiceSource(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("first\n"), 0o600))
	var calls atomic.Int64
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]string
		service, secret, _ := r.BasicAuth()
		if json.NewDecoder(r.Body).Decode(&body) != nil || service != "chat-svc" || body["audience"] != "auth-svc" || r.URL.Path != "/internal/token" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, `{"access_token":"%s-%d","expires_in":900}`, secret, calls.Add(1))
	}))
	t.Cleanup(issuer.Close)
	clock := svctest.NewClock()
	source := token.NewServiceSource(issuer.URL, "chat-svc", file, "auth-svc", issuer.Client(), clock.Now)
	get := func() string {
		raw, err := source.Token(t.Context())
		require.NoError(t, err)
		return raw
	}
	require.Equal(t, "first-1", get())
	require.Equal(t, "first-1", get(), "a token is kept")
	clock.Advance(14 * time.Minute)
	require.Equal(t, "first-1", get())
	require.NoError(t, os.WriteFile(file, []byte("second"), 0o600))
	clock.Advance(31 * time.Second)
	require.Equal(t, "second-2", get(), "before its end it is replaced, with the credential as it is then")

	source.Forget("first-1")
	require.Equal(t, "second-2", get(), "another token than the one kept is nothing to forget")
	source.Forget("second-2")
	require.Equal(t, "second-3", get())

	require.NoError(t, os.Remove(file))
	source.Forget("second-3")
	_, err := source.Token(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestServiceSourceWithoutAnIssuer(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("a-very-secret-credential"), 0o600))
	for outcome, handler := range map[string]http.HandlerFunc{
		"it refuses":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"it says no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
	} {
		issuer := httptest.NewServer(handler)
		_, err := token.NewServiceSource(issuer.URL, "chat-svc", file, "auth-svc", issuer.Client(), time.Now).Token(t.Context())
		require.Error(t, err, outcome)
		require.NotContains(t, err.Error(), "a-very-secret-credential")
		issuer.Close()
	}
}
