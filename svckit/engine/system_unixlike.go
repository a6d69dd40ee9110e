//go:build unix && !linux

package engine

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// ownGroup keeps the terminal's Ctrl-C from the engine: its owner ends it,
// after the services have drained.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// startTied starts a child and beside it a shell that waits for the end of a
// pipe, which comes when this process ends however it ends, and then kills the
// child. release ends the shell; it must follow the child's own end.
func startTied(cmd *exec.Cmd) (release func(), err error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, abandon(cmd, err)
	}
	watch := exec.Command("/bin/sh", "-c", `read -r _; kill -9 "$1"`, "watch", strconv.Itoa(cmd.Process.Pid))
	watch.Stdin = read
	watch.SysProcAttr = ownGroup()
	err = watch.Start()
	_ = read.Close()
	if err != nil {
		_ = write.Close()
		return nil, abandon(cmd, err)
	}
	return func() {
		_ = watch.Process.Kill()
		_ = watch.Wait()
		_ = write.Close()
	}, nil
}

func abandon(cmd *exec.Cmd, err error) error {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return fmt.Errorf("tie the engine to this process: %w", err)
}
