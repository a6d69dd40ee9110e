package httpserver

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/svckit/fault"
)

// What pages of other origins may send and read, beside what every page may
// (docs/api/conventions.md, "Pages of other origins").
const (
	corsMethods = "GET, POST, PUT, PATCH, DELETE"
	corsSend    = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Client-Id, X-Request-Id"
	corsRead    = "ETag, Idempotency-Replayed, Link, Retry-After, X-Min-Poll-Interval, X-Next-Poll-After, X-Request-Id"
	corsMaxAge  = "600" // seconds for which a browser need not ask again
)

// cors answers browsers that ask for a page of another origin (the Fetch
// standard, "CORS protocol"); true where that is the whole answer.
func (a *app) cors(c *fiber.Ctx) (answered bool) {
	if len(a.Origins) == 0 {
		return false
	}
	c.Vary(fiber.HeaderOrigin)
	origin := c.Get(fiber.HeaderOrigin)
	if !slices.Contains(a.Origins, origin) {
		return false
	}
	c.Set(fiber.HeaderAccessControlAllowOrigin, origin)
	c.Set(fiber.HeaderAccessControlExposeHeaders, corsRead)
	if c.Method() != http.MethodOptions || c.Get(fiber.HeaderAccessControlRequestMethod) == "" {
		return false
	}
	c.Set(fiber.HeaderAccessControlAllowMethods, corsMethods)
	c.Set(fiber.HeaderAccessControlAllowHeaders, corsSend)
	c.Set(fiber.HeaderAccessControlMaxAge, corsMaxAge)
	c.Status(http.StatusNoContent)
	return true
}

// CheckOrigin refuses a page of another origin that is not one of the given. It
// is for what browsers let every page do, as to open a WebSocket. Who is no
// browser sends no Origin and passes.
func CheckOrigin(c *fiber.Ctx, origins []string) error {
	origin := c.Get(fiber.HeaderOrigin)
	if origin == "" || slices.Contains(origins, origin) {
		return nil
	}
	if page, err := url.Parse(origin); err == nil && strings.EqualFold(page.Host, string(c.Request().Host())) {
		return nil
	}
	return fault.ErrForbidden.Say("Pages of %q may not connect; CORS_ORIGINS names those that may.", origin)
}
