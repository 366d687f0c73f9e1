package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
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
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return v, fmt.Errorf("see how process %d is: %w", pid, err)
	}
	if v, err = parseVitals(string(b)); err != nil {
		return v, fmt.Errorf("see how process %d is: %w", pid, err)
	}
	return v, nil
}

// parseVitals reads /proc/PID/stat. The name of the program may hold anything.
func parseVitals(text string) (v Vitals, err error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 || len(fields[0]) != 1 {
		return v, fmt.Errorf("%q is no state of a process", text)
	}
	v.State = fields[0][0]
	ticks := uint64(0)
	for _, n := range []int{11, 12} { // in the program, in the kernel
		t, err := strconv.ParseUint(fields[n], 10, 64)
		if err != nil {
			return v, fmt.Errorf("processor time: %w", err)
		}
		ticks += t
	}
	v.Used = time.Duration(ticks) * time.Second / hertz
	if v.Faults, err = strconv.ParseUint(fields[9], 10, 64); err != nil {
		return v, fmt.Errorf("page faults: %w", err)
	}
	return v, nil
}
