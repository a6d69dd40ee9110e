package mongodb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"

	"chatplatform.io/svckit/fault"
)

const (
	defaultTimeout = 5 * time.Second
	defaultMaxPool = 100
	defaultSilence = 2 * time.Second
	selectionWait  = 2 * time.Second
	// heartbeat is how often the driver looks after each server: how late the
	// return of a database is noticed, also while nobody asks anything of it.
	heartbeat = time.Second
	// blip is how long a database may be lost before it is away: a connection
	// that broke and a primary that stepped down are found again by then.
	blip = time.Second
	// openWait is how long a service that starts waits for its database: primaries
	// are elected in up to twelve seconds.
	openWait = 15 * time.Second
	// openPause lies between its tries, which may fail at once.
	openPause       = 200 * time.Millisecond
	disconnectGrace = 5 * time.Second

	authenticationFailed = 18 // a code of the server
)

// Settings say where a database is and how much of it a service may use.
type Settings struct {
	URI      string        `env:"MONGODB_URI" doc:"Connection string of MongoDB 7 or newer, a replica set or a sharded cluster."`
	Database string        `env:"MONGODB_DATABASE" doc:"Name of the service's own database; empty means the service's name."`
	Timeout  time.Duration `env:"MONGODB_TIMEOUT" envDefault:"5s" doc:"Longest that one operation, with its retries, may take."`
	MaxPool  uint64        `env:"MONGODB_MAX_POOL" envDefault:"100" doc:"Most connections of one process to one server."`

	// Monitors watch every command, beside the metrics; tests count with them.
	Monitors []*event.CommandMonitor `env:"-"`
	// Silence is for how long a server may say nothing before it counts as one
	// that hangs, and its connections are dropped; 0 means 2 s. Tests that are
	// about something else grant more, as a busy machine may stand still.
	Silence time.Duration `env:"-"`
}

// A DB is a service's own database. It is safe for concurrent use. Errors of
// the embedded Database's calls are the driver's: pass them through Fault.
type DB struct {
	*mongo.Database
	metrics *metrics
}

// Open connects and reaches the database once; with the database away it is
// fault.ErrUnavailable after 15 s; a user or a password that it does not take is
// an error at once. Settings without a timeout or a pool size get
// 5 s and 100. Metrics are registered on reg, which must not have them yet. The
// caller owns the DB and must Close it.
//
// Operations run for Settings.Timeout at most when their context has no
// deadline of its own. A change stream's maxAwaitTime must stay below it.
func Open(ctx context.Context, s Settings, logger *slog.Logger, reg prometheus.Registerer) (*DB, error) {
	if s.URI == "" || s.Database == "" {
		return nil, errors.New("open the database: both MONGODB_URI and a database name are needed")
	}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	if s.MaxPool == 0 {
		s.MaxPool = defaultMaxPool
	}
	if s.Silence == 0 {
		s.Silence = defaultSilence
	}
	metrics, err := newMetrics(reg, logger)
	if err != nil {
		return nil, err
	}
	client, err := mongo.Connect(clientOptions(s, metrics))
	if err != nil {
		// The driver's words may hold the URI, and that a password.
		return nil, errors.New("open the database: MONGODB_URI is not a connection string that the driver takes")
	}
	db := &DB{Database: client.Database(s.Database), metrics: metrics}
	if err := db.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("reach the database: %w", err), db.Close(context.WithoutCancel(ctx)))
	}
	return db, nil
}

// await pings until there is an answer, for openWait at most. A secret that the
// database does not take is not tried again.
func (db *DB) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	for {
		err := db.Ping(ctx)
		if err == nil {
			return nil
		}
		if said, ok := errors.AsType[driver.Error](err); ok && said.Code == authenticationFailed {
			return fmt.Errorf("the user or the password in MONGODB_URI is wrong: %w", said)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(openPause):
		}
	}
}

func clientOptions(s Settings, m *metrics) *options.ClientOptions {
	journaled := true
	monitors := append([]*event.CommandMonitor{m.commands()}, s.Monitors...)
	return options.Client().
		ApplyURI(s.URI).
		SetAppName(s.Database).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journaled}).
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary()).
		SetRetryWrites(true).
		SetRetryReads(true).
		SetTimeout(s.Timeout).
		SetServerSelectionTimeout(selectionWait).
		SetConnectTimeout(s.Silence). // of the driver's own questions, too
		SetHeartbeatInterval(heartbeat).
		SetMaxPoolSize(s.MaxPool).
		SetMonitor(fanOut(monitors)).
		SetPoolMonitor(m.pool()).
		SetServerMonitor(m.topology())
}

// Close ends all connections, waiting up to 5 s for operations under way.
func (db *DB) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, disconnectGrace)
	defer cancel()
	db.metrics.closing.Store(true)
	if err := db.Client().Disconnect(ctx); err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// Ping asks the primary for a sign of life. It answers within 2 s; the error
// is fault.ErrUnavailable.
func (db *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, selectionWait)
	defer cancel()
	return Fault(db.Client().Ping(ctx, readpref.Primary()))
}

// Reachable is fault.ErrUnavailable, at once, while the database is away: no
// server that takes writes has been known for a second. Who asks before an
// operation does not wait for a server only to hear the same. A server that
// refuses or cuts connections is noticed at once, one that takes them and does
// not answer after about 4 s; what is under way when it begins to hang ends after
// Settings.Timeout and 2 s more at most.
func (db *DB) Reachable() error {
	if lost := db.metrics.lost.Load(); lost != nil && time.Since(*lost) > blip {
		return fault.ErrUnavailable.Because(errors.New("the database is away"))
	}
	return nil
}

// Transact runs do in one transaction: all its writes are kept or none. do gets
// a context that every operation of the transaction must use, and may run more
// than once, so it must change nothing outside the database. Conflicts with
// other transactions are tried again until Settings.Timeout has passed, then
// they are fault.ErrUnavailable, as at once while the database is away; an error
// of do aborts and comes back as it is.
func (db *DB) Transact(ctx context.Context, do func(ctx context.Context) error) error {
	if err := db.Reachable(); err != nil {
		return err
	}
	session, err := db.Client().StartSession()
	if err != nil {
		return Fault(fmt.Errorf("start a session: %w", err))
	}
	defer session.EndSession(context.WithoutCancel(ctx))
	_, err = session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
		return nil, do(ctx)
	})
	return Fault(err)
}
