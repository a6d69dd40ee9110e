package authsvc

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"chatplatform.io/auth-svc/internal/identity"
)

const (
	usageEvery = 10 * time.Second
	mailEvery  = time.Second
)

// loops are the goroutines that work beside the requests.
type loops struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	usage  *identity.Usage
}

func startLoops(logger *slog.Logger, service *identity.Service, usage *identity.Usage) *loops {
	ctx, cancel := context.WithCancel(context.Background())
	l := &loops{cancel: cancel, usage: usage}
	l.every(ctx, usageEvery, func() {
		if err := usage.Flush(ctx); err != nil && ctx.Err() == nil {
			logger.Warn("the last use of keys was not written", "error", err)
		}
	})
	if service.SendsMail() {
		l.every(ctx, mailEvery, func() { sendDue(ctx, logger, service) })
	}
	return l
}

// sendDue sends mails until none is due or one fails.
func sendDue(ctx context.Context, logger *slog.Logger, service *identity.Service) {
	for ctx.Err() == nil {
		sent, err := service.SendDue(ctx)
		if err != nil && ctx.Err() == nil {
			logger.Warn("a mail was not sent", "error", err)
		}
		if err != nil || !sent {
			return
		}
	}
}

func (l *loops) every(ctx context.Context, pause time.Duration, do func()) {
	l.done.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				do()
			case <-ctx.Done():
				return
			}
		}
	})
}

// stop ends the loops and writes what still waits.
func (l *loops) stop(ctx context.Context) error {
	l.cancel()
	l.done.Wait()
	return l.usage.Flush(ctx)
}
