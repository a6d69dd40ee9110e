package events

import "time"

// outageSaid is how often a failure that goes on is logged.
const outageSaid = 30 * time.Second

// An outage counts failures between the lines that tell of them; its zero value
// is ready.
type outage struct {
	said  time.Time
	times int
}

// again notes a failure, and gives how many a line has to tell of: 0 where one
// was written less than half a minute ago.
func (o *outage) again(now time.Time) int {
	o.times++
	if !o.said.IsZero() && now.Sub(o.said) < outageSaid {
		return 0
	}
	times := o.times
	o.said, o.times = now, 0
	return times
}
