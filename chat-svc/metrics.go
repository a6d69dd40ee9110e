package chatsvc

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/push"
	"chatplatform.io/chat-svc/internal/restapi"
	"chatplatform.io/chat-svc/internal/rpcapi"
	"chatplatform.io/chat-svc/internal/sequence"
)

// metrics are told what happens.
type metrics struct {
	now     func() time.Time
	started time.Time

	messages map[chat.Deed]prometheus.Counter
	lag      prometheus.Histogram

	batch    prometheus.Histogram
	duration prometheus.Histogram
	stopped  *prometheus.CounterVec
	fallback *prometheus.CounterVec

	frames     *prometheus.CounterVec
	ends       *prometheus.CounterVec
	departures prometheus.Counter
	retired    prometheus.Counter

	polls    *prometheus.CounterVec
	empty    prometheus.Counter
	early    prometheus.Counter
	memory   prometheus.Counter
	interval prometheus.Histogram
}

// watched is what is asked whenever metrics are read.
type watched struct {
	accounts *accounts.Client
	feed     *events.Feed
	lists    *lists.Lists
	rights   *chat.Rights
	polls    *restapi.Polls
	hub      *push.Hub[rpcapi.Frame]
}

func newMetrics(registry prometheus.Registerer, now func() time.Time) *metrics {
	m := &metrics{
		now: now, started: now(),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chat_commit_messages", Help: "Messages in one insert.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chat_commit_duration_seconds", Help: "Time of one insert, until a majority has it in its journal.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}),
		stopped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_commit_stops_total",
			Help: "Inserts that did not store all of their messages, by reason: place_taken, key_repeated, rejected, or unknown where the database did not say.",
		}, []string{"reason"}),
		fallback: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_poll_fallback_total",
			Help: "Lists for which memory was not trusted, by reason: starting, silent or behind, as the change stream is.",
		}, []string{"reason"}),
		departures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_departures_total", Help: "Deleted accounts that were taken out of their conversations.",
		}),
		retired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_retention_deleted_total", Help: "Messages that were deleted because they were older than RETENTION.",
		}),
	}
	m.countMessages(registry)
	m.countPolls(registry)
	m.countEvents(registry)
	registry.MustRegister(m.batch, m.duration, m.stopped, m.fallback, m.departures, m.retired)
	return m
}

func (m *metrics) countMessages(registry prometheus.Registerer) {
	m.messages = map[chat.Deed]prometheus.Counter{}
	for deed, help := range map[chat.Deed]string{
		chat.Sent:      "Messages stored and acknowledged to their senders, each once.",
		chat.Edited:    "Edits of messages.",
		chat.Deleted:   "Messages deleted.",
		chat.Withdrawn: "Messages withdrawn by their senders, or erased with the account of their sender.",
		chat.Delivered: "Messages in answers that told something new, each once for every answer.",
	} {
		m.messages[deed] = prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_messages_" + string(deed) + "_total", Help: help,
		})
		registry.MustRegister(m.messages[deed])
	}
	m.lag = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "chat_message_lag_seconds",
		Help:    "Time from a message's created_at, by the clock of the replica that wrote it, until this replica heard it from the change stream and had its readers told.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	})
	registry.MustRegister(m.lag)
}

func (m *metrics) countPolls(registry prometheus.Registerer) {
	m.polls = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chat_poll_requests_total",
		Help: "Polls, by route (all, conversation, chat), kind (first, cursor, after, long, page) and outcome (served, not_modified, refused, shed).",
	}, []string{"route", "kind", "outcome"})
	m.empty = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "chat_poll_empty_total", Help: "Polls that found nothing new.",
	})
	m.early = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "chat_poll_early_total", Help: "Polls before the instant that the account was told last.",
	})
	m.memory = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "chat_poll_memory_answers_total", Help: "Polls that were answered without a database call.",
	})
	m.interval = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "chat_poll_interval_seconds", Help: "How long accounts were advised to wait.",
		Buckets: []float64{1, 1.5, 2, 3, 5, 8, 12, 20, 30, 45, 60},
	})
	registry.MustRegister(m.polls, m.empty, m.early, m.memory, m.interval)
}

func (m *metrics) countEvents(registry prometheus.Registerer) {
	m.frames = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chat_event_frames_total", Help: "Events written to clients, by door (stream, socket).",
	}, []string{"door"})
	m.ends = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chat_event_ends_total",
		Help: "Connections of clients that are sent events that ended, by door (stream, socket) and reason (gone, slow, unauthenticated, leaving, gap, failed).",
	}, []string{"door", "reason"})
	registry.MustRegister(m.frames, m.ends)
}

