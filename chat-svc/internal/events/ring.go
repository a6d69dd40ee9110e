package events

import (
	"slices"
	"sort"
)

// ring keeps the newest events, up to a size in bytes.
type ring struct {
	events []Event  // oldest first; an element never changes, so who has a part of it may keep that
	bytes  int      // of the events
	limit  int      // of bytes
	before Position // of the newest event that is no longer here
}

func (r *ring) add(e Event) {
	r.events = append(r.events, e)
	r.bytes += e.Size()
	if r.bytes > r.limit {
		r.shrink()
	}
}

// shrink lets a quarter go at once, the oldest: so an event is copied a few
// times, not whenever another one comes.
func (r *ring) shrink() {
	drop := 0
	for ; drop < len(r.events) && r.bytes > r.limit-r.limit/4; drop++ {
		r.bytes -= r.events[drop].Size()
		r.before = r.events[drop].Position
	}
	r.events = slices.Clone(r.events[drop:])
}

// between gives the events after one position and up to another; ok is false
// where some of them are no longer here.
func (r *ring) between(after, upTo Position) (found []Event, ok bool) {
	if after.Before(r.before) {
		return nil, false
	}
	from, to := r.behind(after), r.behind(upTo)
	return r.events[from:max(from, to):max(from, to)], true
}

// behind is the index of the first event behind p.
func (r *ring) behind(p Position) int {
	return sort.Search(len(r.events), func(i int) bool { return p.Before(r.events[i].Position) })
}

// restart forgets everything; what comes next comes after p.
func (r *ring) restart(p Position) { *r = ring{limit: r.limit, before: p} }
