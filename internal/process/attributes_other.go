//go:build unix && !linux

package process

import "syscall"

// attributes give a child its own process group. Only Linux can tie its life to
// the parent's.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
