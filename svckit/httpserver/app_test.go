package httpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
	"chatplatform.io/svckit/svctest"
)

// newApp makes an application with one method of the RPC family.
func newApp(t *testing.T, timeout time.Duration) (*fiber.App, *svctest.LogBuffer, *prometheus.Registry) {
	t.Helper()
	logger, logs := svctest.Logs(t)
	registry := prometheus.NewRegistry()
	return httpserver.NewApp(httpserver.Options{
		Logger: logger, Registry: registry, Tracer: noop.NewTracerProvider().Tracer(""), Timeout: timeout, RPC: []string{"method"},
		Rephrase: map[string]func(*fiber.Ctx, error) error{
			"/rephrased": func(_ *fiber.Ctx, err error) error { return httpserver.AsOAuth(err, "invalid_request") },
		},
	}), logs, registry
}

type answer struct {
	status int
	header http.Header
	body   string
}

func call(t *testing.T, app *fiber.App, method, path, body string, header ...string) answer {
	t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	r, err := app.Test(request, 10_000)
	require.NoError(t, err)
	content, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	return answer{r.StatusCode, r.Header, string(content)}
}

func TestErrorsBecomeAnswers(t *testing.T) {
	t.Parallel()
	app, logs, _ := newApp(t, time.Minute)
	fail := errors.New("the password of the database is 1234")
	fails := map[string]error{
		"/conflict": fmt.Errorf("make x: %w", fault.ErrConflict.With("field", "name")), "/internal": fail,
		"/unavailable": fault.ErrUnavailable.Because(fail), "/limited": fault.ErrRateLimited.After(1500 * time.Millisecond),
		"/unauthenticated": fault.ErrUnauthenticated, "/api/method": fault.ErrNotFound, "/rephrased": fault.Field("x", `a "quote" \ ü`),
		"/deadline": fmt.Errorf("find: %w", context.DeadlineExceeded),
	}
	for path, err := range fails {
		app.Post(path, func(*fiber.Ctx) error { return err })
	}
	app.Post("/panic", func(*fiber.Ctx) error { panic("a mistake") })
	app.Post("/index", func(c *fiber.Ctx) error { return c.SendStatus([]int{}[len(c.Path())]) })
	tests := map[string]struct {
		path   string
		status int
		body   string
		header string // "name: value"
	}{
		"a declared fault":           {"/conflict", 409, `{"error":{"code":"CONFLICT","message":"This already exists or is in use.","details":{"field":"name"},"request_id":"id-1"}}`, ""},
		"anything else":              {"/internal", 500, `"code":"INTERNAL_ERROR"`, ""},
		"a panic":                    {"/panic", 500, `"request_id":"id-1"`, ""},
		"another panic":              {"/index", 500, `"code":"INTERNAL_ERROR"`, ""},
		"unavailable":                {"/unavailable", 503, `"code":"UNAVAILABLE"`, "Retry-After: 1"},
		"a deadline":                 {"/deadline", 503, `"code":"UNAVAILABLE"`, "Retry-After: 1"},
		"a limit, rounded up":        {"/limited", 429, `"code":"RATE_LIMIT_EXCEEDED"`, "Retry-After: 2"},
		"no credential":              {"/unauthenticated", 401, `"code":"UNAUTHORIZED"`, `WWW-Authenticate: Bearer realm="chatplatform"`},
		"a method of the RPC family": {"/api/method", 404, `{"ok":false,"error_code":404,"description":"not_found: There is nothing here that you can see."}`, ""},
		"an unknown one":             {"/api/other", 404, `{"ok":false,"error_code":404,"description":"not_found: There is no POST /api/other here."}`, ""},
		"an unknown path":            {"/other", 404, `"code":"NOT_FOUND"`, ""},
		"rephrased":                  {"/rephrased", 400, `{"error":"invalid_request","error_description":"x: a 'quote' ' '"}`, "Cache-Control: no-store"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			r := call(t, app, http.MethodPost, tt.path, "", "X-Request-Id", "id-1")
			require.Equal(t, tt.status, r.status, r.body)
			require.Contains(t, r.body, tt.body)
			require.NotContains(t, r.body, "1234")
			require.Equal(t, "application/json", r.header.Get("Content-Type"))
			require.Equal(t, "id-1", r.header.Get("X-Request-Id"))
			if name, value, ok := strings.Cut(tt.header, ": "); ok {
				require.Equal(t, value, r.header.Get(name))
			}
		})
	}
	lines := logs.Find(t, "request failed")
	require.Len(t, lines, 5, "what is ours is logged once, with its cause")
	require.True(t, logs.Contains("the password"))
	require.True(t, logs.Contains("panic: a mistake"))
	require.Equal(t, "id-1", lines[0]["request_id"])
}

func TestLargeBodies(t *testing.T) {
	t.Parallel()
	app, _, _ := newApp(t, time.Minute)
	served := 0
	for _, path := range []string{"/rest", "/api/method", "/rephrased"} {
		app.Post(path, func(*fiber.Ctx) error { served++; return nil })
	}
	large := strings.Repeat("x", httpserver.MaxBody+1)
	for path, body := range map[string]string{
		"/rest": `"code":"PAYLOAD_TOO_LARGE"`, "/api/method": `"error_code":413`, "/rephrased": `"error":"invalid_request"`,
		"/nowhere": `"code":"PAYLOAD_TOO_LARGE"`,
	} {
		r := call(t, app, http.MethodPost, path, large)
		require.Equal(t, http.StatusRequestEntityTooLarge, r.status, path)
		require.Contains(t, r.body, body)
	}
	require.Zero(t, served)
	require.Equal(t, http.StatusOK, call(t, app, http.MethodPost, "/rest", large[:httpserver.MaxBody]).status)
}

