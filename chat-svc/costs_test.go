package chatsvc_test

import "slices"

// What a change of settings or members begins and ends with.
const (
	begins = "findAndModify conversations, find members"
	ends   = "update conversations"
)

func costs() []cost {
	return slices.Concat(costsOfMessages(), costsOfLists(), costsOfConversations(), costsOfMembers(), costsOfBlocks(), costsOfMethods(), costsOfEvents())
}

func closing() cost {
	return cost{"closing", `ann DELETE /api/conversations/{conversation_id}`,
		"find members, " + begins + ", delete creations, find members, delete members, delete memberships, update formers, " + ends, once}
}

func costsOfMessages() []cost {
	return []cost{
		{"a send", `ann POST /api/messages {"conversation_id":"$group","content":"x"}`,
			"find members, find barriers, find conversations, find messages, insert messages", "insert messages"},
		{"a send of whom somebody blocks", `cat POST /api/messages {"conversation_id":"$group","content":"x"}`,
			"find members, find barriers, find members, find conversations, find messages, insert messages", "find members, insert messages"},
		{"a reply that mentions", `ann POST /api/messages {"conversation_id":"$group","content":"x","in_reply_to":"$message","mention":["$bob","$cat"]}`,
			"find members, find barriers, find messages, find members, find conversations, find messages, insert messages", "find messages, find members, insert messages"},
		{"a send with a key, and its repeat", `ann/k POST /api/messages {"conversation_id":"$group","content":"x"}`,
			"find members, find barriers, find conversations, find messages, insert messages", "insert messages, find messages"},
		{"a send to one account, the first and the next", `ann POST /api/messages {"recipient_agent_id":"$eve","content":"x"}`,
			"find members, find barriers, aggregate memberships, insert conversations, insert members, insert memberships, find conversations, find messages, insert messages", "find members, insert messages"},
		{"a send to where one is no member", `eve POST /api/messages {"conversation_id":"$group","content":"x"}`, "find members", "find members"},
		{"an edit", `ann PUT /api/messages/{message_id} {"content":"y"}`, "find members, find messages, update messages", "find messages, update messages"},
		{"an edit that is refused", `bob PUT /api/messages/{message_id} {"content":"y"}`, "find members, find messages", "find messages"},
		{"a deletion", `ann DELETE /api/messages/{message_id} {}`, "find members, find messages, update messages", "find messages, update messages"},
		{"a deletion that is refused", `bob DELETE /api/messages/{message_id}`, "find members, find messages", "find messages"},
		{"a withdrawal", `ann DELETE /api/messages/{message_id} {"withdraw":true}`, "find members, find messages, update messages", "find messages, update messages"},
	}
}

func costsOfLists() []cost {
	const tracks = "find memberships, find conversations"
	return []cost{
		{"health", `bob GET /health`, "", ""},
		{"messages of all, and the empty poll", `bob GET /api/messages`, tracks + ", find messages", ""},
		{"a page of all", `bob GET /api/messages?cursor=$all`, tracks + ", find messages", "find messages"},
		{"nothing after", `bob GET /api/messages?after=$next`, tracks, ""},
		{"something after", `bob GET /api/messages?after=$before`, tracks, ""},
		{"a wait", `bob GET /api/messages?wait=1&after=$next`, tracks, ""},
		{"messages of one, and the empty poll", `bob GET /api/conversations/{conversation_id}/messages`, "find members, find messages, " + tracks, ""},
		{"a page of one", `bob GET /api/conversations/{conversation_id}/messages?cursor=$one`, "find members, find messages", "find messages"},
		{"something after in one", `bob GET /api/conversations/{conversation_id}/messages?after=$before`, tracks, ""},
		{"conversations", `bob GET /api/conversations`, tracks + ", find conversations", "find conversations"},
		{"a page of conversations", `bob GET /api/conversations?cursor=$conversations`, tracks + ", find conversations", "find conversations"},
		{"members", `bob GET /api/conversations/{conversation_id}/members`, "find members, find members", "find members"},
		{"a page of members", `bob GET /api/conversations/{conversation_id}/members?cursor=$members`, "find members, find members", "find members"},
		{"blocks", `bob GET /api/blocks`, "find blocks", "find blocks"},
		{"a page of blocks", `bob GET /api/blocks?cursor=$blocks`, "find blocks", "find blocks"},
	}
}

func costsOfConversations() []cost {
	const looks, counts = "aggregate memberships", "aggregate creations"
	const makes = "insert conversations, insert creations, insert members, insert memberships"
	return []cost{
		{"a group", `ann POST /api/conversations {"type":"group","members":["$stranger"]}`, looks + ", " + counts + ", " + makes, looks + ", " + counts + ", " + makes},
		{"a group with a key, and its repeat", `ann/k POST /api/conversations {"type":"group","members":["$eve"]}`,
			"insert claims, " + looks + ", " + counts + ", " + makes + ", update claims", "insert claims, find claims, " + looks},
		{"a direct one, and the same again", `ann POST /api/conversations {"type":"direct","members":["$eve"]}`, looks + ", insert conversations, insert members, insert memberships", looks},
		{"a conversation", `bob GET /api/conversations/{conversation_id}`, looks + ", find members", looks + ", find members"},
		{"a read mark", `bob POST /api/conversations/{conversation_id}/read {"up_to":"$message"}`, looks + ", update memberships", looks + ", update memberships"},
		{"settings", `ann PUT /api/conversations/{conversation_id} {"name":"$turn"}`, "find members, " + begins + ", " + ends, "find members, " + begins + ", " + ends},
	}
}

