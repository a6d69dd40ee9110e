package events

import "sort"

// ring keeps the newest events, up to a size in bytes.
type ring struct {
	events []Event  // oldest first
	bytes  int      // of the events
	limit  int      // of bytes
	before Position // of the newest event that is no longer here
}

func (r *ring) add(e Event) {
	r.events = append(r.events, e)
	r.bytes += e.size()
	drop := 0
	for r.bytes > r.limit && drop < len(r.events)-1 {
		r.bytes -= r.events[drop].size()
		r.before = r.events[drop].Position
		r.events[drop] = Event{} // lets go of the message
		drop++
	}
	r.events = r.events[drop:]
}

// since gives the events after p; ok is false where some of them are no longer
// here. The slice is shared with the ring and holds until it is next added to.
func (r *ring) since(p Position) (after []Event, ok bool) {
	if p.Before(r.before) {
		return nil, false
	}
	from := sort.Search(len(r.events), func(i int) bool { return p.Before(r.events[i].Position) })
	return r.events[from:], true
}

// restart forgets everything; what comes next comes after p.
func (r *ring) restart(p Position) { *r = ring{limit: r.limit, before: p} }
