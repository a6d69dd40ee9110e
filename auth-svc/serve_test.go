package authsvc_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDevelopmentTokensNeedALoopbackListener(t *testing.T) {
	t.Parallel()
	server := newWorld(t, devTokens).server(t)
	everywhere, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	defer everywhere.Close()
	internal, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer internal.Close()
	require.ErrorContains(t, server.Serve(t.Context(), everywhere, internal), "DEV_TOKENS")

	stop, _ := serving(t, server)
	stop()
}

func TestDevelopmentTokensAreForThisMachineOnly(t *testing.T) {
	t.Parallel()
	server := newWorld(t, devTokens).server(t)
	public, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	internal, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, public, internal) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	status := func(change func(*http.Request)) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+public.Addr().String()+"/health", nil)
		require.NoError(t, err)
		change(request)
		answer, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}
	require.Equal(t, http.StatusOK, status(func(*http.Request) {}))
	require.Equal(t, http.StatusForbidden, status(func(r *http.Request) { r.Host = "chat.example.com" }))
	require.Equal(t, http.StatusForbidden, status(func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.1") }))
}
