// Package chatsvc is the service of conversations and messages. This file is
// all of its wiring.
package chatsvc

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/chat-svc/internal/chat"
	"chatplatform.io/chat-svc/internal/chore"
	"chatplatform.io/chat-svc/internal/departure"
	"chatplatform.io/chat-svc/internal/events"
	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/chat-svc/internal/lists"
	"chatplatform.io/chat-svc/internal/mongostore"
	"chatplatform.io/chat-svc/internal/polling"
	"chatplatform.io/chat-svc/internal/push"
	"chatplatform.io/chat-svc/internal/readmark"
	"chatplatform.io/chat-svc/internal/restapi"
	"chatplatform.io/chat-svc/internal/retention"
	"chatplatform.io/chat-svc/internal/rpcapi"
	"chatplatform.io/chat-svc/internal/sequence"
	"chatplatform.io/chat-svc/internal/sweep"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/paging"
	"chatplatform.io/svckit/program"
	"chatplatform.io/svckit/ratelimit"
	"chatplatform.io/svckit/token"
)

// Name is the service's name: of its database, its credential and its logs.
const Name = "chat-svc"

// OpenAPI is the document of the public paths.
//
//go:embed openapi.json
var OpenAPI []byte

// A Server is chat-svc, open and ready to answer. It binds no address by
// itself.
type Server struct {
	*program.Doors

	config    Config
	deps      program.Deps
	accounts  *accounts.Client
	db        *mongodb.DB
	committer *sequence.Committer
	reads     *readmark.Writer
	feed      *events.Feed
	lists     *lists.Lists
	rights    *chat.Rights
	polls     *restapi.Polls
	service   *chat.Service
	rpc       *rpcapi.API
	hub       *push.Hub[rpcapi.Frame]
	metrics   *metrics
	sweeper   *chore.Chore

	departures *chore.Chore
	retention  *chore.Chore // nil where messages are kept for ever
	holder     string       // of leases: tells this replica apart

	follow   context.CancelFunc // of what works beside the requests
	followed sync.WaitGroup
}

// Migrate brings the database up to this version's schema; it may run while
// servers of this and the previous version do.
func Migrate(ctx context.Context, config Config, deps program.Deps) error {
	return mongostore.Schema().Migrate(ctx, config.MongoDB, deps.Observer.Logger)
}

