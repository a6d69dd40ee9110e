package restapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/polling"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/paging"
)

// maxWait is how long a request may wait for a message, in seconds.
const maxWait = 30

// A messageQuery is what a list of messages is asked for.
type messageQuery struct {
	limit  int
	cursor string
	after  string
	wait   time.Duration
}

func messageQueryOf(c *fiber.Ctx) (messageQuery, error) {
	q := messageQuery{cursor: c.Query("cursor"), after: c.Query("after")}
	var err error
	if q.limit, err = paging.Limit(c.Query("limit"), defaultLimit, maxLimit); err != nil {
		return q, err
	}
	if q.cursor != "" && q.after != "" {
		return q, fault.Field("after", "give either cursor or after")
	}
	if raw := c.Query("wait"); raw != "" {
		seconds, err := strconv.ParseUint(raw, 10, 16)
		if err != nil || seconds > maxWait {
			return q, fault.Field("wait", "must be a whole number of seconds, at most %d", maxWait)
		}
		if q.after == "" {
			return q, fault.Field("wait", "goes with after")
		}
		q.wait = time.Duration(seconds) * time.Second
	}
	return q, nil
}

// place is where a walk over messages goes on. A page of one conversation has
// no more than a number; Next is that of the walk's first page.
type place struct {
	At           time.Time       `json:"t,omitzero"`
	Conversation id.Conversation `json:"c,omitzero"`
	Seq          int64           `json:"s"`
	Next         nextBytes       `json:"n"`
}

// nextBytes is a chat.Next in a cursor: a position, the numbers above which some
// conversations go on, and a walk.
type nextBytes []byte

func nextBytesOf(n chat.Next) nextBytes {
	t := n.Position.Bytes()
	if n.Walk == nil {
		t = append(t, 0)
	} else {
		t = append(t, 1)
		t = binary.BigEndian.AppendUint64(t, uint64(n.Walk.At.UnixMilli()))
		t = append(t, n.Walk.Conversation[:]...)
		t = binary.BigEndian.AppendUint64(t, uint64(n.Walk.Seq))
	}
	order := slices.SortedFunc(maps.Keys(n.Above), func(a, b id.Conversation) int { return bytes.Compare(a[:], b[:]) })
	for _, c := range order {
		t = append(t, c[:]...)
		t = binary.BigEndian.AppendUint64(t, uint64(n.Above[c]))
	}
	return t
}

const (
	tokenBare = 13
	tokenWalk = 32
	tokenPair = 24
)

func (t nextBytes) next() (chat.Next, error) {
	malformed := errors.New("this is not a place to catch up from")
	if len(t) < tokenBare {
		return chat.Next{}, malformed
	}
	p, err := events.FromBytes(t[:tokenBare-1])
	n := chat.Next{Position: p, Above: map[id.Conversation]int64{}}
	walks, rest := t[tokenBare-1] == 1, t[tokenBare:]
	if walks && len(rest) >= tokenWalk {
		n.Walk = &chat.TimelinePosition{
			At:           time.UnixMilli(int64(binary.BigEndian.Uint64(rest))).UTC(),
			Conversation: id.Conversation(rest[8:24]),
			Seq:          int64(binary.BigEndian.Uint64(rest[24:])),
		}
		rest = rest[tokenWalk:]
	}
	if err != nil || len(rest)%tokenPair != 0 {
		return n, malformed
	}
	for ; len(rest) > 0; rest = rest[tokenPair:] {
		n.Above[id.Conversation(rest[:16])] = int64(binary.BigEndian.Uint64(rest[16:]))
	}
	return n, nil
}

// afterList is the list under which catch-up tokens are made: one for all
// routes, so that what a page of one conversation gave can be used for all.
const afterList = "after"

func (a *API) nextText(account id.Account, n chat.Next) (string, error) {
	return a.cursors.Encode(afterList, string(account), nextBytesOf(n))
}

