package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"chatplatform.io/edge/gateway"
	"chatplatform.io/edge/routes"
	"chatplatform.io/svckit/httpserver"
)

// fasthttp keeps its clock for ever, and a server's pool of workers for some
// seconds after it ended.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// stub answers with the name of the service that it stands for.
func stub(name routes.Service) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("text/plain")
		ctx.Response.Header.Set("X-Service", string(name))
		fmt.Fprintf(ctx, "%s %s", ctx.Method(), ctx.URI().PathOriginal())
	}
}

func options(ready *httpserver.Readiness) gateway.Options {
	return gateway.Options{
		Services:  map[routes.Service]fasthttp.RequestHandler{routes.Auth: stub(routes.Auth), routes.Chat: stub(routes.Chat)},
		Documents: map[routes.Service][]byte{routes.Auth: []byte(`{"openapi":"3.1.0","info":{},"paths":{}}`), routes.Chat: []byte(`{"openapi":"3.1.0","info":{},"paths":{}}`)},
		Ready:     ready,
		Version:   "1.2.3",
		Now:       func() time.Time { return time.Date(2026, 11, 24, 8, 0, 0, 123456789, time.UTC) },
	}
}

// serve starts a real server with the gateway in it and gives its address.
func serve(t *testing.T, o gateway.Options) string {
	t.Helper()
	handler, err := gateway.New(o)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	quiet := slog.New(slog.DiscardHandler)
	go func() {
		done <- httpserver.Serve(ctx, httpserver.ServeOptions{Logger: quiet, Grace: 5 * time.Second}, httpserver.Door{Listener: ln, Handler: handler})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return ln.Addr().String()
}

type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request whose path stands on the wire exactly as given.
func ask(t *testing.T, address, method, path string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: chat.example.com\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func TestPathsThatNobodyServesAreAnsweredByTheirFamily(t *testing.T) {
	t.Parallel()
	address := serve(t, options(httpserver.NewReadiness(nil)))
	tests := map[string]struct {
		method, path string
		rpc          bool
	}{
		"a POST to one segment":             {"POST", "/api/getWeather", true},
		"a POST to an escaped segment":      {"POST", "/api/%67etMe", true},
		"a POST to dots":                    {"POST", "/api/..", true},
		"a POST to two segments":            {"POST", "/api/get/weather", false},
		"a GET of one segment":              {"GET", "/api/getWeather", false},
		"the root":                          {"GET", "/", false},
		"metrics":                           {"GET", "/metrics", false},
		"internal paths":                    {"POST", "/internal/introspect", false},
		"the documents without a name":      {"GET", "/openapi/", false},
		"a document that does not exist":    {"GET", "/openapi/mail.json", false},
		"a document by way of dots":         {"GET", "/openapi/../openapi/auth-svc.json", false},
		"the page with a slash behind it":   {"GET", "/docs/", false},
		"the page's folder":                 {"GET", "/docs/docs.html", false},
		"readiness with a slash behind it":  {"GET", "/readyz/", false},
		"liveness":                          {"GET", "/livez", false},
		"everything at once":                {"OPTIONS", "*", false},
		"another host in the request line":  {"GET", "http://auth-svc:9090/internal/changes", false},
		"another host, read as a path only": {"GET", "//auth-svc/api/messages", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, address, tt.method, tt.path)

			require.Equal(t, http.StatusNotFound, got.status)
			require.Equal(t, "application/json", got.header.Get("Content-Type"))
			require.NotEmpty(t, got.header.Get("X-Request-Id"))
			if tt.rpc {
				require.Contains(t, got.body, `{"ok":false,"error_code":404,"description":"not_found: `)
				return
			}
			var body struct{ Error struct{ Code string } }
			require.NoError(t, json.Unmarshal([]byte(got.body), &body))
			require.Equal(t, "NOT_FOUND", body.Error.Code)
		})
	}
}

