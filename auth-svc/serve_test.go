package authsvc_test

import (
	"net"
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
