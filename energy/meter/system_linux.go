package meter

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gramme-project/gramme/internal/vfs"
)

// ticksPerSecond is USER_HZ, which is 100 on every architecture that Go knows.
const ticksPerSecond = 100

func now() instant {
	var boot, awake int64
	for range 4 { // this thread may have to wait between two readings
		awake = clock(unix.CLOCK_MONOTONIC) // stops while the host is suspended
		boot = clock(unix.CLOCK_BOOTTIME)
		if clock(unix.CLOCK_MONOTONIC)-awake < int64(time.Millisecond) {
			break
		}
	}
	return instant{boot: boot, wall: time.Now().UnixNano(), asleep: max(0, boot-awake)}
}

// busy returns the processor time of this process, all threads, user and system.
func busy() uint64 { return uint64(clock(unix.CLOCK_PROCESS_CPUTIME_ID)) }

func clock(id int32) int64 {
	var t unix.Timespec
	if unix.ClockGettime(id, &t) != nil {
		return 0 // does not happen with these clocks
	}
	return t.Nano()
}

// hostBusy returns the processor time that everything on this host used since it booted,
// without waits for input and output or for other guests; 0 if unknown.
func hostBusy() int64 {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	busy, _ := parseStat(b)
	return busy
}

// hostThreads returns how many processors the host has, whether or not this process may
// use them.
func hostThreads() int {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return runtime.NumCPU()
	}
	_, threads := parseStat(b)
	return max(threads, runtime.NumCPU())
}

// parseStat returns the processor time in ns and the number of processors from /proc/stat.
func parseStat(b []byte) (busy int64, threads int) {
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		switch {
		case len(fields) < 8 || !bytes.HasPrefix(line, []byte("cpu")):
		case string(fields[0]) != "cpu":
			threads++
		default: // user, nice, system, idle, iowait, irq, softirq, steal
			for _, i := range []int{1, 2, 3, 6, 7} {
				ticks, err := strconv.ParseInt(string(fields[i]), 10, 64)
				if err != nil || ticks < 0 || ticks > math.MaxInt64/int64(time.Second) {
					return 0, 0
				}
				busy += ticks * int64(time.Second/ticksPerSecond)
			}
		}
	}
	return busy, threads
}

// birth returns when this process began, at most now.
func birth() (instant, error) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return instant{}, err
	}
	// The name, in brackets, may hold anything; fields after it are 3, 4, ….
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return instant{}, fmt.Errorf("read /proc/self/stat: %d fields", len(fields))
	}
	ticks, err := strconv.ParseInt(string(fields[19]), 10, 64)
	if err != nil {
		return instant{}, fmt.Errorf("read /proc/self/stat: %w", err)
	}
	at := now()
	age := max(0, at.boot-ticks*int64(time.Second/ticksPerSecond))
	return instant{boot: at.boot - age, wall: at.wall - age, asleep: at.asleep}, nil
}

// residentKiB returns the memory of this process that is in RAM.
func residentKiB() (uint64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, fmt.Errorf("read /proc/self/statm: %q", b)
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read /proc/self/statm: %w", err)
	}
	return pages * uint64(os.Getpagesize()) / 1024, nil
}

func realSystem(dir string) (system, error) {
	began, err := birth()
	if err != nil {
		return system{}, err
	}
	folder, err := openFolder(vfs.OS{}, dir)
	if err != nil {
		return system{}, err
	}
	return system{
		now: now, busy: busy, residentKiB: residentKiB, birth: began, folder: folder,
		load: hostBusy, threads: hostThreads(),
		// Not os.TempDir: processes of one host may have different ones.
		powercap: powercap, lockDir: "/tmp",
	}, nil
}
