// Package crash_test kills the processes of a platform again and again while
// it is used, and holds it to what it acknowledged.
package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// perRound is how many kills there are between two audits.
const perRound = 20

// Two replicas of the platform on one database engine are killed by SIGKILL,
// they and the engine, in the middle of sends, CYCLES times. Then: every
// acknowledged message stands once, where it was acknowledged, and in order;
// the others once or not at all, as the repeat with the key finds; numbers
// have no gap and time does not run back; lists of conversations are right;
// and whoever follows by tokens missed nothing.
func TestCrash(t *testing.T) {
	cycles, seed := number(t, "CYCLES", perRound), number(t, "SEED", rand.Uint64N(1_000_000_000))
	begun := time.Now()
	c := newCluster(t)
	defer func() {
		if t.Failed() {
			t.Logf("to draw the same choices again: make crash SEED=%d CYCLES=%d", seed, min(cycles, perRound))
		}
	}()
	var all tally
	for left := cycles; left > 0; left -= min(left, perRound) {
		r := newRound(t, c, seed)
		r.run(t, int(min(left, perRound)))
		all.add(&r.tally)
		seed++
	}
	_, _ = fmt.Fprintf(os.Stdout, "crash: %s in %s\n", &all, time.Since(begun).Round(time.Second))
}

// number reads a setting of this test from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 32)
	require.NoError(t, err, "%s=%s is no number", name, text)
	return n
}

func (t *tally) add(other *tally) {
	t.cycles += other.cycles
	t.replicaKills += other.replicaKills
	t.engineKills += other.engineKills
	t.conversations += other.conversations
	t.rows += other.rows
	t.told += other.told
	t.acknowledged.Add(other.acknowledged.Load())
	t.unanswered.Add(other.unanswered.Load())
	t.replays.Add(other.replays.Load())
	t.changes.Add(other.changes.Load())
}

func (t *tally) String() string {
	return fmt.Sprintf("%d cycles, a replica killed %d times and the engine %d times: %d messages acknowledged and %d changes (%d sends unanswered, %d answered as repeats); "+
		"audited %d messages of %d conversations, and %d that readers were told",
		t.cycles, t.replicaKills, t.engineKills, t.acknowledged.Load(), t.changes.Load(), t.unanswered.Load(), t.replays.Load(), t.rows, t.conversations, t.told)
}
