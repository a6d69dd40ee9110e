package svctest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
)

// A Document is an OpenAPI 3.1 document that calls are held to, and the record
// of which operations were called. It is safe for concurrent use.
type Document struct {
	spec   *openapi3.T
	router routers.Router
	filter *openapi3filter.Options

	mu     sync.Mutex
	called map[string]map[int]bool // "GET /path" → statuses
}

// ParseDocument reads an OpenAPI document, JSON or YAML, and refuses one that
// is not valid. Its servers are ignored: paths count from the root.
func ParseDocument(openapi []byte) (*Document, error) {
	spec, err := openapi3.NewLoader().LoadFromData(openapi)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	spec.Servers = nil
	if err := spec.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("the OpenAPI document is not valid: %w", err)
	}
	router, err := gorillamux.NewRouter(spec)
	if err != nil {
		return nil, fmt.Errorf("route by the OpenAPI document: %w", err)
	}
	for _, media := range []string{"text/html", "text/event-stream"} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.PlainBodyDecoder)
	}
	uuid := openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562)
	return &Document{
		spec:   spec,
		router: router,
		called: map[string]map[int]bool{},
		filter: &openapi3filter.Options{
			MultiError:                        true,
			IncludeResponseStatus:             true,
			RejectWhenRequestBodyNotSpecified: true,
			SkipSettingDefaults:               true,
			AuthenticationFunc:                openapi3filter.NoopAuthenticationFunc,
			SchemaValidationOptions: []openapi3.SchemaValidationOption{
				openapi3.EnableFormatValidation(), openapi3.WithStringFormatValidator("uuid", uuid),
			},
		},
	}, nil
}

// Operations lists every operation as "METHOD /path/{parameter}", sorted.
func (d *Document) Operations() []string {
	var all []string
	for path, item := range d.spec.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

// Uncovered lists the operations that no call went to, sorted.
func (d *Document) Uncovered() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(d.Operations(), func(operation string) bool { return len(d.called[operation]) > 0 })
}

// Statuses lists the statuses that an operation answered with, sorted.
func (d *Document) Statuses(operation string) []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	var statuses []int
	for status := range d.called[operation] {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses)
	return statuses
}

// hold fails the test unless request and response are as the document says.
func (d *Document) hold(t testing.TB, request *http.Request, sent []byte, response *Response, o options) {
	t.Helper()
	route, params, err := d.router.FindRoute(request)
	if o.unrouted {
		require.Error(t, err, "%s %s is in the document", request.Method, request.URL.Path)
		return
	}
	require.NoError(t, err, "%s %s", request.Method, request.URL.Path)
	d.record(route, response.Status)

	request.Body = io.NopCloser(bytes.NewReader(sent))
	input := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: params, Route: route, Options: d.filter,
	}
	if !o.bad {
		require.NoError(t, openapi3filter.ValidateRequest(t.Context(), input),
			"the request breaks the document: %s %s", request.Method, request.URL)
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: response.Status, Header: response.Header, Options: d.filter,
	}
	answer.SetBodyBytes(response.Body)
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), answer),
		"the response breaks the document: %s %s %d %s", request.Method, request.URL, response.Status, response.Body)
	if undescribed(route, response) {
		require.Empty(t, response.Body, "%s answers %d with a body that the document does not describe",
			strings.Join([]string{route.Method, route.Path}, " "), response.Status)
	}
}

// undescribed is a response of which the document names no content.
func undescribed(route *routers.Route, response *Response) bool {
	described := route.Operation.Responses.Status(response.Status)
	if described == nil {
		described = route.Operation.Responses.Default()
	}
	return described != nil && len(described.Value.Content) == 0
}

func (d *Document) record(route *routers.Route, status int) {
	operation := route.Method + " " + route.Path
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.called[operation] == nil {
		d.called[operation] = map[int]bool{}
	}
	d.called[operation][status] = true
}
