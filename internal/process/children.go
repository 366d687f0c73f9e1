package process

import (
	"syscall"
	"time"
)

// ChildrenTime is the processor time of all children of this process that have ended
// and that it waited for, with theirs. Where the system does not tell, it is 0.
func ChildrenTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
