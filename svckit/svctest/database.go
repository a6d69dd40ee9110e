package svctest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/event"

	"chatplatform.io/svckit/mongodb"
)

const (
	dropWait = 2 * time.Minute
	// stillness is how long a busy machine may stand still in a test without
	// the database being taken for one that hangs.
	stillness = 30 * time.Second
)

// Settings names a database of the test's own, which is dropped when the test
// has ended. Nothing is connected yet: open it as often as the test wants
// processes. Run must have started the tests. One that only hangs is waited
// for: tests about that take Silence and Timeout away.
func Settings(t testing.TB) mongodb.Settings {
	t.Helper()
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	s := mongodb.Settings{URI: os.Getenv(uriVariable), Database: "test_" + hex.EncodeToString(id[:]), Timeout: stillness, Silence: stillness}
	require.NotEmpty(t, s.URI, "TestMain must call svctest.Run")
	t.Cleanup(func() { drop(t, s) })
	return s
}

func drop(t testing.TB, s mongodb.Settings) {
	ctx, cancel := context.WithTimeout(context.Background(), dropWait)
	defer cancel()
	db, err := open(ctx, s)
	require.NoError(t, err)
	require.NoError(t, db.Drop(ctx))
	require.NoError(t, db.Close(ctx))
}

// Database opens a fresh database. It is closed and dropped when the test has
// ended. The settings open the same database again, as a second process would.
// Monitors watch the commands of this connection alone.
func Database(t testing.TB, monitors ...*event.CommandMonitor) (*mongodb.DB, mongodb.Settings) {
	t.Helper()
	s := Settings(t)
	watched := s
	watched.Monitors = monitors
	return Open(t, watched), s
}

// Open opens a database as one process does. It is closed when the test has
// ended.
func Open(t testing.TB, s mongodb.Settings) *mongodb.DB {
	t.Helper()
	db, err := open(t.Context(), s)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	return db
}

func open(ctx context.Context, s mongodb.Settings) (*mongodb.DB, error) {
	return mongodb.Open(ctx, s, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}
