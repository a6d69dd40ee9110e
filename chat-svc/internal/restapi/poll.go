package restapi

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/polling"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

// A Poll is what is told of each poll, for metrics.
type Poll struct {
	Route   string // all, or one conversation
	Kind    string // first, cursor, after or long
	Outcome string // served, not_modified, refused or shed
	Empty   bool
	Early   bool
	Memory  bool // answered without the database
	Advice  time.Duration
}

// Polls is the polling contract of both lists of messages.
type Polls struct {
	Limiter *polling.Limiter
	Memory  *polling.Memory
	Report  func(Poll)
	// MaxWaiting bounds the requests that wait for a message.
	MaxWaiting int64

	waiting atomic.Int64
}

// pollKey is where a handler notes what became of a poll.
type pollKey struct{}

func pollOf(c *fiber.Ctx) *Poll {
	poll, _ := c.Context().UserValue(pollKey{}).(*Poll)
	return poll
}

// polled puts a list of messages under the polling contract: first pages,
// cursor pages and both routes draw on one bucket per account.
func (a *API) polled(route string, next fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		account := string(caller(c))
		poll := &Poll{Route: route, Kind: kindOf(c), Outcome: "served"}
		c.Context().SetUserValue(pollKey{}, poll)
		verdict := a.polls.Limiter.Admit(account, poll.Kind == "long")
		poll.Early = verdict.Early
		if verdict.Refused {
			poll.Outcome = "refused"
			a.advise(c, poll, verdict)
			return fault.ErrRateLimited.Say("You poll too often; come again at X-Next-Poll-After.").
				After(time.Duration(verdict.Seconds()) * time.Second)
		}
		err := next(c)
		if poll.Kind == "long" {
			a.polls.Limiter.Spend(account)
		}
		if err != nil && fault.Of(err).Kind == fault.Unavailable {
			poll.Outcome = "shed"
		}
		a.advise(c, poll, a.polls.Limiter.Answer(verdict, account, err == nil && !poll.Empty))
		return err
	}
}

func kindOf(c *fiber.Ctx) string {
	args := c.Context().QueryArgs()
	switch {
	case args.Has("after") && len(args.Peek("wait")) > 0 && string(args.Peek("wait")) != "0":
		return "long"
	case args.Has("after"):
		return "after"
	case len(args.Peek("cursor")) > 0:
		return "cursor"
	}
	return "first"
}

// advise tells the caller when to come again.
func (a *API) advise(c *fiber.Ctx, poll *Poll, v polling.Verdict) {
	header := &c.Response().Header
	header.Set("X-Min-Poll-Interval", strconv.Itoa(v.Seconds()))
	const instant = "2006-01-02T15:04:05.000Z"
	var text [len(instant)]byte
	header.SetBytesV("X-Next-Poll-After", v.Next.UTC().AppendFormat(text[:0], instant))
	poll.Advice = v.Interval
	a.polls.Report(*poll)
}

// remembered answers a first page from memory where nothing has changed since
// it was made: no database call, no encoding.
func (a *API) remembered(c *fiber.Ctx, k polling.Key) (version uint64, done bool) {
	version, current := a.chat.ListVersion(k.Account)
	if !current {
		return 0, false
	}
	page, ok := a.polls.Memory.Get(k, version)
	if !ok {
		return version, false
	}
	poll := pollOf(c)
	poll.Memory, poll.Empty = true, true
	a.writePage(c, poll, page)
	return version, true
}

// writePage answers with a page, or with 304 to who has it.
func (a *API) writePage(c *fiber.Ctx, poll *Poll, page *polling.Page) {
	header := &c.Response().Header
	header.Set(fiber.HeaderETag, page.ETag)
	header.Set(fiber.HeaderCacheControl, "private, no-cache")
	if matches(c.Request().Header.Peek(fiber.HeaderIfNoneMatch), page.ETag) {
		poll.Outcome, poll.Empty = "not_modified", true
		c.Status(http.StatusNotModified)
		return
	}
	header.SetContentType(fiber.MIMEApplicationJSON)
	c.Response().SetBodyRaw(page.Body)
}

// matches compares validators weakly (RFC 9110 §13.1.2).
func matches(header []byte, etag string) bool {
	if len(header) == 0 {
		return false
	}
	bare := []byte(strings.TrimPrefix(etag, "W/"))
	for candidate := range bytes.SplitSeq(header, []byte(",")) {
		candidate = bytes.TrimSpace(candidate)
		if string(candidate) == "*" || bytes.Equal(bytes.TrimPrefix(candidate, []byte("W/")), bare) {
			return true
		}
	}
	return false
}

// firstPage answers a first page and keeps it for the next poll. version is
// the one from before the page was read; 0 where memory is not trusted.
func (a *API) firstPage(c *fiber.Ctx, k polling.Key, version uint64, found chat.Timeline, cursor string) error {
	page, err := a.page(k.Account, found, cursor)
	if err != nil {
		return err
	}
	body, etag, err := page.encoded()
	if err != nil {
		return err
	}
	kept := &polling.Page{Version: version, ETag: etag, Body: body}
	same := a.polls.Memory.Put(k, kept)
	poll := pollOf(c)
	poll.Empty = same || len(found.Messages) == 0
	a.writePage(c, poll, kept)
	return nil
}

// errManyWait sheds requests that would wait where too many do already.
var errManyWait = fault.ErrUnavailable.Say("Too many requests wait for messages here; poll without waiting, or try again.")

// hold takes a place among the requests that wait, until release.
func (p *Polls) hold() (release func(), err error) {
	if p.waiting.Add(1) > p.MaxWaiting {
		p.waiting.Add(-1)
		return nil, errManyWait
	}
	return func() { p.waiting.Add(-1) }, nil
}

// Waiting is how many requests wait for a message.
func (p *Polls) Waiting() int64 { return p.waiting.Load() }

// goneEvery is how often it is asked whether a waiting client is still there.
const goneEvery = 500 * time.Millisecond

// watch ends a wait when its client goes away.
func watch(ctx context.Context, conn net.Conn, cancel func()) {
	tick := time.NewTicker(goneEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if httpserver.Gone(conn) {
				cancel()
				return
			}
		}
	}
}