// CatchUp is a next of an account that begins behind a position.
func (a *API) CatchUp(account id.Account, behind events.Position) (string, error) {
	return a.nextText(account, chat.Next{Position: behind})
}

// errAfter refuses what is no next of this account.
var errAfter = paging.ErrCursor.Say("after: this token is not one that a list gave you; start again from a list.").With("field", "after")

// catchUp answers ?after=.
func (a *API) catchUp(c *fiber.Ctx, only *id.Conversation, q messageQuery) error {
	var t nextBytes
	if err := a.cursors.Decode(afterList, string(caller(c)), q.after, &t); err != nil {
		return errAfter.Because(err)
	}
	next, err := t.next()
	if err != nil {
		return errAfter.Because(err)
	}
	ctx := c.UserContext()
	if q.wait > 0 {
		waits, release, err := a.polls.Waiting.waiting(c, q.wait)
		if err != nil {
			return err
		}
		defer release()
		ctx = waits
	}
	found, err := a.chat.After(ctx, caller(c), only, next, q.limit, q.wait)
	if err != nil && errors.Is(context.Cause(ctx), errWaitedEnough) {
		found, err = chat.Timeline{Next: next}, nil
	}
	if err != nil {
		return err
	}
	pollOf(c).Empty = len(found.Messages) == 0
	return a.answerMessages(c, found, "")
}

// getTimeline lists the messages of all the caller's conversations.
func (a *API) getTimeline(c *fiber.Ctx) error {
	q, err := messageQueryOf(c)
	if err != nil {
		return err
	}
	if q.after != "" {
		return a.catchUp(c, nil, q)
	}
	key := polling.Key{Account: caller(c), Limit: q.limit}
	var version uint64
	if q.cursor == "" {
		var done bool
		if version, done = a.remembered(c, key); done {
			return nil
		}
	}
	list := cursorList{a.cursors, "messages", caller(c)}
	at, next, err := list.place(c)
	if err != nil {
		return err
	}
	release, err := a.polls.Read(c.UserContext())
	if err != nil {
		return err
	}
	defer release()
	var from *chat.Page
	if q.cursor != "" {
		from = &chat.Page{Behind: chat.TimelinePosition{At: at.At, Conversation: at.Conversation, Seq: at.Seq}, Next: next}
	}
	found, err := a.chat.Timeline(c.UserContext(), caller(c), from, q.limit)
	if err != nil {
		return err
	}
	cursor := ""
	if found.More {
		last := found.Messages[len(found.Messages)-1]
		cursor, err = list.cursor(true, place{last.CreatedAt, last.ID.Conversation, last.ID.Seq, nextBytesOf(found.Next)})
	}
	if err != nil {
		return err
	}
	if from == nil {
		return a.firstPage(c, key, version, found, cursor)
	}
	return a.answerMessages(c, found, cursor)
}

// answerMessages writes a page and where exact catch-up goes on behind it.
func (a *API) answerMessages(c *fiber.Ctx, found chat.Timeline, cursor string) error {
	page, err := a.page(caller(c), found, cursor)
	if err != nil {
		return err
	}
	a.chat.Count(chat.Delivered, len(found.Messages))
	return c.JSON(page)
}

func (a *API) page(account id.Account, found chat.Timeline, cursor string) (messagePage, error) {
	page := messagePage{Messages: make([]listedMessage, len(found.Messages)), Cursor: cursor, HasMore: found.More}
	for i, m := range found.Messages {
		page.Messages[i] = listed(m)
	}
	var err error
	page.Next, err = a.nextText(account, found.Next)
	return page, err
}

// encoded is the page as JSON, and the validator of its messages: next moves
// on whether or not they change.
func (p messagePage) encoded() (body []byte, etag string, err error) {
	messages, err := json.Marshal(p.Messages)
	if err != nil {
		return nil, "", err
	}
	body, err = json.Marshal(p)
	return body, polling.ETag(messages), err
}
