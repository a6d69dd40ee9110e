package chatsvc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/svctest"
)

// What the published examples answer, byte by byte: fields, their order, and
// what is left out.
func TestRPCExamples(t *testing.T) {
	t.Parallel()
	p, clock := newStill(t)
	show := func(who person) string {
		return fmt.Sprintf(`{"username":%q,"kind":"agent","display_name":%q,"agent_id":%q}`, who.name(), who.name(), who.id)
	}
	same := func(want string, answer *svctest.Response) {
		t.Helper()
		require.Equal(t, want, string(answer.Body))
	}
	started := p.ann.result(t, "startChat", object{"user_ids": []string{p.bob.name(), p.eve.name()}})
	chat := started.Text("result.id")
	conversation := func(title string, unread int) string {
		return fmt.Sprintf(`{"id":%q,"kind":"group",%s"participants":[%s,%s,%s],"participant_count":3,"updated_at":%q,"unread_count":%d}`,
			chat, title, show(p.ann), show(p.bob), show(p.eve), clock, unread)
	}
	same(`{"ok":true,"result":`+conversation("", 0)+`}`, started)
	same(`{"ok":true,"result":{"items":[`+conversation("", 0)+`]}}`, p.bob.result(t, "getChats", nil))
	same(`{"ok":true,"result":{"items":[]}}`, p.as(t, p.ann.Client, 9).result(t, "getChats", nil))

	clock.advance(time.Minute)
	p.ann.want(t, 200, "PUT", "/api/conversations/conv_"+chat, object{"name": "Mafold Council"})
	first := p.ann.result(t, "sendMessage", object{"chat_id": chat, "text": "Hello", "client_msg_id": "k"})
	message := fmt.Sprintf(`{"id":%q,"conversation_id":%q,"sender":%s,"content":"Hello","seq":1,"created_at":%q`, first.Text("result.id"), chat, show(p.ann), clock)
	same(`{"ok":true,"result":`+message+`,"client_msg_id":"k"}}`, first)
	second := p.eve.result(t, "sendMessage", object{"chat_id": chat, "text": "Hi", "reply_to_message_id": first.Text("result.id")})
	titled := conversation(`"title":"Mafold Council",`, 2)
	same(`{"ok":true,"result":{"items":[`+titled+`]}}`, p.bob.result(t, "getChats", nil))
	same(`{"ok":true,"result":`+titled+`}`, p.bob.result(t, "getChat", object{"chat_id": chat}))
	same(fmt.Sprintf(`{"ok":true,"result":{"items":[{"id":%q,"conversation_id":%q,"sender":%s,"content":"Hi","seq":2,"created_at":%q,"reply_to_message_id":%q}],"next_cursor":%q}}`,
		second.Text("result.id"), chat, show(p.eve), clock, first.Text("result.id"), second.Text("result.id")), p.bob.result(t, "getChatHistory", object{"chat_id": chat, "limit": 1}))
	same(`{"ok":true,"result":{"items":[`+message+`}]}}`, p.bob.result(t, "getChatHistory", object{"chat_id": chat, "before": second.Text("result.id")}))
	same(`{"ok":true,"result":{"unread_count":0}}`, p.bob.result(t, "markRead", object{"chat_id": chat}))
	same(`{"ok":true,"result":{"deleted":1}}`, p.ann.result(t, "deleteMessages", object{"message_ids": []string{first.Text("result.id")}}))
	same(`{"ok":true,"result":{}}`, p.bob.result(t, "sendChatAction", object{"chat_id": chat, "action": "typing"}))

	same(`{"ok":false,"error_code":404,"description":"not_found: There is nothing here that you can see."}`, p.ann.rpc(t, "getChat", object{"chat_id": absentChat}))
	same(`{"ok":false,"error_code":403,"description":"permission_denied: You are not a member of this conversation."}`, p.as(t, p.ann.Client, 9).rpc(t, "getChat", object{"chat_id": chat}))
	same(`{"ok":false,"error_code":400,"description":"invalid_argument: user_ids: must name somebody beside yourself"}`, p.ann.rpc(t, "startChat", object{"user_ids": []string{}}))
	same(`{"ok":false,"error_code":404,"description":"not_found: user_ids: no such account: nobody"}`, p.ann.rpc(t, "startChat", object{"user_ids": []string{"nobody"}}))
}
