package authsvc_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

func TestFromRegistrationToToken(t *testing.T) {
	t.Parallel()
	d := newWorld(t).open(t)
	a := d.newAgent(t, "messages:read", "messages:write", "conversations:read")
	r := d.Call(t, http.MethodPost, "/api/getMe", nil, svctest.WithBearer(a.token))
	require.Equal(t, http.StatusOK, r.Status, string(r.Body))
	require.Equal(t, a.id, r.Text("result.agent_id"))
	require.LessOrEqual(t, len(a.id+":"+a.recovery), 57)
	require.LessOrEqual(t, len(a.id+":"+a.key), 57)
}
