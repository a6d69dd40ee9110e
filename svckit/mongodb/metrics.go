package mongodb

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/event"
)

// metrics is what the driver's events become.
type metrics struct {
	durations   *prometheus.HistogramVec
	open, inUse prometheus.Gauge
	reachable   prometheus.Gauge

	isReachable atomic.Bool
	lost        atomic.Pointer[time.Time] // since when it is not; nil while it is
	closing     atomic.Bool               // no news that the database is then away
	logger      *slog.Logger
}

func newMetrics(reg prometheus.Registerer, logger *slog.Logger) (*metrics, error) {
	m := &metrics{
		logger: logger,
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mongodb_command_duration_seconds",
			Help:    "Time from a command to its answer, by command and outcome (ok, failed).",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"command", "outcome"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mongodb_connections_open", Help: "Connections to the database.",
		}),
		inUse: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mongodb_connections_in_use", Help: "Connections that an operation holds.",
		}),
		reachable: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mongodb_reachable", Help: "1 while a server that takes writes is known, else 0.",
		}),
	}
	for _, c := range []prometheus.Collector{m.durations, m.open, m.inUse, m.reachable} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the database's metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) commands() *event.CommandMonitor {
	observe := func(command, outcome string, took time.Duration) {
		m.durations.WithLabelValues(label(command), outcome).Observe(took.Seconds())
	}
	return &event.CommandMonitor{
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) { observe(e.CommandName, "ok", e.Duration) },
		Failed:    func(_ context.Context, e *event.CommandFailedEvent) { observe(e.CommandName, "failed", e.Duration) },
	}
}

// label keeps the number of series bounded whatever is run.
func label(command string) string {
	switch command {
	case "find", "getMore", "insert", "update", "delete", "findAndModify", "aggregate", "count", "distinct",
		"bulkWrite", "commitTransaction", "abortTransaction", "killCursors", "createIndexes", "ping":
		return command
	}
	return "other"
}

func (m *metrics) pool() *event.PoolMonitor {
	return &event.PoolMonitor{Event: func(e *event.PoolEvent) {
		switch e.Type {
		case event.ConnectionCreated:
			m.open.Inc()
		case event.ConnectionClosed:
			m.open.Dec()
		case event.ConnectionCheckedOut:
			m.inUse.Inc()
		case event.ConnectionCheckedIn:
			m.inUse.Dec()
		}
	}}
}

// topology tells, once a change, whether there is a server that takes writes.
func (m *metrics) topology() *event.ServerMonitor {
	return &event.ServerMonitor{TopologyDescriptionChanged: func(e *event.TopologyDescriptionChangedEvent) {
		up := false
		for _, server := range e.NewDescription.Servers {
			switch server.Kind {
			case "RSPrimary", "Mongos", "LoadBalancer", "Standalone":
				up = true
			}
		}
		if m.isReachable.Swap(up) == up {
			return
		}
		if up {
			m.lost.Store(nil)
			m.reachable.Set(1)
			m.logger.Info("database reachable")
			return
		}
		now := time.Now() // beside the driver's own waits
		m.lost.Store(&now)
		m.reachable.Set(0)
		if !m.closing.Load() {
			m.logger.Warn("database away")
		}
	}}
}

// fanOut makes one monitor of many, each of which may leave functions out.
func fanOut(monitors []*event.CommandMonitor) *event.CommandMonitor {
	return &event.CommandMonitor{
		Started: func(ctx context.Context, e *event.CommandStartedEvent) {
			for _, m := range monitors {
				if m.Started != nil {
					m.Started(ctx, e)
				}
			}
		},
		Succeeded: func(ctx context.Context, e *event.CommandSucceededEvent) {
			for _, m := range monitors {
				if m.Succeeded != nil {
					m.Succeeded(ctx, e)
				}
			}
		},
		Failed: func(ctx context.Context, e *event.CommandFailedEvent) {
			for _, m := range monitors {
				if m.Failed != nil {
					m.Failed(ctx, e)
				}
			}
		},
	}
}