// told hears of an event that a client was sent.
func (m *metrics) told(door string) { m.frames.WithLabelValues(door).Inc() }

// disconnected hears of a client that is sent events no more.
func (m *metrics) disconnected(door string, why push.Why) {
	m.ends.WithLabelValues(door, string(why)).Inc()
}

func (w watched) register(registry prometheus.Registerer) {
	registry.MustRegister(w.gauges()...)
	registry.MustRegister(w.connected()...)
	registry.MustRegister(w.lookups()...)
}

func (w watched) gauges() []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	return []prometheus.Collector{
		gauge("chat_accounts_unheard_seconds",
			"How long auth-svc's change feed has not answered; revocations of that time are not known here.",
			func() float64 { return w.accounts.Unheard().Seconds() }),
		gauge("chat_clock_offset_seconds",
			"How far this process's clock is ahead of the database's; more than 30 from zero it sends nothing.",
			func() float64 { return w.feed.Offset().Seconds() }),
		gauge("chat_checkpoint_behind_seconds",
			"How long the documents of conversations have lacked a message that was sent, or may have because the change stream is not heard; the list's order is told as stale above 5.",
			func() float64 { return w.feed.Behind().Seconds() }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "chat_changes_unread_total", Help: "Changes of the database that could not be read and were passed over; the log names the first.",
		}, func() float64 { return float64(w.feed.Unread()) }),
		gauge("chat_poll_tracked_accounts", "Accounts whose lists are kept in memory.",
			func() float64 { return float64(w.lists.Size().Accounts) }),
		gauge("chat_poll_tracked_conversations", "Conversations of the accounts whose lists are kept in memory, added up over the accounts.",
			func() float64 { return float64(w.lists.Size().Entries) }),
		gauge("chat_poll_waiting", "Requests that wait for a message.",
			func() float64 { return float64(w.polls.Waiting.Count()) }),
	}
}

// connected counts those who are sent events, by door.
func (w watched) connected() []prometheus.Collector {
	var gauges []prometheus.Collector
	for _, door := range []string{rpcapi.StreamDoor, rpcapi.SocketDoor} {
		gauges = append(gauges, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "chat_event_connections", Help: "Clients that are sent events, by door (stream, socket).",
			ConstLabels: prometheus.Labels{"door": door},
		}, func() float64 { return float64(w.hub.Count(door)) }))
	}
	return gauges
}

func (w watched) lookups() []prometheus.Collector {
	memories := w.rights.Lookups()
	memories["lists"] = w.lists.Lookups
	var counters []prometheus.Collector
	for memory, lookups := range memories {
		count := func(result string, value func() uint64) {
			counters = append(counters, prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name:        "chat_memory_lookups_total",
				Help:        "Looks at what is kept in memory (members, barriers, blocks, lists), by result: hit, or miss where the database was asked.",
				ConstLabels: prometheus.Labels{"memory": memory, "result": result},
			}, func() float64 { return float64(value()) }))
		}
		count("hit", func() uint64 { hits, _ := lookups(); return hits })
		count("miss", func() uint64 { _, misses := lookups(); return misses })
	}
	return counters
}

func (m *metrics) polled(p restapi.Poll) {
	m.polls.WithLabelValues(p.Route, p.Kind, p.Outcome).Inc()
	m.interval.Observe(p.Advice.Seconds())
	if p.Empty {
		m.empty.Inc()
	}
	if p.Early {
		m.early.Inc()
	}
	if p.Memory {
		m.memory.Inc()
	}
}

func (m *metrics) count(d chat.Deed, messages int) { m.messages[d].Add(float64(messages)) }

// heard listens to the feed, behind those whose memory it keeps right. Nobody
// here has waited for what was created before the start. Two clocks may
// disagree: nothing is heard before it was created.
func (m *metrics) heard(e events.Event) {
	if e.Kind != events.MessageSent || e.Message.CreatedAt.Before(m.started) {
		return
	}
	m.lag.Observe(max(0, m.now().Sub(e.Message.CreatedAt).Seconds()))
}

func (m *metrics) distrusted(reason string) { m.fallback.WithLabelValues(reason).Inc() }

func (m *metrics) report(r sequence.Report) {
	m.batch.Observe(float64(r.Messages))
	m.duration.Observe(r.Took.Seconds())
	switch {
	case r.Unknown:
		m.stopped.WithLabelValues("unknown").Inc()
	case r.Refusal != sequence.None:
		m.stopped.WithLabelValues(r.Refusal.String()).Inc()
	}
}
