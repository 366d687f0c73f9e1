package process

import "syscall"

// Attributes give a child its own process group and let it die with the thread
// that started it.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
