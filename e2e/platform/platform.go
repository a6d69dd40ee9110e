// Package platform runs local mode as a child process, the way a user's
// terminal does, for tests and measurements from outside.
package platform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	startWait = 2 * time.Minute
	stopWait  = 45 * time.Second // longer than requests in flight may take
	// lastLine ends what local mode prints once it answers.
	lastLine = "Ctrl-C ends it.\n"
)

// Build compiles the program of local mode into dir and returns its path.
func Build(ctx context.Context, dir string) (program string, err error) {
	program = filepath.Join(dir, "local")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "chatplatform.io/local/cmd/local").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build local mode: %w\n%s", err, out)
	}
	return program, nil
}

// Options say what to start.
type Options struct {
	Program string // from Build
	DataDir string // kept between starts
	// Environ is the environment that it runs in; of what it says of local
	// mode, the address is not taken, so that the port is a free one.
	Environ []string
	// Settings, each NAME=value, come on top; LISTEN among them is taken.
	Settings []string
}

// A Platform is a child process that answers. Its owner must Stop or Kill it.
type Platform struct {
	// URL is where it answers, without a slash at the end.
	URL string

	cmd            *exec.Cmd
	stdout, stderr *output
	done           chan struct{} // closed after err is set
	err            error
}

// Start runs the program on a free port until it answers. When it ends instead,
// the error shows what it said.
func Start(ctx context.Context, o Options) (*Platform, error) {
	p := Command(ctx, o)
	if err := p.start(); err != nil {
		return nil, err
	}
	timer := time.NewTimer(startWait)
	defer timer.Stop()
	select {
	case <-p.stdout.found:
		p.URL = regexp.MustCompile(`https?://\S+`).FindString(p.Stdout())
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("local mode ended (%w):\n%s", p.err, p.Stderr())
	case <-timer.C:
		return nil, errors.Join(fmt.Errorf("local mode does not answer after %s:\n%s", startWait, p.Stderr()), p.Kill())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.Kill())
	}
}

// Command prepares a start; Run runs it to its end, for starts that are to
// fail.
func Command(ctx context.Context, o Options) *Platform {
	p := &Platform{
		cmd:    exec.CommandContext(ctx, o.Program),
		stdout: newOutput(lastLine), stderr: newOutput(""), done: make(chan struct{}),
	}
	p.cmd.Env = slices.Concat(o.Environ, []string{"LISTEN=127.0.0.1:0", "PUBLIC_URL="}, o.Settings, []string{"DATA_DIR=" + o.DataDir})
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopWait
	return p
}

func (p *Platform) start() error {
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start local mode: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// Run runs a prepared start to its end; the error is that of exec.Cmd.
func (p *Platform) Run() error {
	if err := p.start(); err != nil {
		return err
	}
	return p.Wait()
}

// Wait returns how the process ended.
func (p *Platform) Wait() error {
	<-p.done
	return p.err
}

// Stop asks the process to end, as Ctrl-C does, and waits for it. An end with
// another status than 0 is an error that shows what it said.
func (p *Platform) Stop() error {
	if err := p.Terminate(); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(stopWait):
		return errors.Join(fmt.Errorf("local mode does not end:\n%s", p.Stderr()), p.Kill())
	}
	if p.err != nil {
		return fmt.Errorf("local mode ended badly (%w):\n%s", p.err, p.Stderr())
	}
	return nil
}

// Terminate asks the process to end and does not wait.
func (p *Platform) Terminate() error {
	return ended(p.cmd.Process.Signal(syscall.SIGTERM))
}

// Kill ends the process at once, with SIGKILL.
func (p *Platform) Kill() error {
	err := ended(p.cmd.Process.Kill())
	<-p.done
	return err
}

func ended(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// PID is the process's id.
func (p *Platform) PID() int { return p.cmd.Process.Pid }

// Stdout is what the process has printed so far.
func (p *Platform) Stdout() string { return p.stdout.String() }

// Stderr is what the process has logged so far.
func (p *Platform) Stderr() string { return p.stderr.String() }

// Quickstart is the part of the printed text that is meant to be pasted.
func (p *Platform) Quickstart() string {
	const cut = " 8< ----\n"
	_, text, _ := strings.Cut(p.Stdout(), cut)
	text, _, _ = strings.Cut(text, cut)
	commands, _, _ := strings.Cut(text, "\n----") // the dashes before the scissors
	return commands + "\n"
}
