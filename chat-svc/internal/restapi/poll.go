package restapi

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/polling"
	"chatplatform.io/svckit/fault"
)

// A Poll is what is told of each poll, for metrics.
type Poll struct {
	Route   string // all, conversation, or chat by the RPC door
	Kind    string // first, cursor, after or long; page by the RPC door
	Outcome string // served, not_modified, refused or shed
	Empty   bool
	Early   bool
	Memory  bool // answered without the database
	Advice  time.Duration
}

// Polls is the polling contract of every list of messages.
type Polls struct {
	Limiter *polling.Limiter
	Memory  *polling.Memory
	Report  func(Poll)
	Waiting Waiting
	// Reading has room for the polls that read from the database at once.
	Reading chan struct{}
}

// pollKey is where a handler notes what became of a poll.
type pollKey struct{}

func pollOf(c *fiber.Ctx) *Poll {
	poll, _ := c.Context().UserValue(pollKey{}).(*Poll)
	return poll
}

// FoundNothing notes that what is answered to a poll tells nothing.
func FoundNothing(c *fiber.Ctx) { pollOf(c).Empty = true }

// Polled puts a list of messages under the polling contract: first pages,
// cursor pages and every list of both doors draw on one bucket per account. It
// comes behind what checks the token.
func (p *Polls) Polled(route string, next fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		account := string(caller(c))
		poll := &Poll{Route: route, Kind: kindOf(c), Outcome: "served"}
		c.Context().SetUserValue(pollKey{}, poll)
		verdict := p.Limiter.Admit(account, poll.Kind == "long")
		poll.Early = verdict.Early
		if verdict.Refused {
			poll.Outcome = "refused"
			p.advise(c, poll, verdict)
			return fault.ErrRateLimited.Say("You poll too often; come again at X-Next-Poll-After.").
				After(time.Duration(verdict.Seconds()) * time.Second)
		}
		err := next(c)
		if poll.Kind == "long" {
			p.Limiter.Spend(account)
		}
		if err != nil && fault.Of(err).Kind == fault.Unavailable {
			poll.Outcome = "shed"
		}
		p.advise(c, poll, p.Limiter.Answer(verdict, account, err == nil && !poll.Empty))
		return err
	}
}

func kindOf(c *fiber.Ctx) string {
	args := c.Context().QueryArgs()
	switch {
	case c.Method() == fiber.MethodPost: // its body says which one
		return "page"
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
func (p *Polls) advise(c *fiber.Ctx, poll *Poll, v polling.Verdict) {
	header := &c.Response().Header
	header.Set("X-Min-Poll-Interval", strconv.Itoa(v.Seconds()))
	const instant = "2006-01-02T15:04:05.000Z"
	var text [len(instant)]byte
	header.SetBytesV("X-Next-Poll-After", v.Next.UTC().AppendFormat(text[:0], instant))
	poll.Advice = v.Interval
	p.Report(*poll)
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
	if !poll.Empty {
		a.chat.Count(chat.Delivered, len(found.Messages))
	}
	return nil
}

// errBusy sheds polls that would read where too many do already.
var errBusy = fault.ErrUnavailable.Say("Too many polls read from the database here; try again.")

// patience is how long a poll waits to read.
const patience = 500 * time.Millisecond

// Read takes a place among the polls that read from the database, until
// release. When the database is slow they are shed before they take from the
// others, sends above all, the connections that they need: fault.ErrUnavailable.
func (p *Polls) Read(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case p.Reading <- struct{}{}:
		return func() { <-p.Reading }, nil
	case <-ctx.Done():
		return nil, errBusy
	}
}
