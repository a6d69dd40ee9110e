package chatsvc_test

import (
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

// A lone send's allocations are those of the whole process: the request, an
// insert of one message, and what the feed makes of it.
func TestASendAllocatesLittle(t *testing.T) { // counts what the whole process allocates: not beside others
	in := install(t)
	handler := in.server(t, unlimited, "SEND_BURST=100000").Handler()
	client := document.Client(t, handler)
	p := place{in, in.as(t, client, 1), in.as(t, client, 2), in.as(t, client, 3)}
	conversation := p.ann.group(t, p.bob.id)
	p.trusted(t)
	p.ann.say(t, conversation, "the first one reads the last place")
	send := p.ann.request(fiber.MethodPost, "/api/messages", []byte(`{"conversation_id":"`+conversation+`","content":"hello"}`))
	require.LessOrEqual(t, allocations(t, handler, send, 201), 400.0) // 312 when it was written
}
