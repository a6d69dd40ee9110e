package crash_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	people  = 4
	senders = 12
	// recovery is how long anything may take that is waited for. It measures
	// nothing: the machine may be busy with other tests.
	recovery = 90 * time.Second
	tick     = time.Millisecond
)

type account struct {
	Name string `json:"agent_name"`
	ID   string `json:"agent_id"`
}

// A round is some cycles of kills under the load of new accounts, at the end
// of which everything is held to what was acknowledged.
type round struct {
	*cluster

	seed     uint64
	accounts []account
	groups   []string
	readers  []*reader
	tally    tally

	clock atomic.Int64 // counts beginnings and acknowledgements
	over  atomic.Bool  // senders bring what they have to its end
	fail  context.CancelCauseFunc
	mu    sync.Mutex
	sent  map[string]*message // by text
}

// A tally counts what happened.
type tally struct {
	cycles, replicaKills, engineKills int // kills of cycles
	conversations, rows, told         int // that were audited

	// Of sends; replays are acknowledgements of what was stored before.
	acknowledged, unanswered, replays atomic.Int64
	changes                           atomic.Int64
}

func newRound(t *testing.T, c *cluster, seed uint64) *round {
	t.Helper()
	r := &round{cluster: c, seed: seed, sent: map[string]*message{}}
	for i := range people {
		a := account{Name: fmt.Sprintf("round-%d-%d", seed, i)}
		r.must(t, http.StatusCreated, request{
			method: "POST", path: "/api/auth/register", body: object{"agent_name": a.Name},
		}, &a)
		r.accounts = append(r.accounts, a)
		r.readers = append(r.readers, newReader(a.Name, "/api/messages"))
	}
	for i := range 2 {
		var group place
		r.must(t, http.StatusCreated, request{
			method: "POST", path: "/api/conversations", account: r.accounts[0].Name,
			body: object{"type": "group", "members": []string{r.accounts[1].ID, r.accounts[2].ID, r.accounts[3].ID}},
		}, &group)
		r.groups = append(r.groups, group.Conversation)
		r.readers = append(r.readers, newReader(r.accounts[i].Name, "/api/conversations/"+group.Conversation+"/messages"))
	}
	return r
}

// run kills as often as there are cycles while everybody sends and reads, and
// audits.
func (r *round) run(t *testing.T, cycles int) {
	t.Helper()
	ctx, fail := context.WithCancelCause(t.Context())
	r.fail = fail
	var sending, reading sync.WaitGroup
	defer reading.Wait()
	defer sending.Wait()
	defer fail(nil)
	for i, reader := range r.readers {
		reading.Go(func() { reader.run(ctx, r, r.rng(100+i)) })
		r.until(ctx, t, reader.begun)
	}
	for i := range senders {
		s := &sender{round: r, name: fmt.Sprint(r.seed, "/", i), account: i % people, rng: r.rng(200 + i)}
		sending.Go(func() { s.run(ctx) })
	}
	rng := r.rng(0)
	for range cycles {
		r.cycle(ctx, t, rng)
	}
	r.over.Store(true)
	sending.Wait()
	require.NoError(t, context.Cause(ctx))
	if cycles == perRound { // fewer may miss one or the other
		r.tally.hit(t)
	}
	r.restart(t)
	r.audit(ctx, t)
}

// hit holds a round to have tried what it is for.
func (t *tally) hit(test *testing.T) {
	test.Helper()
	require.Positive(test, t.replicaKills, "no replica was killed")
	require.Positive(test, t.engineKills, "the engine was not killed")
	require.Positive(test, t.unanswered.Load(), "no kill left a send without an answer")
	require.Positive(test, t.replays.Load(), "nothing that was stored was sent again")
}

func (r *round) rng(n int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(n))) }

// until waits for something to be right. A violation that anybody meets ends
// it.
func (r *round) until(ctx context.Context, t *testing.T, wrong func() error) {
	t.Helper()
	deadline, ticks := time.NewTimer(recovery), time.NewTicker(tick)
	defer deadline.Stop()
	defer ticks.Stop()
	for err := wrong(); err != nil; err = wrong() {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			require.NoError(t, context.Cause(ctx))
		case <-deadline.C:
			require.NoError(t, err, "after %s", recovery)
		}
	}
}

// must asks until there is an answer, which is to have a status.
func (r *round) must(t *testing.T, status int, q request, into any) {
	t.Helper()
	var a answer
	r.until(t.Context(), t, func() error {
		if a = r.call(t.Context(), r.tally.cycles%replicas, q); a.unknown() {
			return fmt.Errorf("%s %s is not answered: %d %s", q.method, q.path, a.status, a.body)
		}
		return nil
	})
	require.Equal(t, status, a.status, "%s %s: %s", q.method, q.path, a.body)
	require.NoError(t, a.into(into))
}

// progress waits until n more messages are acknowledged.
func (r *round) progress(ctx context.Context, t *testing.T, n int64) {
	t.Helper()
	target := r.tally.acknowledged.Load() + n
	r.until(ctx, t, func() error {
		if r.tally.acknowledged.Load() < target {
			return errors.New("nothing is acknowledged any more")
		}
		return nil
	})
}

// engineItself stands among the numbers of replicas for the database engine.
const engineItself = replicas

// cycle kills some of the processes at some moment, and starts them again.
// While the engine and a replica stand, sends go on without the other one.
func (r *round) cycle(ctx context.Context, t *testing.T, rng *rand.Rand) {
	t.Helper()
	r.progress(ctx, t, rng.Int64N(60))
	await(ctx, time.Duration(rng.IntN(5000))*time.Microsecond)
	victims := [][]int{
		{engineItself}, {engineItself}, {0}, {1}, {0, 1}, {engineItself, 0}, {1, engineItself}, {0, engineItself, 1},
	}[rng.IntN(8)]
	for _, v := range victims {
		if v == engineItself {
			r.killEngine(t)
			r.tally.engineKills++
		} else {
			r.kill(t, v)
			r.tally.replicaKills++
		}
	}
	if slices.Contains(victims, engineItself) {
		r.startEngine(t)
	} else if len(victims) < replicas {
		r.progress(ctx, t, 20)
	}
	for _, v := range victims {
		if v != engineItself {
			r.start(t, v)
		}
	}
	r.tally.cycles++
}

// restart leaves nobody who remembers anything.
func (r *round) restart(t *testing.T) {
	t.Helper()
	for i := range replicas {
		r.kill(t, i)
	}
	for i := range replicas {
		r.start(t, i)
	}
}
