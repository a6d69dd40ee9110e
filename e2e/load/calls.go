package main

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// internalListener is how local mode tells, in its log, where a service
// answers /metrics.
const internalListener = `msg="internal listener" .*address=(\S+)`

// databaseCalls is how many commands the platform's services have sent to the
// database so far, by their own metrics. Waiting for changes is not counted: it
// goes on whether or not anything is asked.
func (w *world) databaseCalls() (float64, error) {
	listeners := regexp.MustCompile(internalListener).FindAllStringSubmatch(w.server.Stderr(), -1)
	if len(listeners) == 0 {
		return 0, errors.New("local mode does not tell where its metrics are")
	}
	var calls float64
	for _, listener := range listeners {
		status, body, err := fasthttp.GetTimeout(nil, "http://"+listener[1]+"/metrics", callTimeout)
		if err != nil || status != http.StatusOK {
			return 0, fmt.Errorf("read the metrics at %s: status %d: %w", listener[1], status, err)
		}
		for line := range strings.Lines(string(body)) {
			series, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
			if !strings.HasPrefix(series, "mongodb_command_duration_seconds_count{") || strings.Contains(series, `"getMore"`) {
				continue
			}
			count, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, fmt.Errorf("read the metrics at %s: %w", listener[1], err)
			}
			calls += count
		}
	}
	return calls, nil
}
