package polling_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/chat-svc/internal/polling"
)

func TestLoadFollowsProcessorAndQueue(t *testing.T) {
	t.Parallel()
	load := polling.NewLoad(nil)
	require.InDelta(t, 1, load.Factor(), 0)
	for _, tt := range []struct {
		outcome            string
		processing, queued float64
		want               float64
	}{
		{"calm", 0.1, 0, 1},
		{"neither busy nor calm", 0.8, 0, 1},
		{"the processor is busy", 0.9, 0, 2},
		{"still", 1, 0, 4},
		{"not busy any more, and not calm", 0.7, 0, 4},
		{"the queue is busy", 0.1, 0.3, 8},
		{"no further", 1, 1, 8},
		{"the queue is not calm yet", 0.1, 0.1, 8},
		{"calm again", 0.1, 0.01, 4},
		{"still calm", 0.6, 0, 2},
		{"quite", 0, 0, 1},
		{"no further down", 0, 0, 1},
	} {
		load.Sample(tt.processing, tt.queued)
		require.InDelta(t, tt.want, load.Factor(), 0, tt.outcome)
	}
}

func TestLoadIsSampledUntilItsOwnerEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	load := polling.NewLoad(func() float64 { return 1 })
	ended := make(chan struct{})
	go func() { defer close(ended); load.Run(ctx) }()
	require.Eventually(t, func() bool { return load.Factor() > 1 }, 30*time.Second, 10*time.Millisecond)
	cancel()
	<-ended
}
