package observe_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"chatplatform.io/svckit/observe"
)

func TestLogs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o, err := observe.Open(t.Context(), "auth-svc", "1", observe.Settings{LogLevel: slog.LevelWarn}, &out)
	require.NoError(t, err)
	o.Logger.Info("not this")
	o.Logger.Warn("this", "text", "two\nlines")
	require.NoError(t, o.Close(t.Context()))
	require.Equal(t, 1, strings.Count(out.String(), "\n"), "a line is a line")
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "auth-svc", line["service"])
	require.Equal(t, "two\nlines", line["text"])
}

func TestTwoObserversShareNothing(t *testing.T) {
	t.Parallel()
	for range 2 {
		o, err := observe.Open(t.Context(), "auth-svc", "1", observe.Settings{}, &bytes.Buffer{})
		require.NoError(t, err)
		families, err := o.Registry.Gather()
		require.NoError(t, err)
		require.NotEmpty(t, families)
		_, span := o.Tracer.Start(t.Context(), "nothing")
		require.False(t, span.IsRecording(), "without an endpoint there are no traces")
		span.End()
		require.NoError(t, o.Close(t.Context()))
	}
}

func TestTracesAreExported(t *testing.T) {
	t.Parallel()
	var exports atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" {
			exports.Add(1)
		}
	}))
	t.Cleanup(collector.Close)
	o, err := observe.Open(t.Context(), "auth-svc", "1", observe.Settings{TraceEndpoint: collector.URL + "/v1/traces", TraceShare: 1}, &bytes.Buffer{})
	require.NoError(t, err)
	_, span := o.Tracer.Start(t.Context(), "something")
	require.True(t, span.IsRecording())
	span.End()
	require.NoError(t, o.Close(t.Context()))
	require.EqualValues(t, 1, exports.Load(), "what is still here is sent at the end")
}
