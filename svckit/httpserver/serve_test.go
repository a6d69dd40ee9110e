package httpserver_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"chatplatform.io/svckit/httpserver"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// serve answers until stop, which gives Serve's error.
func serve(t *testing.T, o httpserver.ServeOptions, handler fasthttp.RequestHandler) (address string, stop func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o.Logger = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	served := make(chan error, 1)
	go func() { served <- httpserver.Serve(ctx, o, httpserver.Door{Listener: ln, Handler: handler}) }()
	return ln.Addr().String(), func() error { cancel(); return <-served }
}

// raw sends bytes and reads all that comes back.
func raw(t *testing.T, address, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = conn.Write([]byte(request))
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer)
}

func TestWhatIsNoRequestIsAnsweredInJSON(t *testing.T) {
	t.Parallel()
	address, stop := serve(t, httpserver.ServeOptions{Grace: time.Minute}, func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("served") })
	tests := map[string]struct{ request, status, code string }{
		"garbage":               {"garbage\r\n\r\n", "400", "INVALID_REQUEST"},
		"a long head":           {"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 20<<10) + "\r\n\r\n", "431", "INVALID_REQUEST"},
		"a long announced body": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nxxx", "413", "PAYLOAD_TOO_LARGE"},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			answer := raw(t, address, tt.request)
			require.True(t, strings.HasPrefix(answer, "HTTP/1.1 "+tt.status), answer)
			require.Contains(t, answer, `"code":"`+tt.code+`"`)
			require.Contains(t, answer, "X-Request-Id: ")
			require.Contains(t, answer, "application/json")
		})
	}
	require.NoError(t, stop())
}

func TestWhatNoHandlerCanServeIsAnsweredByItsFamily(t *testing.T) {
	t.Parallel()
	app, _, registry := newApp(t, time.Minute)
	served := func(c *fiber.Ctx) error { return c.SendString("served") }
	app.Post("/api/method", served)
	app.Post("/api/messages", served)
	app.Post("/rephrased", served)
	address, stop := serve(t, httpserver.ServeOptions{Grace: time.Minute}, app.Handler())
	head := func(method, path string, lines ...string) string {
		return method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
	}
	large := strings.Repeat("x", 3*httpserver.MaxBody)
	announced := func(path string) string { return head("POST", path, "Content-Length: 3145728") + large }
	chunked := func(path string) string {
		return head("POST", path, "Transfer-Encoding: chunked") + "300000\r\n" + large + "\r\n0\r\n\r\n"
	}
	tests := map[string]struct{ request, status, body string }{
		"a large body for an RPC method":             {announced("/api/method"), "413", `{"ok":false,"error_code":413,"description":"invalid_argument: `},
		"the same in chunks":                         {chunked("/api/method"), "413", `{"ok":false,"error_code":413,`},
		"for an RPC method that there is not":        {chunked("/api/other"), "413", `{"ok":false,"error_code":413,`},
		"for a REST path of one segment":             {chunked("/api/messages"), "413", `"code":"PAYLOAD_TOO_LARGE"`},
		"for a path that nobody serves":              {announced("/nowhere/else"), "413", `"code":"PAYLOAD_TOO_LARGE"`},
		"for a path that answers as OAuth does":      {announced("/rephrased"), "413", `"error":"invalid_request"`},
		"an unknown method for an RPC method":        {head("FOO", "/api/method", "Connection: close"), "405", `{"ok":false,"error_code":405,`},
		"an unknown method for a REST path":          {head("post", "/api/messages", "Connection: close"), "405", `"code":"METHOD_NOT_ALLOWED"`},
		"an unknown method for a path nobody serves": {head("FOO", "/nowhere", "Connection: close"), "404", "There is no FOO /nowhere here."},
	}
	for outcome, tt := range tests {
		t.Run(outcome, func(t *testing.T) {
			answer := raw(t, address, tt.request)
			require.True(t, strings.HasPrefix(answer, "HTTP/1.1 "+tt.status), answer)
			require.Contains(t, answer, tt.body)
			require.Contains(t, answer, "X-Request-Id: ")
			if tt.status == "405" {
				require.Contains(t, answer, "Allow: POST\r\n")
			}
		})
	}
	require.NoError(t, stop())
	require.Equal(t, map[string]float64{"413": 6, "405": 2, "404": 1}, counted(t, registry, "status"))
}

func TestADrainLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	ready := httpserver.NewReadiness(nil)
	address, stop := serve(t, httpserver.ServeOptions{Ready: ready, Grace: time.Minute}, func(ctx *fasthttp.RequestCtx) {
		close(entered)
		<-leave
		ctx.SetBodyString("done")
	})
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	require.NoError(t, err)
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	require.Eventually(t, func() bool { _, ok := ready.Check(t.Context()); return !ok }, 30*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		other, err := net.Dial("tcp", address)
		if err == nil {
			_ = other.Close()
		}
		return err != nil
	}, 30*time.Second, 5*time.Millisecond, "no new connections are taken")
	close(leave)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, errors.Join(err, answer.Body.Close()))
	require.Equal(t, "done", string(body))
	require.True(t, answer.Close)
	require.NoError(t, <-stopped)
}

func TestADrainHasAnEnd(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	address, stop := serve(t, httpserver.ServeOptions{Grace: 50 * time.Millisecond}, func(*fasthttp.RequestCtx) {
		close(entered)
		<-leave
	})
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	require.NoError(t, err)
	<-entered
	require.ErrorContains(t, stop(), "still in flight")
	close(leave)
}

func TestAServerToldToStopBeforeItBegan(t *testing.T) {
	t.Parallel()
	for range 50 {
		_, stop := serve(t, httpserver.ServeOptions{Grace: time.Second}, func(*fasthttp.RequestCtx) {})
		require.NoError(t, stop())
	}
}

func TestADoorThatBreaksEndsAll(t *testing.T) {
	t.Parallel()
	good, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	err = httpserver.Serve(t.Context(), httpserver.ServeOptions{Logger: slog.New(slog.DiscardHandler), Grace: time.Second},
		httpserver.Door{Listener: good, Handler: func(*fasthttp.RequestCtx) {}},
		httpserver.Door{Listener: broken{good}, Handler: func(*fasthttp.RequestCtx) {}})
	require.ErrorContains(t, err, "no more connections")
}

// broken is a listener that fails.
type broken struct{ net.Listener }

func (broken) Accept() (net.Conn, error) { return nil, errors.New("no more connections") }
