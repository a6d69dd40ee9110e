package gateway

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"

	"github.com/valyala/fasthttp"

	"chatplatform.io/edge/routes"
)

//go:embed openapi.json
var ownDocument []byte

//go:embed docs/docs.html
var docsHTML string

//go:embed docs/docs.css
var docsCSS []byte

//go:embed docs/docs.js
var docsJS []byte

// self is the gateway's name among the documents.
const self routes.Service = "gateway"

// policy lets the page load nothing but its own style, script and documents.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Document is the OpenAPI document of the gateway's own routes, as JSON.
func Document() []byte { return bytes.Clone(ownDocument) }

// documentPages are the OpenAPI documents at /openapi/<name>.json and the page
// at /docs on which people read them.
func documentPages(documents map[routes.Service][]byte) (map[string]fasthttp.RequestHandler, error) {
	all := maps.Clone(documents)
	if all == nil {
		all = map[routes.Service][]byte{}
	}
	all[self] = ownDocument
	names := slices.SortedFunc(maps.Keys(all), inReadingOrder)
	pages := map[string]fasthttp.RequestHandler{}
	for name, document := range all {
		if !json.Valid(document) {
			return nil, fmt.Errorf("the OpenAPI document of %q is not JSON", name)
		}
		pages["/openapi/"+string(name)+".json"] = static("application/json", document)
	}
	html, err := docsPage(names)
	if err != nil {
		return nil, err
	}
	pages["/docs"] = static("text/html; charset=utf-8", html)
	pages["/docs/docs.css"] = static("text/css; charset=utf-8", docsCSS)
	pages["/docs/docs.js"] = static("text/javascript; charset=utf-8", docsJS)
	return pages, nil
}

// inReadingOrder is by name, with the gateway's own few routes at the end.
func inReadingOrder(a, b routes.Service) int {
	switch {
	case a == b:
		return 0
	case a == self:
		return 1
	case b == self || a < b:
		return -1
	}
	return 1
}

func docsPage(names []routes.Service) ([]byte, error) {
	page, err := template.New("docs").Parse(docsHTML)
	if err != nil {
		return nil, fmt.Errorf("read the page of documents: %w", err)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, names); err != nil {
		return nil, fmt.Errorf("write the page of documents: %w", err)
	}
	return out.Bytes(), nil
}

// static serves the same bytes to everybody. They change with the program
// only, so a browser asks again each time and is answered from memory.
func static(contentType string, body []byte) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		header := &ctx.Response.Header
		header.SetContentType(contentType)
		header.Set(fasthttp.HeaderCacheControl, "no-cache")
		header.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
		header.Set(fasthttp.HeaderContentSecurityPolicy, policy)
		header.Set(fasthttp.HeaderReferrerPolicy, "no-referrer")
		ctx.Response.SetBodyRaw(body)
	}
}