func TestNoPathLeadsPastTheTable(t *testing.T) {
	t.Parallel()
	address := serve(t, options(httpserver.NewReadiness(nil)))
	ups := []string{"..", "%2e%2e", "%2E.", ".%2e", "..;", "..%00", "%252e%252e", ".%20.", `..\..`, "..%5c..", "..%2f.."}
	for _, start := range []string{"/api/messages", "/api/auth", "/api/agents/x/keys", "/.well-known/jwks.json", "/docs", "/openapi"} {
		for _, up := range ups {
			for _, goal := range []string{"internal/introspect", "metrics", "readyz"} {
				path := start + "/" + up + "/" + up + "/" + up + "/" + goal
				got := ask(t, address, "GET", path)
				require.Equal(t, http.StatusNotFound, got.status, path)
				require.Empty(t, got.header.Get("X-Service"), path)
			}
		}
	}
	for _, path := range []string{
		"/internal", "/internal/", "//internal/changes", "/./internal/changes", "/%69nternal/changes", "/Internal/changes",
		"/api//messages", "/api/./messages", "/api/messages%2f..", "/api%2Fmessages", "/%2e/metrics", "/metrics/", "//metrics",
	} {
		got := ask(t, address, "GET", path)
		require.Equal(t, http.StatusNotFound, got.status, path)
		require.Empty(t, got.header.Get("X-Service"), path)
	}
}

func TestRequestsReachTheServiceAsTheyCame(t *testing.T) {
	t.Parallel()
	address := serve(t, options(httpserver.NewReadiness(nil)))
	tests := map[string]struct {
		method, path, body string
		service            routes.Service
	}{
		"any method":                       {"PATCH", "/api/agents/x/profile", "PATCH /api/agents/x/profile", routes.Auth},
		"a preflight":                      {"OPTIONS", "/api/messages", "OPTIONS /api/messages", routes.Chat},
		"a query stays out of the path":    {"GET", "/api/conversations?limit=5&x=/../metrics", "GET /api/conversations", routes.Chat},
		"a slash at the end is not cut":    {"GET", "/api/messages/", "GET /api/messages/", routes.Chat},
		"a host in the request line":       {"GET", "http://elsewhere/api/messages", "GET /api/messages", routes.Chat},
		"HEAD has the headers and no body": {"HEAD", "/api/messages", "", routes.Chat},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, address, tt.method, tt.path)

			require.Equal(t, http.StatusOK, got.status)
			require.Equal(t, string(tt.service), got.header.Get("X-Service"))
			require.Equal(t, tt.body, got.body)
		})
	}
}

func TestServicesAnswerForTheirOwnPaths(t *testing.T) {
	t.Parallel()
	chat := httpserver.NewApp(httpserver.Options{
		Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
		Tracer: noop.NewTracerProvider().Tracer(""), Timeout: 5 * time.Second,
	})
	chat.Get("/api/messages/:id", func(c *fiber.Ctx) error { return c.SendString("message " + c.Params("id")) })
	o := options(httpserver.NewReadiness(nil))
	o.Services[routes.Chat] = chat.Handler()
	address := serve(t, o)

	found := ask(t, address, "GET", "/api/messages/msg_1")
	require.Equal(t, http.StatusOK, found.status)
	require.Equal(t, "message msg_1", found.body)

	wrong := ask(t, address, "POST", "/api/messages/msg_1")
	require.Equal(t, http.StatusMethodNotAllowed, wrong.status)
	require.Contains(t, wrong.header.Get("Allow"), "GET")
	require.Contains(t, wrong.body, `"code":"METHOD_NOT_ALLOWED"`)

	absent := ask(t, address, "GET", "/api/messages/a/b")
	require.Equal(t, http.StatusNotFound, absent.status)
	require.Contains(t, absent.body, `"code":"NOT_FOUND"`)
	require.Len(t, absent.header.Values("X-Request-Id"), 1)
	require.Contains(t, absent.body, absent.header.Get("X-Request-Id"))
}

