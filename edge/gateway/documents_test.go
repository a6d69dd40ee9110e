package gateway_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"

	"chatplatform.io/edge/gateway"
	"chatplatform.io/edge/routes"
	"chatplatform.io/svckit/httpserver"
)

// sources are the OpenAPI documents of all that answers at the origin.
func sources() map[routes.Service]string {
	return map[routes.Service]string{
		routes.Auth: "../../auth-svc/openapi.yaml",
		routes.Chat: "../../chat-svc/openapi.yaml",
		"gateway":   "openapi.yaml",
	}
}

func load(t *testing.T, path string) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.FromSlash(path))
	require.NoError(t, err)
	return doc
}

// sample is a path with something in place of its parameters.
func sample(template string) string {
	return regexp.MustCompile(`\{[^}]+\}`).ReplaceAllString(template, "x1")
}

func TestEveryDocumentedPathReachesItsService(t *testing.T) {
	t.Parallel()
	address := serve(t, options(httpserver.NewReadiness(nil)))
	for name, source := range sources() {
		for template, item := range load(t, source).Paths.Map() {
			for method := range item.Operations() {
				got := ask(t, address, method, sample(template))
				want := string(name)
				if name == "gateway" || template == "/health" {
					want = "" // each has a /health; the gateway's is the one that is seen from outside
				}
				require.Equal(t, want, got.header.Get("X-Service"), "%s %s of %s", method, template, name)
			}
		}
	}
}

func TestEveryRuleHasADocumentedPath(t *testing.T) {
	t.Parallel()
	for _, rule := range routes.Public() {
		covered := 0
		for template := range load(t, sources()[rule.Service]).Paths.Map() {
			if rule.Covers(sample(template)) {
				covered++
			}
		}
		require.Positive(t, covered, "%s %s leads to nothing", rule.Service, rule.Pattern)
	}
}

func TestDocumentsAreValidAndShownWhole(t *testing.T) {
	t.Parallel()
	for name, source := range sources() {
		doc := load(t, source)
		require.NoError(t, doc.Validate(context.Background(), openapi3.EnableExamplesValidation()), name)
		ids := map[string]bool{}
		for path, item := range doc.Paths.Map() {
			for method, operation := range item.Operations() {
				require.Len(t, operation.Tags, 1, "%s %s: the page shows an operation under its one tag", method, path)
				require.NotNil(t, doc.Tags.Get(operation.Tags[0]), "%s %s", method, path)
				require.NotEmpty(t, operation.OperationID, "%s %s", method, path)
				require.False(t, ids[operation.OperationID], operation.OperationID)
				ids[operation.OperationID] = true
			}
		}
	}
}

func TestOwnDocumentIsTheSourceAsJSON(t *testing.T) {
	t.Parallel()
	fromJSON, err := openapi3.NewLoader().LoadFromData(gateway.Document())
	require.NoError(t, err)
	want, err := load(t, "openapi.yaml").MarshalJSON()
	require.NoError(t, err)
	got, err := fromJSON.MarshalJSON()
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))
}

func TestOwnRoutesAreAsDocumented(t *testing.T) {
	t.Parallel()
	doc := load(t, "openapi.yaml")
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	ready := httpserver.NewReadiness(map[string]func(context.Context) error{"auth-svc": func(context.Context) error { return nil }})
	draining := httpserver.NewReadiness(nil)
	draining.Drain()
	open, closing := serve(t, options(ready)), serve(t, options(draining))
	tests := map[string]struct {
		address, method, path string
		status                int
		body                  string
	}{
		"health":             {open, "GET", "/health", 200, `{"status":"healthy","timestamp":"2026-11-24T08:00:00.123Z","version":"1.2.3"}`},
		"ready":              {open, "GET", "/readyz", 200, `{"status":"ready","checks":{"auth-svc":"ok"}}`},
		"draining":           {closing, "GET", "/readyz", 503, `{"status":"draining","checks":{}}`},
		"a service's":        {open, "GET", "/openapi/chat-svc.json", 200, `{"openapi":"3.1.0","info":{},"paths":{}}`},
		"the gateway's own":  {open, "GET", "/openapi/gateway.json", 200, ""},
		"an unknown one":     {open, "GET", "/openapi/mail.json", 404, ""},
		"the page":           {open, "GET", "/docs", 200, ""},
		"its style":          {open, "GET", "/docs/docs.css", 200, ""},
		"its script":         {open, "GET", "/docs/docs.js", 200, ""},
		"POST to health":     {open, "POST", "/health", 405, ""},
		"OPTIONS of ready":   {open, "OPTIONS", "/readyz", 405, ""},
		"DELETE of the page": {open, "DELETE", "/docs", 405, ""},
		"PUT of a document":  {open, "PUT", "/openapi/auth-svc.json", 405, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, tt.address, tt.method, tt.path)

			require.Equal(t, tt.status, got.status)
			if tt.body != "" {
				require.Equal(t, tt.body, got.body)
			}
			validate(t, router, tt.path, got)
		})
	}
}

// validate checks an answer against the document, as the answer to a GET.
func validate(t *testing.T, router routers.Router, path string, got answer) {
	t.Helper()
	for _, media := range []string{"text/html", "text/css", "text/javascript"} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.PlainBodyDecoder)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+path, nil)
	require.NoError(t, err)
	route, params, err := router.FindRoute(req)
	require.NoError(t, err)
	opts := &openapi3filter.Options{IncludeResponseStatus: true}
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: opts},
		Status:                 got.status, Header: got.header, Options: opts,
		Body: io.NopCloser(bytes.NewBufferString(got.body)),
	}))
}

func TestHeadAnswersWithoutABody(t *testing.T) {
	t.Parallel()
	address := serve(t, options(httpserver.NewReadiness(nil)))
	for _, path := range []string{"/health", "/readyz", "/docs", "/openapi/auth-svc.json"} {
		got, full := ask(t, address, "HEAD", path), ask(t, address, "GET", path)
		require.Equal(t, http.StatusOK, got.status, path)
		require.Empty(t, got.body, path)
		require.Equal(t, full.header.Get("Content-Length"), got.header.Get("Content-Length"), path)
	}
}

func TestThePageNeedsNothingFromOutside(t *testing.T) {
	t.Parallel()
	address := serve(t, options(httpserver.NewReadiness(nil)))
	page := ask(t, address, "GET", "/docs")
	require.Contains(t, page.header.Get("Content-Security-Policy"), "default-src 'none'")
	for _, name := range []string{"auth-svc", "chat-svc", "gateway"} {
		require.Contains(t, page.body, `data-document="`+name+`"`)
	}
	require.Less(t, strings.Index(page.body, "chat-svc.json"), strings.Index(page.body, "gateway.json"), "the gateway comes last")
	everything := page.body + ask(t, address, "GET", "/docs/docs.css").body + ask(t, address, "GET", "/docs/docs.js").body
	for name, forbidden := range map[string]string{
		"an address elsewhere":            `(https?:)?//[a-z0-9-]+\.[a-z]`,
		"a style that the policy refuses": ` style=`,
		"a script in the page":            `<script>|\son[a-z]+=`,
		"text made into markup":           `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(`,
	} {
		require.NotRegexp(t, forbidden, everything, name)
	}
}

func TestDocumentGivesACopy(t *testing.T) {
	t.Parallel()
	clear(gateway.Document())
	source, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	require.Equal(t, string(source), string(gateway.Document()))
}
