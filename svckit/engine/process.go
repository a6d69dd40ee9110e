package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

const tailLines = 20 // of the engine's output, shown in errors

// A process is a running child and what it last said.
type process struct {
	cmd     *exec.Cmd
	output  *output
	done    chan struct{} // closed after err is set
	err     error
	stopped atomic.Bool
}

// spawn starts a program in a process group of its own that ends with this
// process. match finds, in a line of output, the port it listens on.
func spawn(path string, args []string, lock *os.File, match func(line string) (port string, ok bool)) (*process, error) {
	p := &process{
		cmd:    exec.Command(path, args...),
		output: &output{match: match, port: make(chan string, 1)},
		done:   make(chan struct{}),
	}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = ownGroup()
	p.cmd.ExtraFiles = []*os.File{lock}

	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run starts the child and waits for it on one thread: Linux ends the child
// when the thread that made it ends, not when the process does.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	release, err := startTied(p.cmd)
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	release()
	close(p.done)
}

// stop ends the child by SIGTERM, or by SIGKILL when ctx ends first.
func (p *process) stop(ctx context.Context) error {
	if p.stopped.Swap(true) {
		<-p.done
		return nil
	}
	select {
	case <-p.done:
		return p.failure("it ended by itself")
	default:
	}
	if err := terminate(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ask it to end: %w", err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		_ = p.cmd.Process.Kill() // fails only when it has just ended
		<-p.done
		return fmt.Errorf("it had to be killed: %w", ctx.Err())
	}
}

// failure is an error with the last lines of the child.
func (p *process) failure(what string) error {
	select {
	case <-p.done:
		if p.err != nil {
			what += " (" + p.err.Error() + ")"
		}
	default:
	}
	return fmt.Errorf("%s; its last lines:\n%s", what, p.output.tail())
}

// output keeps the last lines of a child and looks for the port it prints.
type output struct {
	match func(string) (string, bool)
	port  chan string // receives the port once

	mu    sync.Mutex
	rest  []byte // a line that has not ended
	lines []string
}

// Write takes a piece of the child's output, which need not end with a line.
func (o *output) Write(piece []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = append(o.rest, piece...)
	for {
		line, rest, ok := bytes.Cut(o.rest, []byte("\n"))
		if !ok {
			break
		}
		o.rest = rest
		o.take(string(line))
	}
	if len(o.rest) > 64<<10 { // no line ends: keep memory bounded
		o.rest = nil
	}
	return len(piece), nil
}

func (o *output) take(line string) {
	o.lines = append(o.lines, line)
	if len(o.lines) > tailLines {
		o.lines = o.lines[1:]
	}
	if port, ok := o.match(line); ok {
		select {
		case o.port <- port:
		default: // said twice
		}
	}
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines, "\n")
}