func TestRequestsAreCountedByPattern(t *testing.T) {
	t.Parallel()
	app, _, registry := newApp(t, time.Minute)
	app.Get("/things/:id", func(c *fiber.Ctx) error { return c.SendString(c.Params("id")) })
	for i := range 50 {
		call(t, app, http.MethodGet, fmt.Sprintf("/things/%d", i), "")
		call(t, app, http.MethodGet, fmt.Sprintf("/nothing/%d", i), "")
	}
	require.Equal(t, map[string]float64{"/things/:id": 50, "unmatched": 50}, counted(t, registry, "route"))
}

// counted gives the requests counted, by the value of a label.
func counted(t *testing.T, registry *prometheus.Registry, label string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "http_requests_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, l := range metric.GetLabel() {
				if l.GetName() == label {
					counts[l.GetValue()] += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return counts
}

func TestHandlersHaveADeadlineAndATrace(t *testing.T) {
	t.Parallel()
	app, _, _ := newApp(t, 50*time.Millisecond)
	app.Get("/slow", func(c *fiber.Ctx) error { <-c.UserContext().Done(); return c.UserContext().Err() })
	app.Get("/trace", func(c *fiber.Ctx) error {
		return c.SendString(trace.SpanContextFromContext(c.UserContext()).TraceID().String())
	})
	require.Equal(t, http.StatusServiceUnavailable, call(t, app, http.MethodGet, "/slow", "").status)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	require.Equal(t, id, call(t, app, http.MethodGet, "/trace", "", "Traceparent", "00-"+id+"-00f067aa0ba902b7-01").body)
}

func TestStringsOfARequestMayBeKept(t *testing.T) {
	t.Parallel()
	app, _, _ := newApp(t, time.Minute)
	var kept []string
	app.Get("/keep/:text", func(c *fiber.Ctx) error {
		kept = append(kept, c.Params("text"), c.Query("q"), c.Get("X-Text"))
		return nil
	})
	for _, text := range []string{"aaaa", "bbbb", "cccc"} {
		call(t, app, http.MethodGet, "/keep/"+text+"?q="+text, "", "X-Text", text)
	}
	require.Equal(t, []string{"aaaa", "aaaa", "aaaa", "bbbb", "bbbb", "bbbb", "cccc", "cccc", "cccc"}, kept)
}

func TestClientIP(t *testing.T) {
	t.Parallel()
	// The test's connection comes from 0.0.0.0.
	tests := map[string]struct {
		trusted   string
		forwarded []string
		want      string
	}{
		"nobody is trusted":                 {"", []string{"203.0.113.1"}, "0.0.0.0"},
		"the client is no proxy":            {"10.0.0.0/8", []string{"203.0.113.1"}, "0.0.0.0"},
		"a proxy":                           {"0.0.0.0/32", []string{"203.0.113.1"}, "203.0.113.1"},
		"a proxy that names nobody":         {"0.0.0.0/32", nil, "0.0.0.0"},
		"what the client wrote is not read": {"0.0.0.0/32", []string{"1.1.1.1, 203.0.113.1"}, "203.0.113.1"},
		"two proxies":                       {"0.0.0.0/32,10.0.0.0/8", []string{"1.1.1.1, 203.0.113.1, 10.1.2.3"}, "203.0.113.1"},
		"a proxy that adds a line":          {"0.0.0.0/32", []string{"1.1.1.1", "203.0.113.1"}, "203.0.113.1"},
		"only proxies":                      {"0.0.0.0/32,10.0.0.0/8", []string{"10.0.0.1"}, "10.0.0.1"},
		"garbage":                           {"0.0.0.0/32", []string{"garbage"}, "0.0.0.0"},
		"garbage behind an address":         {"0.0.0.0/32,10.0.0.0/8", []string{"garbage, 10.0.0.1"}, "10.0.0.1"},
		"IPv6":                              {"0.0.0.0/32", []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv4 in IPv6 is IPv4":              {"0.0.0.0/32", []string{"::ffff:203.0.113.1"}, "203.0.113.1"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			var trusted []netip.Prefix
			for _, prefix := range strings.Split(tt.trusted, ",") {
				if prefix != "" {
					trusted = append(trusted, netip.MustParsePrefix(prefix))
				}
			}
			app, _, _ := newApp(t, time.Minute)
			app.Get("/", func(c *fiber.Ctx) error { return c.SendString(httpserver.ClientIP(c, trusted).String()) })
			var header []string
			for _, line := range tt.forwarded {
				header = append(header, "X-Forwarded-For", line)
			}
			require.Equal(t, tt.want, call(t, app, http.MethodGet, "/", "", header...).body)
		})
	}
}

func TestAProxyThatNobodyNamedIsToldOnce(t *testing.T) {
	t.Parallel()
	for outcome, tt := range map[string]struct {
		trusted []netip.Prefix
		lines   int
	}{
		"a stranger": {nil, 1}, "a proxy that was named": {[]netip.Prefix{netip.MustParsePrefix("0.0.0.0/32")}, 0},
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			logger, logs := svctest.Logs(t)
			app := httpserver.NewApp(httpserver.Options{
				Logger: logger, Registry: prometheus.NewRegistry(), Tracer: noop.NewTracerProvider().Tracer(""),
				Timeout: time.Minute, TrustedProxies: tt.trusted,
			})
			for range 3 {
				call(t, app, http.MethodGet, "/", "", "X-Forwarded-For", "203.0.113.1")
			}
			require.Equal(t, tt.lines, strings.Count(logs.String(), "TRUSTED_PROXIES"))
		})
	}
}
