package platform

import (
	"bytes"
	"strings"
	"sync"
)

// outputMax bounds what is kept of a process's output.
const outputMax = 64 << 20

// An output keeps what a process writes and tells when a text has come.
type output struct {
	until string // nothing is looked for when empty
	found chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	seen bool
}

func newOutput(until string) *output {
	return &output{until: until, found: make(chan struct{})}
}

// Write implements io.Writer; what is past the bound is dropped.
func (o *output) Write(piece []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() < outputMax {
		o.text.Write(piece)
	}
	if o.until != "" && !o.seen && strings.Contains(o.text.String(), o.until) {
		o.seen = true
		close(o.found)
	}
	return len(piece), nil
}

// String is what was kept so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
