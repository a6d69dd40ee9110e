package httpserver

import (
	"crypto/rand"

	"github.com/valyala/fasthttp"
)

const (
	requestIDHeader = "X-Request-Id"
	requestIDMax    = 64
)

// RequestID is the id of the request in ctx: the client's own X-Request-Id
// where it is 1 to 64 characters of A-Z a-z 0-9 . _ -, otherwise a new random
// one. The answer carries it in the same header.
func RequestID(ctx *fasthttp.RequestCtx) string {
	if id := ctx.Response.Header.Peek(requestIDHeader); len(id) > 0 {
		return string(id)
	}
	id := string(ctx.Request.Header.Peek(requestIDHeader))
	if !validRequestID(id) {
		id = rand.Text()
	}
	ctx.Response.Header.Set(requestIDHeader, id)
	return id
}

// validRequestID keeps what clients send from breaking log lines.
func validRequestID(id string) bool {
	if id == "" || len(id) > requestIDMax {
		return false
	}
	for _, c := range []byte(id) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
