package svctest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A LogBuffer keeps everything that was logged. It is safe for concurrent use.
type LogBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Logs gives a logger that writes JSON lines of every level into a buffer. The
// buffer is shown when the test fails.
func Logs(t testing.TB) (*slog.Logger, *LogBuffer) {
	t.Helper()
	b := &LogBuffer{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logged:\n%s", b)
		}
	})
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})), b
}

// Write takes one log line.
func (b *LogBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(line)
}

// String is all that was logged, one JSON object a line.
func (b *LogBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Contains reports whether any line holds text.
func (b *LogBuffer) Contains(text string) bool { return strings.Contains(b.String(), text) }

// Find gives, decoded, the lines with this message, oldest first.
func (b *LogBuffer) Find(t testing.TB, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(b.String()) {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		if entry[slog.MessageKey] == message {
			found = append(found, entry)
		}
	}
	return found
}
