package events

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"chatplatform.io/chat-svc/internal/sequence"
)

// Whatever is added, a ring gives exactly what came between two positions or
// says that it no longer can, keeps its limit, and what it gave stays as it was.
func TestRingAgainstAListOfAllEvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.IntRange(0, 10_000).Draw(r, "limit")
		kept := ring{limit: limit}
		var all []Event
		var start, newest Position
		kept.restart(start)
		position := func(label string) Position {
			return Position{Seconds: rapid.Uint32Range(start.Seconds, newest.Seconds+1).Draw(r, label)}
		}
		var given, copied []Event
		r.Repeat(map[string]func(*rapid.T){
			"add": func(r *rapid.T) {
				newest.Seconds += rapid.Uint32Range(1, 3).Draw(r, "later by")
				e := Event{Position: newest, Kind: MemberSet}
				if size := rapid.IntRange(-1, 2*limit).Draw(r, "content"); size >= 0 {
					e.Kind, e.Message = MessageSent, &sequence.Message{Body: sequence.Body{Content: strings.Repeat("x", size)}}
				}
				kept.add(e)
				all = append(all, e)
			},
			"restart": func(r *rapid.T) {
				if rapid.IntRange(0, 9).Draw(r, "rarely") > 0 {
					r.Skip()
				}
				newest.Seconds++
				start, all = newest, nil
				kept.restart(start)
			},
			"between": func(r *rapid.T) {
				after, upTo := position("after"), position("up to")
				want := among(all, after, upTo)
				found, ok := kept.between(after, upTo)
				if !ok {
					require.True(r, after.Before(kept.before), "it says no only for what it let go")
					return
				}
				require.Len(r, found, len(want))
				if len(want) > 0 {
					require.Equal(r, want, found)
				}
				given, copied = found, append([]Event(nil), found...)
			},
			"": func(r *rapid.T) {
				require.LessOrEqual(r, kept.bytes, limit)
				bytes := 0
				for _, e := range kept.events {
					bytes += e.Size()
				}
				require.Equal(r, bytes, kept.bytes)
				_, ok := kept.between(newest, newest)
				require.True(r, ok, "who has everything misses nothing")
				require.Equal(r, copied, append([]Event(nil), given...), "what was given does not change")
			},
		})
	})
}

// among is what stands between two positions.
func among(all []Event, after, upTo Position) (some []Event) {
	for _, e := range all {
		if after.Before(e.Position) && !upTo.Before(e.Position) {
			some = append(some, e)
		}
	}
	return some
}

func TestRingLetsGoOfTheOldestOnly(t *testing.T) {
	t.Parallel()
	e := Event{Kind: MemberSet}
	kept := ring{limit: 100 * e.Size()}
	for n := range uint32(1000) {
		e.Position = Position{Seconds: n + 1}
		kept.add(e)
		require.GreaterOrEqual(t, len(kept.events), min(int(n+1), 75), "three quarters are always there")
		require.Equal(t, e.Position, kept.events[len(kept.events)-1].Position)
	}
}
