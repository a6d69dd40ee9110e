package engine

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps the terminal's Ctrl-C from the engine: its owner ends it,
// after the services have drained.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// startTied starts a child that the kernel kills when the calling thread ends.
func startTied(cmd *exec.Cmd) (release func(), err error) {
	return func() {}, cmd.Start()
}
