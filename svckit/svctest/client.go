package svctest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"chatplatform.io/svckit/httpserver"
)

const (
	callWait  = time.Minute
	bodyLimit = 8 << 20
)

// A Client calls a service over a real loopback connection and holds every
// request and response to the service's OpenAPI document.
type Client struct {
	*Document
	// URL is where the service listens, without a slash at the end, for calls
	// that need another client: streams, broken requests.
	URL string

	http *http.Client
}

// NewClient serves a handler until the test ends and gives a client to it. To
// add up coverage over several clients, parse the document once and take its
// clients.
func NewClient(t testing.TB, handler fasthttp.RequestHandler, openapi []byte) *Client {
	t.Helper()
	document, err := ParseDocument(openapi)
	require.NoError(t, err)
	return document.Client(t, handler)
}

// Client serves a handler until the test ends and gives a client to it.
func (d *Document) Client(t testing.TB, handler fasthttp.RequestHandler) *Client {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- httpserver.Serve(ctx, httpserver.ServeOptions{Logger: slog.New(slog.DiscardHandler), Grace: callWait},
			httpserver.Door{Listener: ln, Handler: handler})
	}()

	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		require.NoError(t, <-served)
	})
	return &Client{
		Document: d,
		URL:      "http://" + ln.Addr().String(),
		http: &http.Client{
			Transport:     transport,
			Timeout:       callWait,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// An Option changes one call.
type Option func(*options)

type options struct {
	header   http.Header
	body     []byte
	bad      bool
	unrouted bool
}

// WithHeader sets a header.
func WithHeader(name, value string) Option {
	return func(o *options) { o.header.Set(name, value) }
}

// WithBearer sends a token.
func WithBearer(token string) Option { return WithHeader("Authorization", "Bearer "+token) }

// WithBasic sends a name and a secret.
func WithBasic(name, secret string) Option {
	return func(o *options) {
		var r http.Request
		r.Header = o.header
		r.SetBasicAuth(name, secret)
	}
}

// WithForm sends form values in place of the body.
func WithForm(values url.Values) Option {
	return WithRaw("application/x-www-form-urlencoded", []byte(values.Encode()))
}

// WithRaw sends bytes of a media type in place of the body.
func WithRaw(mediaType string, body []byte) Option {
	return func(o *options) {
		o.body = body
		o.header.Set("Content-Type", mediaType)
	}
}

// BadRequest marks a request that is meant to break the document: it is not
// held to it. The response still is.
func BadRequest() Option { return func(o *options) { o.bad = true } }

// Unrouted marks a request to a path or with a method that the document does
// not have; the test fails when it does. The response is held to nothing.
func Unrouted() Option { return func(o *options) { o.unrouted = true } }

// Call sends body as JSON (nil: no body) and waits up to a minute for the whole
// answer. A path holds its query. The test fails when there is no answer, or
// the document is broken by either side.
func (c *Client) Call(t testing.TB, method, path string, body any, opts ...Option) *Response {
	t.Helper()
	o := options{header: http.Header{}}
	if body != nil {
		encoded, err := json.Marshal(body)
		require.NoError(t, err)
		WithRaw("application/json", encoded)(&o)
	}
	for _, set := range opts {
		set(&o)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, c.URL+path, bytes.NewReader(o.body))
	require.NoError(t, err)
	request.Header = o.header
	got, err := c.http.Do(request)
	require.NoError(t, err)
	content, err := io.ReadAll(io.LimitReader(got.Body, bodyLimit))
	require.NoError(t, errors.Join(err, got.Body.Close()))

	response := &Response{Status: got.StatusCode, Header: got.Header, Body: content}
	c.hold(t, request, o.body, response, o)
	return response
}

// A Response is a whole answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Into decodes the body.
func (r *Response) Into(t testing.TB, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.Body, v), "%d %s", r.Status, r.Body)
}

// Get finds a value in a JSON body by a path of keys and indexes, such as
// "error.code" or "keys.0.name". It is nil when any part is absent; numbers
// are float64.
func (r *Response) Get(path string) any {
	var value any
	if json.Unmarshal(r.Body, &value) != nil {
		return nil
	}
	for part := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// Text is Get for a string; it is empty when there is none.
func (r *Response) Text(path string) string {
	text, _ := r.Get(path).(string)
	return text
}
