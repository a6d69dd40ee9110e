package mongodb_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/svctest"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		outcome  string
		settings mongodb.Settings
		says     string
	}{
		{"settings without a URI", mongodb.Settings{Database: "d"}, "MONGODB_URI"},
		{"settings without a database", mongodb.Settings{URI: "mongodb://127.0.0.1"}, "database name"},
		{"a URI that is none", mongodb.Settings{URI: "postgres://u:pa55word@h", Database: "d"}, "not a connection string"},
	}
	for _, tt := range tests {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			_, err := mongodb.Open(t.Context(), tt.settings, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			require.ErrorContains(t, err, tt.says)
			require.NotContains(t, err.Error(), "pa55word")
		})
	}
	t.Run("a wrong password", func(t *testing.T) {
		t.Parallel()
		uri, err := url.Parse(svctest.Settings(t).URI)
		require.NoError(t, err)
		uri.User = url.UserPassword("nobody", "pa55word")
		_, err = mongodb.Open(t.Context(), mongodb.Settings{URI: uri.String(), Database: "d"}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		require.ErrorContains(t, err, "the user or the password in MONGODB_URI is wrong")
		require.NotErrorIs(t, err, fault.ErrUnavailable, "it does not pass")
		require.NotContains(t, err.Error(), "pa55word")
	})
	t.Run("a database that stays away", func(t *testing.T) {
		t.Parallel()
		uri, proxy := svctest.NewProxy(t, svctest.Settings(t).URI)
		proxy.Cut()
		_, err := mongodb.Open(t.Context(), mongodb.Settings{URI: uri, Database: "d"}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		require.ErrorIs(t, err, fault.ErrUnavailable)
	})
}

func TestEveryOperationCarriesThePromises(t *testing.T) {
	t.Parallel()
	var written, read bson.Raw
	db, _ := svctest.Database(t, &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		switch e.CommandName {
		case "insert":
			written = append(bson.Raw{}, e.Command...)
		case "find":
			read = append(bson.Raw{}, e.Command...)
		}
	}})
	things := db.Collection("things")
	_, err := things.InsertOne(t.Context(), bson.M{"_id": 1})
	require.NoError(t, err)
	require.NoError(t, things.FindOne(t.Context(), bson.M{"_id": 1}).Err())

	require.Equal(t, "majority", written.Lookup("writeConcern", "w").StringValue())
	require.True(t, written.Lookup("writeConcern", "j").Boolean())
	require.NotZero(t, written.Lookup("txnNumber").Int64(), "writes are retried")
	require.Equal(t, "majority", read.Lookup("readConcern", "level").StringValue())
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	s := svctest.Settings(t)
	s.Timeout, s.Silence = time.Second, 0
	uri, proxy := svctest.NewProxy(t, s.URI)
	s.URI = uri
	logger, logs := svctest.Logs(t)
	registry := prometheus.NewRegistry()
	db, err := mongodb.Open(t.Context(), s, logger, registry)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	things := db.Collection("things")
	insert := func() error {
		_, err := things.InsertOne(t.Context(), bson.M{"n": 1})
		return mongodb.Fault(err)
	}
	require.NoError(t, insert())
	require.EqualValues(t, 1, gauge(t, registry, "mongodb_reachable"))

	operations := map[string]func() error{
		"write":       insert,
		"read":        func() error { return mongodb.Fault(things.FindOne(t.Context(), bson.M{}).Err()) },
		"ping":        func() error { return db.Ping(t.Context()) },
		"transaction": func() error { return db.Transact(t.Context(), func(context.Context) error { return insert() }) },
		"epoch":       func() error { _, err := db.Epoch(t.Context()); return err },
	}
	for how, fail := range map[string]func(){"stalled": proxy.Stall, "cut": proxy.Cut} {
		fail()
		for name, do := range operations {
			require.ErrorIs(t, do(), fault.ErrUnavailable, "%s, %s", name, how)
		}
	}
	proxy.Cut()
	require.Eventually(t, func() bool { return logs.Contains("database away") }, 30*time.Second, 20*time.Millisecond)
	require.EqualValues(t, 0, gauge(t, registry, "mongodb_reachable"))

	proxy.Restore()
	require.Eventually(t, func() bool { return insert() == nil }, 30*time.Second, 50*time.Millisecond)
	require.Len(t, logs.Find(t, "database reachable"), 2)
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	require.Fail(t, "no such metric", name)
	return 0
}

func TestMetricsCountCommandsByOutcome(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	db, err := mongodb.Open(t.Context(), svctest.Settings(t), slog.New(slog.DiscardHandler), registry)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	require.NoError(t, db.RunCommand(t.Context(), bson.D{{Key: "buildInfo", Value: 1}}).Err())
	require.Error(t, db.RunCommand(t.Context(), bson.D{{Key: "noSuchCommand", Value: 1}}).Err())
	_, err = db.Collection("things").InsertOne(t.Context(), bson.M{})
	require.NoError(t, err)

	counts := map[string]uint64{}
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != "mongodb_command_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			counts[labels["command"]+" "+labels["outcome"]] = m.GetHistogram().GetSampleCount()
		}
	}
	require.Equal(t, map[string]uint64{"ping ok": 1, "insert ok": 1, "other ok": 1, "other failed": 1}, counts)

	_, err = mongodb.Open(t.Context(), svctest.Settings(t), slog.New(slog.DiscardHandler), registry)
	require.ErrorContains(t, err, "register the database's metrics")
}

