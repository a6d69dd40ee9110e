package httpserver_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/httpserver"
)

type nested struct {
	Name  string `json:"name"`
	Count *int   `json:"count"`
	Inner struct {
		Flags []bool  `json:"flags"`
		Share float64 `json:"share"`
	} `json:"inner"`
}

type bodyCase struct {
	body, media    string
	status         int
	field, message string
}

func bodies() map[string]bodyCase {
	return map[string]bodyCase{
		"an object":            {`{"name":"x","count":1}`, "application/json", 200, "", ""},
		"with a charset":       {`{}`, "application/json; charset=utf-8", 200, "", ""},
		"the type in capitals": {`{}`, "Application/JSON", 200, "", ""},
		"unknown fields":       {`{"other":[1]}`, "application/json", 200, "", ""},
		"null for a field":     {`{"name":null}`, "application/json", 200, "", ""},
		"leading spaces":       {"\r\n\t {}", "application/json", 200, "", ""},
		"a number for a text":  {`{"name":1}`, "application/json", 400, "name", "name: must be a string, not a JSON number"},
		"a text for a number":  {`{"count":"1"}`, "application/json", 400, "count", "count: must be a whole number, not a JSON string"},
		"a fraction":           {`{"count":1.5}`, "application/json", 400, "count", "count: must be a whole number"},
		"a nested field":       {`{"inner":{"share":"x"}}`, "application/json", 400, "inner.share", "must be a number"},
		"in a list":            {`{"inner":{"flags":["x"]}}`, "application/json", 400, "inner.flags", "must be true or false"},
		"a text for a list":    {`{"inner":{"flags":"x"}}`, "application/json", 400, "inner.flags", "must be an array"},
		"a text for an object": {`{"inner":"x"}`, "application/json", 400, "inner", "must be an object"},
		"broken off":           {`{"name":"x`, "application/json", 400, "body", "is not valid JSON"},
		"something behind":     {`{} {}`, "application/json", 400, "body", "is not valid JSON"},
		"a list":               {`[]`, "application/json", 400, "body", "must be a JSON object"},
		"an order mark":        {"\ufeff{}", "application/json", 400, "body", "must be a JSON object"},
		"plain text":           {`{}`, "text/plain", 415, "", "application/json"},
		"another JSON":         {`{}`, "application/merge-patch+json", 415, "", "application/json"},
		"no type":              {`{}`, "", 415, "", "application/json"},
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	app, _, _ := newApp(t, time.Minute)
	app.Post("/must", func(c *fiber.Ctx) error {
		body, err := httpserver.Body[nested](c)
		if err != nil {
			return err
		}
		return c.JSON(body)
	})
	app.Post("/may", func(c *fiber.Ctx) error {
		body, err := httpserver.OptionalBody[nested](c)
		if err != nil {
			return err
		}
		return c.JSON(body)
	})
	for outcome, tt := range bodies() {
		for _, path := range []string{"/must", "/may"} {
			t.Run(outcome+" "+path, func(t *testing.T) {
				r := call(t, app, http.MethodPost, path, tt.body, "Content-Type", tt.media)
				require.Equal(t, tt.status, r.status, r.body)
				if tt.status == http.StatusOK {
					return
				}
				var got struct {
					Error struct {
						Message string
						Details map[string]string
					}
				}
				require.NoError(t, json.Unmarshal([]byte(r.body), &got))
				require.Equal(t, tt.field, got.Error.Details["field"])
				require.Contains(t, got.Error.Message, tt.message)
			})
		}
	}
	require.Equal(t, http.StatusUnsupportedMediaType, call(t, app, http.MethodPost, "/must", "{}", "Content-Type", "application/json", "Content-Encoding", "gzip").status)
	require.Equal(t, http.StatusUnsupportedMediaType, call(t, app, http.MethodPost, "/must", "").status)
	require.Equal(t, http.StatusOK, call(t, app, http.MethodPost, "/may", "").status)
}

func TestTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_999_999, time.FixedZone("", 3600))
	zero := time.Time{}
	raw, err := json.Marshal([]any{httpserver.Time(at), httpserver.NullTime(&at), httpserver.NullTime(nil), httpserver.NullTime(&zero)})
	require.NoError(t, err)
	require.JSONEq(t, `["2026-01-02T02:04:05.006Z","2026-01-02T02:04:05.006Z",null,null]`, string(raw))
}

func TestIsRPC(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/api/x": true, "/api/getMe": true, "/api/": false, "/api": false, "/api/a/b": false, "/api/a/": false, "/v1/x": false, "": false,
	} {
		require.Equal(t, want, httpserver.IsRPC(http.MethodPost, path), path)
		require.False(t, httpserver.IsRPC(http.MethodGet, path), path)
	}
	require.Equal(t, "1", httpserver.RetryAfter(0))
	require.Equal(t, "3", httpserver.RetryAfter(2001*time.Millisecond))
}
