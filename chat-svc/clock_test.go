package chatsvc_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A replica whose clock is too far from the database's sends nothing: what it
// would send might be missed by who catches up. All else it does.
func TestAWrongClockSendsNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		wrong  time.Duration
		status int
	}{
		// The database tells its time in whole seconds, and a busy machine
		// hands it on seconds late.
		{"more than half a minute behind", -45 * time.Second, 503},
		{"not half a minute behind", -20 * time.Second, 201},
		{"right", 0, 201},
		{"not half a minute ahead", 20 * time.Second, 201},
		{"more than half a minute ahead", 45 * time.Second, 503},
	}
	i := install(t)
	var shown atomic.Int64
	deps, _ := i.logged(t)
	deps.Now = func() time.Time { return time.Now().Add(time.Duration(shown.Load())) }
	client := document.Client(t, i.serverWith(t, deps, unlimited, "SEND_BURST=100000").Handler())
	ann := i.as(t, client, 1)
	conversation := ann.group(t)
	for _, tt := range tests {
		shown.Store(int64(tt.wrong))
		send := func() int {
			return ann.do(t, "POST", "/api/messages", object{"conversation_id": conversation, "content": tt.name}).Status
		}
		require.Eventually(t, func() bool { return send() == tt.status }, 30*time.Second, 5*time.Millisecond, tt.name)
		settled := time.Now()
		for time.Since(settled) < time.Second { // two more words of the database
			require.Equal(t, tt.status, send(), tt.name)
		}
		ann.want(t, 200, "GET", "/api/conversations/"+conversation, nil)
	}
}
