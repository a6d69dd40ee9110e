package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A program is a database server on disk and how it is run.
type program struct {
	path string
	args func(dir string) ([]string, error)
	port func(line string) (port string, ok bool)
	// settle makes a server that has just begun to listen take writes.
	settle func(ctx context.Context, address string) error
}

// prepare finds a program, or builds one.
func prepare(ctx context.Context, progress io.Writer) (*program, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if path, err := exec.LookPath("mongod"); err == nil {
		return &program{path: path, args: mongodArgs, port: mongodPort, settle: initiate}, nil
	}
	path, err := build(ctx, progress)
	if err != nil {
		return nil, err
	}
	return &program{path: path, args: secantusArgs, port: secantusPort, settle: reach}, nil
}

// secantusArgs: without --sync-on-commit a journaled write is acknowledged
// before it is on disk; the heartbeat is also what cuts the operations log,
// which change streams resume from for a day or a million operations.
func secantusArgs(dir string) ([]string, error) {
	return []string{
		"--port", "0", "--storage-path", dir, "--sync-on-commit", "--cache-size", "256M",
		"--noop-heartbeat-seconds", "10",
		"--oplog-retention-seconds", "86400", "--oplog-max-entries", "1000000",
	}, nil
}

func secantusPort(line string) (string, bool) {
	_, address, ok := strings.Cut(line, "listening on ")
	if !ok {
		return "", false
	}
	_, port, err := net.SplitHostPort(strings.TrimSpace(address))
	return port, err == nil
}

// mongodArgs name a port that was free a moment ago: a replica set's member
// must know its own.
func mongodArgs(dir string) ([]string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err := errors.Join(err, ln.Close()); err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	return []string{
		"--port", port, "--bind_ip", "127.0.0.1", "--dbpath", dir, "--replSet", replicaSet,
		"--wiredTigerCacheSizeGB", "0.25",
	}, nil
}

// mongodPort reads mongod's structured log.
func mongodPort(line string) (string, bool) {
	if !strings.Contains(line, `"Waiting for connections"`) {
		return "", false
	}
	var entry struct {
		Attr struct {
			Port json.Number `json:"port"`
		} `json:"attr"`
	}
	err := json.Unmarshal([]byte(line), &entry)
	return entry.Attr.Port.String(), err == nil && entry.Attr.Port != ""
}

// start runs the program on a folder until it takes writes.
func (pr *program) start(ctx context.Context, dir string, lock *os.File) (*Engine, error) {
	args, err := pr.args(dir)
	if err != nil {
		return nil, err
	}
	p, err := spawn(pr.path, args, lock, pr.port)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	address, err := pr.await(ctx, p)
	if err != nil {
		ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = p.stop(ended) // the first error is the one that tells
		return nil, err
	}
	return &Engine{uri: "mongodb://" + address + "/?directConnection=true", process: p}, nil
}

func (pr *program) await(ctx context.Context, p *process) (address string, err error) {
	select {
	case port := <-p.output.port:
		address = net.JoinHostPort("127.0.0.1", port)
	case <-p.done:
		return "", p.failure("it ended")
	case <-ctx.Done():
		return "", p.failure("it named no port in time")
	}
	if err := pr.settle(ctx, address); err != nil {
		return "", fmt.Errorf("%w; %w", err, p.failure("it takes no writes"))
	}
	return address, nil
}
