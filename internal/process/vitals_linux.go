package process

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// hertz is how the kernel counts processor time for programs.
const hertz = 100

// Vitals are how a process is that may not be able to say so itself.
type Vitals struct {
	State  byte          // of its first thread: R, S, D, T, t, Z, …
	Used   time.Duration // processor time of all threads
	Faults uint64        // pages that came from disk
}

// VitalsOf reads those of a process of this machine.
func VitalsOf(pid int) (v Vitals, err error) {
	var s procfs.ProcStat
	p, err := procfs.NewProc(pid)
	if err == nil {
		s, err = p.Stat()
	}
	if err != nil {
		return v, fmt.Errorf("see how process %d is: %w", pid, err)
	}
	return Vitals{s.State[0], time.Duration(s.UTime+s.STime) * time.Second / hertz, uint64(s.MajFlt)}, nil
}
