package token_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/token"
)

// hanging is an auth-svc that takes calls and never answers.
func hanging(t *testing.T) (server *httptest.Server, calls *atomic.Int64) {
	t.Helper()
	calls = &atomic.Int64{}
	end := make(chan struct{})
	server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		calls.Add(1)
		<-end
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(end) })
	return server, calls
}

func TestNobodyWaitsLongerThanTheirOwnDeadline(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("credential"), 0o600))
	begun := time.Now()
	now := func() time.Time { return begun } // a failure is remembered for a second
	doors := map[string]func(server *httptest.Server) func(context.Context) error{
		"for signing keys": func(server *httptest.Server) func(context.Context) error {
			source := token.NewJWKS(server.URL, server.Client(), now)
			return func(ctx context.Context) error {
				_, err := source.Key(ctx, "first")
				return err
			}
		},
		"for a service token": func(server *httptest.Server) func(context.Context) error {
			source := token.NewServiceSource(server.URL, "chat-svc", secret, "auth-svc", server.Client(), now)
			return func(ctx context.Context) error {
				_, err := source.Token(ctx)
				return err
			}
		},
	}
	for outcome, open := range doors {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			server, calls := hanging(t)
			get := open(server)
			var callers sync.WaitGroup
			failures := make([]error, 8)
			for i := range failures {
				callers.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
					defer cancel()
					failures[i] = get(ctx)
				})
			}
			callers.Wait()
			for _, err := range failures {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			require.Error(t, get(t.Context()), "the fetch under way ends by itself")
			require.Error(t, get(t.Context()), "its failure is remembered")
			require.EqualValues(t, 1, calls.Load(), "one fetch serves all")
		})
	}
}
