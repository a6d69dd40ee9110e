package httpserver

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"chatplatform.io/svckit/fault"
)

// statuses is the one table that makes HTTP of a fault, for every API family.
// kind is its word in the error bodies of the RPC family.
var statuses = map[fault.Kind]struct { //nolint:gochecknoglobals // a constant table
	status int
	kind   string
}{
	fault.Invalid:          {http.StatusBadRequest, "invalid_argument"},
	fault.Unauthenticated:  {http.StatusUnauthorized, "unauthenticated"},
	fault.Forbidden:        {http.StatusForbidden, "permission_denied"},
	fault.NotFound:         {http.StatusNotFound, "not_found"},
	fault.MethodNotAllowed: {http.StatusMethodNotAllowed, "invalid_argument"},
	fault.Conflict:         {http.StatusConflict, "already_exists"},
	fault.TooLarge:         {http.StatusRequestEntityTooLarge, "invalid_argument"},
	fault.UnsupportedMedia: {http.StatusUnsupportedMediaType, "invalid_argument"},
	fault.Unprocessable:    {http.StatusUnprocessableEntity, "invalid_argument"},
	fault.RateLimited:      {http.StatusTooManyRequests, "rate_limited"},
	fault.Internal:         {http.StatusInternalServerError, "internal"},
	fault.Unavailable:      {http.StatusServiceUnavailable, "unavailable"},
}

// Status is the HTTP status of a fault.
func Status(f *fault.Fault) int { return statuses[f.Kind].status }

// WriteFault answers with the error body of the REST families:
// {"error":{"code","message","details"?,"request_id"}} (docs/api/conventions.md).
func WriteFault(ctx *fasthttp.RequestCtx, f *fault.Fault) {
	type body struct {
		Code      string         `json:"code"`
		Message   string         `json:"message"`
		Details   map[string]any `json:"details,omitempty"`
		RequestID string         `json:"request_id"`
	}
	begin(ctx, f)
	write(ctx, map[string]body{"error": {f.Code, f.Message, f.Details, RequestID(ctx)}})
}

// RPCResult answers with the success of the RPC family:
// {"ok":true,"result":<result>} (docs/api/accounts-rpc.md).
func RPCResult(c *fiber.Ctx, result any) error {
	return c.JSON(struct {
		OK     bool `json:"ok"`
		Result any  `json:"result"`
	}{true, result})
}

// WriteRPCFault answers with the error body of the RPC family:
// {"ok":false,"error_code","description":"<kind>: <detail>"}
// (docs/api/accounts-rpc.md).
func WriteRPCFault(ctx *fasthttp.RequestCtx, f *fault.Fault) {
	type body struct {
		OK          bool   `json:"ok"`
		ErrorCode   int    `json:"error_code"`
		Description string `json:"description"`
	}
	begin(ctx, f)
	write(ctx, body{false, Status(f), Description(f)})
}

// Description is a fault in the words of the RPC family: "<kind>: <detail>".
func Description(f *fault.Fault) string { return statuses[f.Kind].kind + ": " + f.Message }

// AsOAuth has err answered as RFC 6749 §5.2 has it: {"error":<name>,
// "error_description"}, with the status and headers of the fault in it.
func AsOAuth(err error, name string) error { return &oauthError{err, name} }

type oauthError struct {
	error
	name string
}

func (e *oauthError) Unwrap() error { return e.error }

func writeOAuthFault(ctx *fasthttp.RequestCtx, f *fault.Fault, name string) {
	begin(ctx, f)
	ctx.Response.Header.Set("Cache-Control", "no-store")
	write(ctx, map[string]string{"error": name, "error_description": strings.Map(describing, f.Message)})
}

// describing keeps the characters that RFC 6749 §5.2 allows in a description.
func describing(r rune) rune {
	if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
		return '\''
	}
	return r
}

// begin sets what all error answers share: the status and the headers that
// tell a client when to come back and how to authenticate.
func begin(ctx *fasthttp.RequestCtx, f *fault.Fault) {
	ctx.Response.ResetBody()
	ctx.Response.SetStatusCode(Status(f))
	if f.RetryAfter > 0 {
		ctx.Response.Header.Set("Retry-After", RetryAfter(f.RetryAfter))
	}
	if f.Kind == fault.Unauthenticated && len(ctx.Response.Header.Peek("WWW-Authenticate")) == 0 {
		ctx.Response.Header.Set("WWW-Authenticate", `Bearer realm="chatplatform"`)
	}
}

// RetryAfter gives d in the whole seconds of a Retry-After header, rounded up
// and at least one (RFC 9110 §10.2.3).
func RetryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// IsRPC tells whether an unknown path is answered in the RPC family's
// envelope: a POST to one segment under /api is a method of that family.
func IsRPC(method, path string) bool {
	const prefix = "/api/"
	if method != http.MethodPost || len(path) <= len(prefix) || path[:len(prefix)] != prefix {
		return false
	}
	for i := len(prefix); i < len(path); i++ {
		if path[i] == '/' {
			return false
		}
	}
	return true
}

func write(ctx *fasthttp.RequestCtx, body any) {
	raw, err := json.Marshal(body)
	if err != nil { // details that have no JSON form are a mistake of ours
		raw = []byte(`{"error":{"code":"INTERNAL_ERROR","message":"The error could not be written."}}`)
	}
	ctx.Response.Header.SetContentType("application/json")
	ctx.Response.SetBodyRaw(raw)
}
