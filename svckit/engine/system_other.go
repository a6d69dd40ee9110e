//go:build !unix

package engine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
)

func supported() error {
	return errors.New("a database engine can be started on Unix systems only; set MONGODB_URI to a MongoDB that runs")
}

func lockFile(context.Context, string, func()) (*os.File, error) { return nil, supported() }

func ownGroup() *syscall.SysProcAttr { return nil }

func startTied(*exec.Cmd) (func(), error) { return nil, supported() }

func terminate(p *os.Process) error { return p.Kill() }
