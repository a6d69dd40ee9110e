package restapi

import (
	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/paging"
)

type memberRequest struct {
	AgentID string    `json:"agent_id"`
	Role    chat.Role `json:"role"`
}

type memberAnswer struct {
	Status  string     `json:"status"`
	AgentID id.Account `json:"agent_id,omitempty"`
	Role    chat.Role  `json:"role,omitempty"`
}

// memberBody reads the conversation in the path and the account in the body.
func memberBody(c *fiber.Ctx) (conversation id.Conversation, target id.Account, body memberRequest, err error) {
	if conversation, err = pathConversation(c); err != nil {
		return conversation, target, body, err
	}
	if body, err = httpserver.Body[memberRequest](c); err != nil {
		return conversation, target, body, err
	}
	targets, err := agentIDs("agent_id", body.AgentID)
	return conversation, targets[0], body, err
}

func (a *API) postMember(c *fiber.Ctx) error {
	conversation, target, body, err := memberBody(c)
	if err != nil {
		return err
	}
	how, err := a.chat.Invite(c.UserContext(), caller(c), conversation, target, body.Role)
	if err != nil {
		return err
	}
	return c.JSON(memberAnswer{Status: how, AgentID: target})
}

func (a *API) putRole(c *fiber.Ctx) error {
	conversation, target, body, err := memberBody(c)
	if err != nil {
		return err
	}
	if err := a.chat.SetRole(c.UserContext(), caller(c), conversation, target, body.Role); err != nil {
		return err
	}
	return c.JSON(memberAnswer{Status: "updated", AgentID: target, Role: body.Role})
}

func (a *API) postTransfer(c *fiber.Ctx) error {
	conversation, target, _, err := memberBody(c)
	if err != nil {
		return err
	}
	if err := a.chat.Transfer(c.UserContext(), caller(c), conversation, target); err != nil {
		return err
	}
	return c.JSON(memberAnswer{Status: "transferred", AgentID: target})
}

func (a *API) deleteMember(c *fiber.Ctx) error {
	conversation, err := pathConversation(c)
	if err != nil {
		return err
	}
	target, err := id.ParseAccount(c.Params("agent_id"))
	if err != nil {
		return fault.ErrNotFound
	}
	body, err := httpserver.OptionalBody[struct {
		AgentID *string `json:"agent_id"`
	}](c)
	if err != nil {
		return err
	}
	if body.AgentID != nil && *body.AgentID != string(target) {
		return fault.Field("agent_id", "must be the account in the path, or be left out")
	}
	if err := a.chat.Remove(c.UserContext(), caller(c), conversation, target); err != nil {
		return err
	}
	return c.JSON(memberAnswer{Status: "removed", AgentID: target})
}

func (a *API) postLeave(c *fiber.Ctx) error {
	conversation, err := pathConversation(c)
	if err != nil {
		return err
	}
	if err := a.chat.Leave(c.UserContext(), caller(c), conversation); err != nil {
		return err
	}
	return c.JSON(memberAnswer{Status: "left"})
}

type memberPage struct {
	Members []member `json:"members"`
	Cursor  string   `json:"cursor"`
	HasMore bool     `json:"has_more"`
}

func (a *API) getMembers(c *fiber.Ctx) error {
	conversation, err := pathConversation(c)
	if err != nil {
		return err
	}
	limit, err := paging.Limit(c.Query("limit"), defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	list := cursorList{a.cursors, "members of " + conversation.String(), caller(c)}
	var behind id.Account
	if err := list.read(c, &behind); err != nil {
		return err
	}
	found, next, err := a.chat.Members(c.UserContext(), caller(c), conversation, behind, limit)
	if err != nil {
		return err
	}
	page := memberPage{Members: shownMembers(found), HasMore: next != ""}
	if page.Cursor, err = list.cursor(page.HasMore, next); err != nil {
		return err
	}
	return c.JSON(page)
}

func shownMembers(found []chat.Member) []member {
	shown := make([]member, len(found))
	for i, m := range found {
		shown[i] = member{AgentID: m.Account, Role: m.Role, JoinedAt: httpserver.Time(m.JoinedAt)}
	}
	return shown
}