func TestRequestsThatNoHandlerCanServeAreAnsweredByTheirFamily(t *testing.T) {
	t.Parallel()
	auth := httpserver.NewApp(httpserver.Options{
		Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), RPC: []string{"getMe"},
		Tracer: noop.NewTracerProvider().Tracer(""), Timeout: 5 * time.Second,
	})
	auth.Post("/api/getMe", func(c *fiber.Ctx) error { return c.SendString("served") })
	o := options(httpserver.NewReadiness(nil))
	o.Services[routes.Auth] = auth.Handler()
	address := serve(t, o)

	wrong := ask(t, address, "FOO", "/api/getMe")
	require.Equal(t, http.StatusMethodNotAllowed, wrong.status)
	require.Equal(t, "POST", wrong.header.Get("Allow"))
	require.Contains(t, wrong.body, `{"ok":false,"error_code":405,`)

	page := ask(t, address, "FOO", "/docs")
	require.Equal(t, http.StatusMethodNotAllowed, page.status)
	require.Equal(t, "GET, HEAD", page.header.Get("Allow"))

	absent := ask(t, address, "FOO", "/nowhere")
	require.Equal(t, http.StatusNotFound, absent.status)
	require.Contains(t, absent.body, "There is no FOO /nowhere here.")

	large := func(path string, length int64) (status int, body string) {
		reader := io.LimitReader(endless{}, 3*httpserver.MaxBody)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+path, reader)
		require.NoError(t, err)
		request.ContentLength = length // -1: in chunks
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(request)
		require.NoError(t, err)
		raw, err := io.ReadAll(resp.Body)
		require.NoError(t, errors.Join(err, resp.Body.Close()))
		return resp.StatusCode, string(raw)
	}
	for _, length := range []int64{3 * httpserver.MaxBody, -1} {
		status, body := large("/api/getMe", length)
		require.Equal(t, http.StatusRequestEntityTooLarge, status)
		require.Contains(t, body, `{"ok":false,"error_code":413,`)

		status, body = large("/api/getWeather", length)
		require.Equal(t, http.StatusNotFound, status)
		require.Contains(t, body, `{"ok":false,"error_code":404,`)
	}
}

// endless is a reader of one letter.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestReadinessFollowsTheProcessAndShowsTheChecks(t *testing.T) {
	t.Parallel()
	ready := httpserver.NewReadiness(map[string]func(context.Context) error{
		"auth-svc": func(context.Context) error { return nil },
		"chat-svc": func(context.Context) error { return errors.New("the database is away") },
	})
	address := serve(t, options(ready))

	got := ask(t, address, "GET", "/readyz")
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, `{"status":"ready","checks":{"auth-svc":"ok","chat-svc":"unavailable"}}`, got.body)

	ready.Drain()
	got = ask(t, address, "GET", "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Contains(t, got.body, `"draining"`)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*gateway.Options)
		want   string
	}{
		"a service without a handler":    {func(o *gateway.Options) { delete(o.Services, routes.Chat) }, `"chat-svc", which has no handler`},
		"a document that is not JSON":    {func(o *gateway.Options) { o.Documents[routes.Chat] = []byte("openapi: 3.1.0") }, `"chat-svc" is not JSON`},
		"a document that is not written": {func(o *gateway.Options) { o.Documents[routes.Auth] = nil }, `"auth-svc" is not JSON`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(httpserver.NewReadiness(nil))
			tt.change(&o)

			_, err := gateway.New(o)

			require.ErrorContains(t, err, tt.want)
		})
	}
}

func FuzzGateway(f *testing.F) {
	for _, seed := range []string{
		"/api/messages", "/api/messages/../../internal/x", "/%69nternal", "//metrics", "/api/auth/%2e%2e/%2e%2e/metrics",
		"http://x/internal/y", "/api/messages?../..#x", "/docs", "*", "", "/api/agents/x/keys\\..\\..", "/api/auth/..;/",
	} {
		f.Add("GET", seed)
	}
	f.Add("POST", "/api/getMe")
	reached := ""
	note := func(ctx *fasthttp.RequestCtx) { reached = string(ctx.Path()) }
	o := options(httpserver.NewReadiness(nil))
	o.Services = map[routes.Service]fasthttp.RequestHandler{routes.Auth: note, routes.Chat: note}
	handler, err := gateway.New(o)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, method, uri string) {
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetMethod(method)
		ctx.Request.SetRequestURI(uri)
		reached = ""

		handler(&ctx)

		require.NotEmpty(t, ctx.Response.Header.Peek("X-Request-Id"))
		if reached == "" {
			require.Contains(t, []int{200, 404, 405}, ctx.Response.StatusCode())
			return
		}
		require.Equal(t, reached, string(ctx.URI().PathOriginal()), "read in two ways")
		require.True(t, strings.HasPrefix(reached, "/api/") || strings.HasPrefix(reached, "/.well-known/"), reached)
	})
}