func TestFault(t *testing.T) {
	t.Parallel()
	db, _ := svctest.Database(t)
	things := db.Collection("things")
	_, err := things.InsertOne(t.Context(), bson.M{"_id": 1})
	require.NoError(t, err)
	_, duplicate := things.InsertOne(t.Context(), bson.M{"_id": 1})
	require.Error(t, duplicate)
	closed := svctest.Settings(t)
	gone, err := mongodb.Open(t.Context(), closed, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	require.NoError(t, gone.Close(t.Context()))
	expired, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()

	passing := map[string]error{
		"a deadline that passed": things.FindOne(expired, bson.M{}).Err(),
		"a closed client":        gone.Collection("things").FindOne(t.Context(), bson.M{}).Err(),
		"a primary stepped down": mongo.CommandError{Code: 10107, Message: "not primary"},
		"a write concern late": mongo.WriteException{
			WriteConcernError: &mongo.WriteConcernError{Code: 64, Message: "waiting for replication timed out"}},
		"a label": mongo.CommandError{Code: 112, Labels: []string{"TransientTransactionError"}},
	}
	for name, err := range passing {
		require.Error(t, err, name)
		require.ErrorIs(t, mongodb.Fault(err), fault.ErrUnavailable, name)
		require.ErrorContains(t, mongodb.Fault(err), err.Error(), "the cause is kept")
	}

	require.NoError(t, mongodb.Fault(nil))
	canceled, cancelNow := context.WithCancel(t.Context())
	cancelNow()
	for name, err := range map[string]error{
		"a duplicate key":    duplicate,
		"no document":        mongo.ErrNoDocuments,
		"a fault":            fault.ErrConflict.Because(context.DeadlineExceeded),
		"anything else":      errors.New("broken"),
		"a caller that left": canceled.Err(),
	} {
		require.Equal(t, err, mongodb.Fault(err), name)
	}
}

func TestTransact(t *testing.T) {
	t.Parallel()
	db, _ := svctest.Database(t)
	left, right := db.Collection("left"), db.Collection("right")
	for _, c := range []*mongo.Collection{left, right} {
		require.NoError(t, db.CreateCollection(t.Context(), c.Name()))
	}
	both := func(id string, end error) error {
		return db.Transact(t.Context(), func(ctx context.Context) error {
			for _, c := range []*mongo.Collection{left, right} {
				if _, err := c.InsertOne(ctx, bson.M{"_id": id}); err != nil {
					return err
				}
			}
			return end
		})
	}
	count := func(id string) (found int64) {
		for _, c := range []*mongo.Collection{left, right} {
			n, err := c.CountDocuments(t.Context(), bson.M{"_id": id})
			require.NoError(t, err)
			found += n
		}
		return found
	}

	require.NoError(t, both("kept", nil))
	require.EqualValues(t, 2, count("kept"))
	require.ErrorIs(t, both("dropped", fault.ErrConflict), fault.ErrConflict)
	require.Zero(t, count("dropped"))
	require.True(t, mongo.IsDuplicateKeyError(both("kept", nil)))
}

func TestTransactTriesConflictsAgain(t *testing.T) {
	t.Parallel()
	const writers = 8
	db, _ := svctest.Database(t)
	things := db.Collection("things")
	_, err := things.InsertOne(t.Context(), bson.M{"_id": 1, "n": 0})
	require.NoError(t, err)

	all := make(chan error, writers)
	for range writers {
		go func() {
			all <- db.Transact(t.Context(), func(ctx context.Context) error {
				var thing struct{ N int }
				if err := things.FindOne(ctx, bson.M{"_id": 1}).Decode(&thing); err != nil {
					return err
				}
				_, err := things.UpdateByID(ctx, 1, bson.M{"$set": bson.M{"n": thing.N + 1}})
				return err
			})
		}()
	}
	for range writers {
		require.NoError(t, <-all)
	}
	require.NoError(t, things.FindOne(t.Context(), bson.M{"_id": 1, "n": writers}).Err())
}

func TestChangeStreamOutlivesTheOperationTimeout(t *testing.T) {
	t.Parallel()
	s := svctest.Settings(t)
	s.Timeout = 5 * time.Second
	db := svctest.Open(t, s)
	stream, err := db.Watch(t.Context(), mongo.Pipeline{}, options.ChangeStream().SetMaxAwaitTime(400*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stream.Close(context.Background())) })
	quiet := time.Now()
	require.Eventually(t, func() bool {
		return !stream.TryNext(t.Context()) && stream.Err() == nil && time.Since(quiet) > s.Timeout+time.Second
	}, 60*time.Second, time.Millisecond)

	_, err = db.Collection("things").InsertOne(t.Context(), bson.M{"_id": 1})
	require.NoError(t, err)
	require.True(t, stream.Next(t.Context()), stream.Err())
}
