package accounts

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
	"chatplatform.io/svckit/token"
)

func TestAFollowerBeginsAnewWhereItsPositionIsRefused(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	answers := []func(http.ResponseWriter){
		func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"epoch":"e1","position":7,"changes":[]}`)) },
		func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":{"code":"INVALID_CURSOR","message":"after: no"}}`))
		},
		func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"epoch":"e2","position":1,"changes":[{"position":1,"kind":"token_revoked","token_id":"t1"}]}`))
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /internal/token", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"access_token":"x","token_type":"Bearer","expires_in":900}`))
	})
	mux.HandleFunc("GET /internal/changes", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		asked <- "after=" + query.Get("after") + " epoch=" + query.Get("epoch") + " since=" + query.Get("since")
		if len(answers) == 0 { // a feed in which nothing happens
			<-r.Context().Done()
			return
		}
		answers[0](w)
		answers = answers[1:]
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("0123456789abcdef0123456789abcdef"), 0o600))
	clock := svctest.NewClock()
	clock.Stop() // since is told in whole seconds
	client := New(Settings{URL: server.URL, SecretFile: file}, Deps{Service: "chat-svc", Logger: slog.New(slog.DiscardHandler), Now: clock.Now})
	t.Cleanup(client.Close)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		client.Follow(ctx)
	}()

	since := clock.Now().Add(-tokenLife).UTC().Format(time.RFC3339)
	for _, want := range []string{
		"after= epoch= since=" + since, "after=7 epoch=e1 since=", "after= epoch= since=" + since, "after=1 epoch=e2 since=",
	} {
		require.Equal(t, want, <-asked)
	}
	require.True(t, client.Revoked(&token.Claims{ID: "t1", IssuedAt: clock.Now()}))
	stop()
	<-ended
}
