// Package authsvc is the service that knows who is who: it registers accounts,
// keeps their API keys and issues the tokens that every other service takes.
// This file is all of its wiring.
package authsvc

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"chatplatform.io/auth-svc/accounts"
	"chatplatform.io/auth-svc/internal/access"
	"chatplatform.io/auth-svc/internal/folder"
	"chatplatform.io/auth-svc/internal/identity"
	"chatplatform.io/auth-svc/internal/internalapi"
	"chatplatform.io/auth-svc/internal/mongostore"
	"chatplatform.io/auth-svc/internal/restapi"
	"chatplatform.io/auth-svc/internal/rpcapi"
	"chatplatform.io/auth-svc/internal/secret"
	"chatplatform.io/auth-svc/internal/signing"
	"chatplatform.io/svckit/mongodb"
	"chatplatform.io/svckit/paging"
	"chatplatform.io/svckit/program"
	"chatplatform.io/svckit/token"
)

// Name is the service's name: of its database, its credential and its logs.
const Name = "auth-svc"

// OpenAPI is the document of the public paths.
//
//go:embed openapi.json
var OpenAPI []byte

// A Server is auth-svc, open and ready to answer. It binds no address by
// itself.
type Server struct {
	*program.Doors

	config   Config
	deps     program.Deps
	db       *mongodb.DB
	keys     *signing.Keys
	peppers  *secret.Peppers
	services *secret.Services
	loops    *loops
}

// Migrate brings the database up to this version's schema; it may run while
// servers of this and the previous version do.
func Migrate(ctx context.Context, config Config, deps program.Deps) error {
	return mongostore.Schema().Migrate(ctx, config.MongoDB, deps.Observer.Logger)
}

// Open connects and loads everything that answering needs. Close ends what it
// started.
func Open(ctx context.Context, config Config, deps program.Deps) (_ *Server, err error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Server{config: config, deps: deps}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.openSecrets(); err != nil {
		return nil, err
	}
	if s.db, err = mongostore.Schema().Open(ctx, config.MongoDB, deps.Observer.Logger, deps.Observer.Registry); err != nil {
		return nil, err
	}
	cursors, err := s.db.Cursors(ctx)
	if err != nil {
		return nil, err
	}
	epoch, err := s.db.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	mailer, err := config.mailer(deps.Now)
	if err != nil {
		return nil, err
	}
	s.wire(mailer, cursors, epoch)
	return s, nil
}

// openSecrets reads the mounted folders, which are followed from then on.
func (s *Server) openSecrets() (err error) {
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "auth_secret_reloads_total",
		Help: "Changes seen in the mounted folders of secrets, by folder and result: taken or refused.",
	}, []string{"folder", "result"})
	s.deps.Observer.Registry.MustRegister(reloads)
	follow := func(name string) folder.Options {
		return folder.Options{Logger: s.deps.Observer.Logger, Reloaded: func(err error) {
			result := "taken"
			if err != nil {
				result = "refused"
			}
			reloads.WithLabelValues(name, result).Inc()
		}}
	}
	if s.keys, err = signing.Open(s.config.SigningKeysDir, "SIGNING_KEYS_DIR", follow("signing_keys")); err != nil {
		return err
	}
	if s.peppers, err = secret.OpenPeppers(s.config.PeppersDir, "PEPPERS_DIR", follow("peppers")); err != nil {
		return err
	}
	s.services, err = secret.OpenServices(s.config.ServiceCredentialsDir, "SERVICE_CREDENTIALS_DIR", follow("service_credentials"))
	return err
}

func (s *Server) wire(mailer identity.Mailer, cursors *paging.Codec, epoch string) {
	logger, registry := s.deps.Observer.Logger, s.deps.Observer.Registry
	audit := logger.With("audit", true)
	store := mongostore.New(s.db)
	usage := identity.NewUsage(store, s.deps.Now)
	service := identity.New(s.config.identity(), identity.Deps{
		Store: store, Peppers: s.peppers, Maker: secret.NewMaker(rand.Reader), Signer: s.keys, Mailer: mailer,
		Now: s.deps.Now, Audit: audit,
	})
	agents := s.verifier(s.config.Audience, registry, service)
	callers := s.verifier(accounts.Audience, prometheus.NewRegistry(), nil)
	guard := access.New(service, agents, usage, s.config.Serving.TrustedProxies, audit, s.deps.Now)

	s.Doors = program.NewDoors(program.DoorOptions{
		Deps: s.deps, Serving: s.config.Serving, DevTokens: s.config.DevTokens,
		RPC: rpcapi.Methods(), Rephrase: restapi.Rephrase(),
		Checks: map[string]func(context.Context) error{"database": s.db.Ping},
	})
	restapi.New(s.config.rest(), service, guard, agents, s.keys, s.deps.Now).Mount(s.Public)
	rpcapi.New(service, guard, cursors, s.config.DevTokens).Mount(s.Public)
	restapi.MountKeySet(s.Private, s.keys)
	internalapi.New(service, s.services, callers, agents, epoch).Mount(s.Private)

	s.loops = startLoops(logger, service, usage)
}

// verifier checks tokens for an audience. Development tokens are agents' only.
func (s *Server) verifier(audience string, registry prometheus.Registerer, agents *identity.Service) *token.Verifier {
	config := token.Config{
		Issuer: s.config.Issuer, Audience: audience, Keys: s.keys,
		Capacity: s.config.TokenCache, Now: s.deps.Now, Registry: registry,
	}
	if agents != nil && s.config.DevTokens {
		config.Dev = agents.DevClaims
	}
	return token.NewVerifier(config)
}

// Close ends what Open started, after the last request.
func (s *Server) Close(ctx context.Context) error {
	var failed []error
	if s.loops != nil {
		failed = append(failed, s.loops.stop(ctx))
	}
	if s.db != nil {
		failed = append(failed, s.db.Close(ctx))
	}
	if s.keys != nil {
		s.keys.Close()
	}
	if s.peppers != nil {
		s.peppers.Close()
	}
	if s.services != nil {
		s.services.Close()
	}
	return errors.Join(failed...)
}
