package restapi

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"chatplatform.io/chat-svc/internal/id"
	"chatplatform.io/svckit/fault"
	"chatplatform.io/svckit/httpserver"
)

// Waiting are the requests that wait for a message.
type Waiting struct {
	// Most bounds all of them, MostOfOne those of one account.
	Most, MostOfOne int

	mu    sync.Mutex
	count int
	of    map[id.Account][]*wait // oldest first
}

// wait is one request that waits.
type wait struct{ end func() }

// errManyWait sheds requests that would wait where too many do already.
var errManyWait = fault.ErrUnavailable.Say("Too many requests wait for messages here; poll without waiting, or try again.")

// hold takes a place until release. An account that has as many as it may gives
// up its oldest one: that request's end is called.
func (w *Waiting) hold(a id.Account, end func()) (release func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if mine := w.of[a]; len(mine) > 0 && len(mine) >= w.MostOfOne {
		mine[0].end()
		w.remove(a, mine[0])
	}
	if w.count >= w.Most {
		return nil, errManyWait
	}
	if w.of == nil {
		w.of = map[id.Account][]*wait{}
	}
	held := &wait{end}
	w.of[a] = append(w.of[a], held)
	w.count++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.remove(a, held)
	}, nil
}

// remove frees a place, once.
func (w *Waiting) remove(a id.Account, held *wait) {
	at := slices.Index(w.of[a], held)
	if at < 0 {
		return
	}
	w.count--
	if w.of[a] = slices.Delete(w.of[a], at, at+1); len(w.of[a]) == 0 {
		delete(w.of, a)
	}
}

// Count is how many there are.
func (w *Waiting) Count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// settle is what a request that waited may take beside waiting.
const settle = 10 * time.Second

// errWaitedEnough ends a wait that is answered as if nothing had come: for a
// newer one of the same account, or because the service drains.
var errWaitedEnough = errors.New("it has waited long enough")

// waiting is the context of a request that waits on purpose: it outlasts an
// ordinary one, and ends when the client goes away or by errWaitedEnough.
func (w *Waiting) waiting(c *fiber.Ctx, howLong time.Duration) (_ context.Context, release func(), err error) {
	timed, cancel := context.WithTimeout(context.WithoutCancel(c.UserContext()), howLong+settle)
	ctx, end := context.WithCancelCause(timed)
	enough := func() { end(errWaitedEnough) }
	free, err := w.hold(caller(c), enough)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	drained := context.AfterFunc(c.Context(), enough)
	watch(ctx, c.Context().Conn(), cancel)
	return ctx, func() {
		drained()
		free()
		cancel()
	}, nil
}

// goneEvery is how often it is asked whether a waiting client is still there.
const goneEvery = 500 * time.Millisecond

// watch ends a wait when its client goes away. It has a timer and no goroutine,
// as there are many of them.
func watch(ctx context.Context, conn net.Conn, gone func()) {
	time.AfterFunc(goneEvery, func() {
		switch {
		case ctx.Err() != nil:
		case httpserver.Gone(conn):
			gone()
		default:
			watch(ctx, conn, gone)
		}
	})
}
