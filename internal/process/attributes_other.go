//go:build unix && !linux

package process

import "syscall"

// Attributes give a child its own process group. Only Linux can tie its life to
// the parent's.
func Attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