// Open connects and loads everything that answering needs. Close ends what it
// started.
func Open(ctx context.Context, config Config, deps program.Deps) (_ *Server, err error) {
	s := &Server{config: config, deps: deps, holder: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := config.check(); err != nil {
		return nil, err
	}
	if s.db, err = mongostore.Schema().Open(ctx, config.MongoDB, deps.Observer.Logger, deps.Observer.Registry); err != nil {
		return nil, err
	}
	directKey, err := s.db.Secret(ctx, "direct conversations", 32)
	if err != nil {
		return nil, err
	}
	cursors, err := s.db.Cursors(ctx)
	if err != nil {
		return nil, err
	}
	checkpoint, err := mongostore.New(s.db).Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	following := s.start(checkpoint)
	s.wire(directKey, cursors)
	s.followed.Go(func() { s.accounts.Follow(following) })
	return s, nil
}

// start begins what works beside the requests, until the context that it gives
// ends.
func (s *Server) start(checkpoint events.Position) context.Context {
	s.accounts = accounts.New(s.config.Accounts, accounts.Deps{
		Service: Name, Logger: s.deps.Observer.Logger, Now: s.deps.Now, Deleted: func() { s.departures.Wake() },
	})
	ctx, cancel := context.WithCancel(context.Background())
	s.follow = cancel

	store := mongostore.New(s.db)
	s.lists = lists.New(store, s.deps.Now, lists.Bounds{})
	s.rights = chat.NewRights(store, s.deps.Now)
	s.metrics = newMetrics(s.deps.Observer.Registry, s.deps.Now)
	s.hub = s.newHub(store)
	// Rights hear first: a page that was read with what an account no longer may
	// is never kept under a version of its lists from after that.
	s.feed = events.New(events.Options{
		Source: store, Checkpoint: checkpoint, Memory: s.config.EventMemory,
		Now: s.deps.Now, Logger: s.deps.Observer.Logger,
	}, s.rights.Listen, s.lists.Listen, s.hub.Listen, s.metrics.heard)
	s.rights.Hear(s.feed)
	s.lists.Hear(s.feed)
	s.hub.Hear(s.feed)
	s.followed.Go(func() { s.hub.Run(ctx) })
	s.followed.Go(func() { s.feed.Run(ctx) })
	keeper := events.NewKeeper(s.feed, store, s.holder, s.deps.Now, s.deps.Observer.Logger)
	s.followed.Go(func() { keeper.Run(ctx) })

	load := polling.NewLoad(func() float64 { return s.committer.Full() })
	s.polls = &restapi.Polls{
		Limiter: polling.New(s.config.polling(), polling.Deps{Load: load.Factor, Now: s.deps.Now, Random: mathrand.Float64}),
		Memory:  polling.NewMemory(),
		Waiting: restapi.Waiting{Most: s.config.PollMaxWaiting, MostOfOne: s.config.PollWaitingEach},
		Reading: make(chan struct{}, s.config.PollMaxReading),
	}
	watched{s.accounts, s.feed, s.lists, s.rights, s.polls, s.hub}.register(s.deps.Observer.Registry)
	s.polls.Report = s.metrics.polled
	s.committer = sequence.New(sequence.Options{Store: store, Now: s.deps.Now, Report: s.metrics.report})
	s.followed.Go(func() { load.Run(ctx) })
	s.reads = readmark.New(store, s.deps.Observer.Logger)
	s.sweeper = sweep.Start(store, s.deps.Now, s.deps.Observer.Logger)
	return ctx
}

// newHub makes the hub of events, which nobody reaches before all is wired.
func (s *Server) newHub(store *mongostore.Store) *push.Hub[rpcapi.Frame] {
	return push.New(push.Options[rpcapi.Frame]{
		Store: store,
		Frame: func(ctx context.Context, t push.Telling, to id.Account) (rpcapi.Frame, error) {
			return s.rpc.Frame(ctx, t, to)
		},
		Hidden: func(ctx context.Context, from, sender id.Account, c id.Conversation) (bool, error) {
			return s.service.Hides(ctx, from, sender, c)
		},
		Ended: s.ended,
		Most:  s.config.EventConnections, MostOfOne: s.config.EventConnectionsEach, Beat: s.config.EventHeartbeat,
		Now: s.deps.Now, Random: mathrand.Float64, Wrote: s.metrics.told, Left: s.metrics.disconnected,
		Panicked: func(err error) { s.deps.Observer.Logger.Error("an event was not told", "error", err) },
	})
}

// ended tells whether the credential of somebody who is connected has ended.
func (s *Server) ended(claims *token.Claims) bool {
	expired := !claims.Dev() && !s.deps.Now().Before(claims.ExpiresAt)
	return expired || s.accounts.Revoked(claims)
}

func (s *Server) wire(directKey []byte, cursors *paging.Codec) {
	service := chat.New(s.config.limits(), chat.Deps{
		Store: mongostore.New(s.db), Committer: s.committer, Reads: s.reads, Sweeper: s.sweeper, Accounts: s.accounts,
		Sends:     ratelimit.New(s.config.SendsPerMinute/60, s.config.SendBurst, limitedAccounts, s.deps.Now),
		Actions:   ratelimit.New(1, 1, limitedAccounts, s.deps.Now),
		Creations: ratelimit.New(s.config.CreationsPerMinute/60, s.config.CreationBurst, limitedAccounts, s.deps.Now),
		Feed:      s.feed, Lists: s.lists, Rights: s.rights, Distrusted: s.metrics.distrusted, Count: s.metrics.count,
		Reading:   s.polls.Read,
		DirectKey: directKey, Now: s.deps.Now,
	})
	verifier := s.verifier()
	s.service = service
	rest := restapi.New(service, verifier, cursors, s.polls)
	s.rpc = rpcapi.New(rpcapi.Deps{
		Chat: service, Accounts: s.accounts, Verifier: verifier, Cursors: cursors,
		Polled: s.polls.Polled, CatchUp: rest.CatchUp, FoundNothing: restapi.FoundNothing,
	})
	s.Doors = program.NewDoors(program.DoorOptions{
		Deps: s.deps, Serving: s.config.Serving, DevTokens: s.config.DevTokens, RPC: append(s.rpc.Methods(), rpcapi.EventPaths()...),
		Checks: map[string]func(context.Context) error{
			"database": s.db.Ping, "accounts": s.hearsAccounts, "events": s.hearsEvents,
		},
	})
	s.departures = departure.Start(departure.Deps{
		Feed: s.accounts, Store: mongostore.New(s.db), Chat: service, Holder: s.holder,
		Now: s.deps.Now, Logger: s.deps.Observer.Logger, Departed: s.metrics.departures.Inc,
	})
	if s.config.Retention > 0 {
		s.retention = retention.Start(retention.Deps{
			Store: mongostore.New(s.db), Keep: s.config.Retention, Holder: s.holder, Now: s.deps.Now, Trusted: s.trustsClock,
			Logger: s.deps.Observer.Logger, Dropped: func(n int) { s.metrics.retired.Add(float64(n)) },
		})
	}
	rest.Mount(s.Public)
	s.rpc.Mount(s.Public)
	tickets := push.NewTickets(mongostore.New(s.db), ratelimit.New(ticketsASecond, ticketBurst, limitedAccounts, s.deps.Now), s.deps.Now)
	rpcapi.NewEvents(s.rpc, s.hub, tickets, s.config.Serving.Origins).Mount(s.Public)
}

func (s *Server) verifier() *token.Verifier {
	config := token.Config{
		Issuer: s.config.Issuer, Audience: s.config.Audience, Keys: s.accounts.Keys(), Revoked: s.accounts.Revoked,
		Capacity: s.config.TokenCache, Now: s.deps.Now, Registry: s.deps.Observer.Registry,
	}
	if s.config.DevTokens {
		config.Dev = devTokens{s.accounts, s.deps.Now}.claims
	}
	return token.NewVerifier(config)
}

// unheardMost is how long auth-svc's change feed, which answers every 25 s, may
// be silent before readiness says so.
const unheardMost = time.Minute

func (s *Server) hearsAccounts(context.Context) error {
	if unheard := s.accounts.Unheard(); unheard > unheardMost {
		return fmt.Errorf("auth-svc was not heard for %s", unheard)
	}
	return nil
}

func (s *Server) hearsEvents(context.Context) error {
	if reason := s.feed.Healthy(); reason != "" {
		return fmt.Errorf("the change stream is %s", reason)
	}
	return nil
}

// trustsClock tells whether this process's clock was compared with the
// database's lately, and is right enough to send.
func (s *Server) trustsClock() bool {
	return s.feed.Healthy() == "" && s.feed.Offset().Abs() <= s.config.limits().ClockOffset
}

// Close ends what Open started, after the last request: messages at hand are
// written first.
func (s *Server) Close(ctx context.Context) error {
	if s.hub != nil {
		s.hub.Close(ctx)
	}
	if s.committer != nil {
		s.committer.Close(ctx)
		s.reads.Close(ctx)
		s.sweeper.Close()
	}
	if s.departures != nil {
		s.departures.Close()
	}
	if s.retention != nil {
		s.retention.Close()
	}
	if s.accounts != nil {
		s.follow()
		s.followed.Wait()
		s.accounts.Close()
	}
	if s.db != nil {
		return s.db.Close(ctx)
	}
	return nil
}
