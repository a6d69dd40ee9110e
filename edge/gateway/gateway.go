// Package gateway serves the whole platform on one port: it hands each request
// to the service that the route table names, in process, and has a few routes
// of its own (openapi.yaml beside it describes them).
package gateway

import (
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"chatplatform.io/edge/routes"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

// Options are what the gateway serves.
type Options struct {
	// Services has a handler for every service of the route table.
	Services map[routes.Service]fasthttp.RequestHandler
	// Documents has the OpenAPI document of each service, as JSON. The
	// gateway adds its own.
	Documents map[routes.Service][]byte
	// Ready is shown at /readyz.
	Ready *httpserver.Readiness
	// Version is shown at /health.
	Version string
	Now     func() time.Time
}

type gateway struct {
	table    routes.Table
	services map[routes.Service]fasthttp.RequestHandler
	own      map[string]fasthttp.RequestHandler
}

// New makes the handler of the public origin. It fails when a service of the
// route table has no handler.
//
// Paths are compared as the client wrote them. One that can be read in more
// than one way (escapes, empty segments, dots) is answered with 404, so that
// no path leads past the table. A path that nobody serves is answered with 404
// in the envelope of its family (docs/api/conventions.md).
func New(o Options) (fasthttp.RequestHandler, error) {
	g := &gateway{table: routes.Public(), services: o.Services}
	for _, rule := range g.table {
		if g.services[rule.Service] == nil {
			return nil, fmt.Errorf("the route table names the service %q, which has no handler", rule.Service)
		}
	}
	pages, err := documentPages(o.Documents)
	if err != nil {
		return nil, err
	}
	pages["/health"] = health(o.Version, o.Now)
	pages["/readyz"] = readyz(o.Ready)
	g.own = pages
	return g.serve, nil
}

func (g *gateway) serve(ctx *fasthttp.RequestCtx) {
	httpserver.RequestID(ctx)
	path := string(ctx.URI().PathOriginal())
	if page, ok := g.own[path]; ok {
		readOnly(ctx, page)
		return
	}
	if service, ok := g.table.Find(path); ok {
		g.services[service](ctx)
		return
	}
	absent := fault.ErrNotFound.Say("There is no %s %s here.", httpserver.Method(ctx), path)
	if httpserver.IsRPC(string(ctx.Method()), path) {
		httpserver.WriteRPCFault(ctx, absent)
		return
	}
	httpserver.WriteFault(ctx, absent)
}

// readOnly serves a page to GET and HEAD.
func readOnly(ctx *fasthttp.RequestCtx, page fasthttp.RequestHandler) {
	if !ctx.IsGet() && !ctx.IsHead() {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD")
		httpserver.WriteFault(ctx, fault.ErrMethodNotAllowed)
		return
	}
	page(ctx)
}
