package restapi

import (
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/paging"
)

// What a block's target is called.
const (
	targetGroup = "group"
	targetAgent = "agent"
)

type blockRequest struct {
	Type     string `json:"type"`
	TargetID string `json:"target_id"`
}

func (r blockRequest) target() (t chat.Target, err error) {
	if r.Type == targetGroup {
		t.Conversation, err = id.ParseConversation(r.TargetID)
	} else {
		t.Account, err = id.ParseAccount(r.TargetID)
	}
	if err != nil {
		return t, chat.ErrTarget
	}
	return t, nil
}

type shownBlock struct {
	BlockID    id.Block        `json:"block_id"`
	TargetType string          `json:"target_type"`
	TargetID   string          `json:"target_id"`
	CreatedAt  httpserver.Time `json:"created_at"`
}

func showBlock(b chat.Block) shownBlock {
	shown := shownBlock{BlockID: b.ID, TargetType: targetGroup, TargetID: b.Target.String(), CreatedAt: httpserver.Time(b.CreatedAt)}
	if b.Target.Account != "" {
		shown.TargetType = targetAgent
	}
	return shown
}

func (a *API) postBlock(c *fiber.Ctx) error {
	body, err := httpserver.Body[blockRequest](c)
	if err != nil {
		return err
	}
	key, err := httpserver.IdempotencyKey(c, nil)
	if err != nil {
		return err
	}
	target, err := body.target()
	if err != nil {
		return err
	}
	block, again, err := a.chat.Block(c.UserContext(), caller(c), target, key)
	if err != nil {
		return err
	}
	httpserver.Replayed(c, again)
	return c.Status(http.StatusCreated).JSON(showBlock(block))
}

type blockPage struct {
	Blocks     []shownBlock `json:"blocks"`
	NextCursor string       `json:"next_cursor"`
	HasMore    bool         `json:"has_more"`
}

// blockPosition is a chat.BlockPosition in a cursor.
type blockPosition struct {
	At time.Time `json:"at"`
	ID id.Block  `json:"id"`
}

func (a *API) getBlocks(c *fiber.Ctx) error {
	limit, err := paging.Limit(c.Query("limit"), defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	list := cursorList{a.cursors, "blocks", caller(c)}
	var behind *blockPosition
	if err := list.read(c, &behind); err != nil {
		return err
	}
	blocks, next, err := a.chat.Blocks(c.UserContext(), caller(c), (*chat.BlockPosition)(behind), limit)
	if err != nil {
		return err
	}
	page := blockPage{Blocks: make([]shownBlock, len(blocks)), HasMore: next != nil}
	for i, b := range blocks {
		page.Blocks[i] = showBlock(b)
	}
	if page.NextCursor, err = list.cursor(page.HasMore, (*blockPosition)(next)); err != nil {
		return err
	}
	return c.JSON(page)
}

func (a *API) deleteBlock(c *fiber.Ctx) error {
	block, err := id.ParseBlock(c.Params("block_id"))
	if err != nil {
		return fault.ErrNotFound
	}
	if err := a.chat.Unblock(c.UserContext(), caller(c), block); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}
