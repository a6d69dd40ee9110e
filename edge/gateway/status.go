package gateway

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

// health says that the process answers, in the form that each service uses.
func health(version string, now func() time.Time) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		answer(ctx, http.StatusOK, struct {
			Status    string          `json:"status"`
			Timestamp httpserver.Time `json:"timestamp"`
			Version   string          `json:"version"`
		}{"healthy", httpserver.Time(now()), version})
	}
}

// readyz says whether requests should be sent here, and how the things that
// the services depend on are: 200 while ready, whatever they are; 503 while
// draining.
func readyz(ready *httpserver.Readiness) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		details, ok := ready.Check(ctx)
		status, word := http.StatusOK, "ready"
		if !ok {
			status, word = http.StatusServiceUnavailable, "draining"
		}
		answer(ctx, status, struct {
			Status string            `json:"status"`
			Checks map[string]string `json:"checks"`
		}{word, details})
	}
}

func answer(ctx *fasthttp.RequestCtx, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		httpserver.WriteFault(ctx, fault.ErrInternal.Because(err))
		return
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.SetBody(raw)
}