func costsOfMembers() []cost {
	const joins = "find conversations, find messages, insert members, insert memberships, "
	const leaves = "delete members, delete memberships, update formers, "
	both := func(commands string) (string, string) { return commands, commands }
	invite, inviteAgain := both("find members, find members, aggregate memberships, " + begins + ", " + joins + ends)
	none, noneAgain := both("find members, find members, " + begins)
	return []cost{
		{"an invitation", `ann POST /api/conversations/{conversation_id}/members {"agent_id":"$stranger"}`, invite, inviteAgain},
		{"an invitation of a member", `ann POST /api/conversations/{conversation_id}/members {"agent_id":"$cat"}`, none, noneAgain},
		{"an invitation that is refused", `bob POST /api/conversations/{conversation_id}/members {"agent_id":"$stranger"}`, "find members", "find members"},
		{"a role, and the same again", `ann PUT /api/conversations/{conversation_id}/role {"agent_id":"$cat","role":"admin"}`, "find members, " + begins + ", update members, " + ends, "find members, " + begins},
		{"a transfer", `ann POST /api/conversations/{conversation_id}/transfer {"agent_id":"$cat"}`, "find members, " + begins + ", update members, update members, " + ends, once},
		{"a removal", `ann DELETE /api/conversations/{conversation_id}/members/{agent_id}`, "find members, " + begins + ", " + leaves + ends, "find members, " + begins + ", " + leaves + ends},
		{"leaving, and who has left", `cat POST /api/conversations/{conversation_id}/leave`, "find members, " + begins + ", " + leaves + ends, "find members"},
		{"a stranger's change", `eve POST /api/conversations/{conversation_id}/leave`, "find members", "find members"},
	}
}

func costsOfBlocks() []cost {
	return []cost{
		{"a block", `ann POST /api/blocks {"target_id":"$stranger"}`, "aggregate blocks, insert blocks, insert barriers", "aggregate blocks, insert blocks, insert barriers"},
		{"a block with a key, and its repeat", `ann/k POST /api/blocks {"target_id":"$eve"}`,
			"find claims, aggregate blocks, insert blocks, insert barriers, insert claims", "find claims, find blocks"},
		{"a block of a conversation", `bob POST /api/blocks {"type":"group","target_id":"$group"}`, "aggregate blocks, find members, insert blocks, insert barriers", once},
		{"a block taken back", `bob DELETE /api/blocks/{block_id}`, "findAndModify blocks, delete barriers", "findAndModify blocks, delete barriers"},
	}
}

func listing() cost {
	return cost{"chats", `bob POST /api/getChats {}`, "find memberships, find conversations, find conversations, find members", "find conversations, find members"}
}

func costsOfMethods() []cost {
	const looks, counts, makes = "aggregate memberships", "aggregate creations", "insert conversations, insert creations, insert members, insert memberships"
	return []cost{
		listing(),
		{"a chat", `bob POST /api/getChat {"chat_id":"$chat"}`, looks + ", find members", looks + ", find members"},
		{"a chat of who is in none", `eve POST /api/getChat {"chat_id":"$chat"}`, looks + ", find conversations", looks + ", find conversations"},
		{"a chat with one, and the same again", `ann POST /api/startChat {"user_ids":["@eve"]}`,
			looks + ", insert conversations, insert members, insert memberships, find members", looks + ", find members"},
		{"a chat with several", `ann POST /api/startChat {"user_ids":["@bob","@stranger"]}`,
			looks + ", " + counts + ", " + makes + ", find members", looks + ", " + counts + ", " + makes + ", find members"},
		{"a send into a chat", `ann POST /api/sendMessage {"chat_id":"$chat","text":"x"}`,
			"find members, find barriers, find conversations, find messages, insert messages", "insert messages"},
		{"a history", `bob POST /api/getChatHistory {"chat_id":"$chat"}`, "find members, find messages", "find messages"},
		{"a page of a history", `bob POST /api/getChatHistory {"chat_id":"$chat","before":"$bare_message"}`, "find members, find messages", "find messages"},
		{"a mark up to the last message", `bob POST /api/markRead {"chat_id":"$chat","up_to":"$bare_message"}`,
			looks + ", update memberships", looks + ", update memberships"},
		{"an action", `ann POST /api/sendChatAction {"chat_id":"$chat","action":"$turn"}`, "find members, find barriers, insert ephemeral", "insert ephemeral"},
		{"deletions", `ann POST /api/deleteMessages {"message_ids":["$bare_message"]}`, "find members, find messages, update messages", "find messages, update messages"},
	}
}

// What connecting costs is counted beside (TestWhatConnectingCosts): such a
// request does not end.
func costsOfEvents() []cost {
	return []cost{
		{"events behind none", `bob GET /api/events?since=x`, "", ""},
		{"no handshake", `bob GET /api/ws`, "", ""},
		{"a ticket", `bob POST /api/events/ticket`, "insert tickets", "insert tickets"},
	}
}
