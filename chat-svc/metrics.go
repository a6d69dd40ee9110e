package chatsvc

import (
	"github.com/prometheus/client_golang/prometheus"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/sequence"
)

// metrics count what the committer does and how well auth-svc is heard.
type metrics struct {
	batch    prometheus.Histogram
	duration prometheus.Histogram
	stored   prometheus.Counter
	stopped  *prometheus.CounterVec
	fallback *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer, client *accounts.Client, feed *events.Feed) *metrics {
	m := &metrics{
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chat_commit_messages", Help: "Messages in one insert.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chat_commit_duration_seconds", Help: "Time of one insert, until a majority has it in its journal.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}),
		stored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_messages_stored_total", Help: "Messages stored and acknowledged.",
		}),
		stopped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_commit_stops_total",
			Help: "Inserts that did not store all of their messages, by reason: place_taken, key_repeated, rejected, or unknown where the database did not say.",
		}, []string{"reason"}),
		fallback: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_poll_fallback_total",
			Help: "Lists for which memory was not trusted, by reason: starting, silent or behind, as the change stream is.",
		}, []string{"reason"}),
	}
	unheard := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "chat_accounts_unheard_seconds",
		Help: "How long auth-svc's change feed has not answered; revocations of that time are not known here.",
	}, func() float64 { return client.Unheard().Seconds() })
	behind := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "chat_checkpoint_behind_seconds",
		Help: "How long the documents of conversations have lacked a message that was sent; the list's order is told as stale above 5.",
	}, func() float64 { return feed.Behind().Seconds() })
	registry.MustRegister(m.batch, m.duration, m.stored, m.stopped, m.fallback, unheard, behind)
	return m
}

func (m *metrics) distrusted(reason string) { m.fallback.WithLabelValues(reason).Inc() }

func (m *metrics) report(r sequence.Report) {
	m.batch.Observe(float64(r.Messages))
	m.duration.Observe(r.Took.Seconds())
	m.stored.Add(float64(r.Stored))
	switch {
	case r.Unknown:
		m.stopped.WithLabelValues("unknown").Inc()
	case r.Refusal != sequence.None:
		m.stopped.WithLabelValues(r.Refusal.String()).Inc()
	}
}
