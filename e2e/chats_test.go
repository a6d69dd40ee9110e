package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The commands of docs/api/conversations-rpc.md, as a person at the platform
// makes them who has only just started it.
func TestChatsByName(t *testing.T) {
	t.Parallel()
	s := newHome(t).start(t)
	ops, claude := bearer("dev:ops"), bearer("dev:claude")
	rpc := func(who credential, method string, body any) answer {
		return s.must(t, 200, "POST", "/api/"+method, who, body)
	}
	require.Empty(t, rpc(ops, "getChats", nil).at(t, "result.items"))
	group := rpc(ops, "startChat", object{"user_ids": []string{"mafold-ai", "claude"}})
	require.Equal(t, "group", group.text(t, "result.kind"))
	names := map[string]any{}
	for _, item := range group.at(t, "result.participants").([]any) {
		names[item.(object)["username"].(string)] = item.(object)["kind"]
	}
	require.Equal(t, map[string]any{"ops": "human", "mafold-ai": "agent", "claude": "agent"}, names)

	chat := group.text(t, "result.id")
	rpc(ops, "sendMessage", object{"chat_id": chat, "text": "Pilot on board"})
	s.must(t, 201, "POST", "/api/messages", ops, object{"conversation_id": "conv_" + chat, "content": "Cast off"})
	one := rpc(claude, "getChat", object{"chat_id": chat})
	require.InDelta(t, 2, one.at(t, "result.unread_count"), 0)
	history := rpc(claude, "getChatHistory", object{"chat_id": chat}).at(t, "result.items").([]any)
	require.Len(t, history, 2)
	require.Equal(t, "Cast off", history[0].(object)["content"])
	require.InDelta(t, 0, rpc(claude, "markRead", object{"chat_id": chat}).at(t, "result.unread_count"), 0)
	require.InDelta(t, 1, rpc(ops, "deleteMessages", object{"message_ids": []any{history[0].(object)["id"]}}).at(t, "result.deleted"), 0)

	rpc(ops, "sendChatAction", object{"chat_id": chat, "action": "typing"})

	direct := rpc(ops, "startChat", object{"user_ids": []string{"claude"}}).text(t, "result.id")
	require.Equal(t, direct, rpc(claude, "startChat", object{"user_ids": []string{"OPS"}}).text(t, "result.id"))
	require.Len(t, rpc(ops, "getChats", nil).at(t, "result.items"), 2)
	for status, body := range map[int]any{
		403: object{"chat_id": rpc(claude, "startChat", object{"user_ids": []string{"mafold-ai"}}).text(t, "result.id")},
		404: object{"chat_id": "00000000-0000-4000-8000-000000000000"},
		400: object{"chat_id": "general"},
	} {
		refusal := s.call(t, "POST", "/api/getChat", ops, body)
		require.Equal(t, status, refusal.status, refusal.body)
		require.Equal(t, false, refusal.at(t, "ok"))
	}
	require.Equal(t, 404, s.call(t, "POST", "/api/getWeather", ops, object{}).status)
}
