package meter

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/procfs"
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

// birth returns when a process began, at most now.
func birth(p procfs.Proc) (instant, error) {
	s, err := p.Stat()
	if err != nil {
		return instant{}, err
	}
	at := now()
	age := max(0, at.boot-int64(s.Starttime)*int64(time.Second/ticksPerSecond))
	return instant{boot: at.boot - age, wall: at.wall - age, asleep: at.asleep}, nil
}

// residentKiB returns the memory of a process that is in RAM.
func residentKiB(p procfs.Proc) (uint64, error) {
	s, err := p.NewStatus()
	return s.VmRSS / 1024, err
}

func realSystem(dir string) (system, error) {
	self, err := procfs.Self()
	if err != nil {
		return system{}, err
	}
	began, err := birth(self)
	if err != nil {
		return system{}, err
	}
	folder, err := openFolder(vfs.OS{}, dir)
	if err != nil {
		return system{}, err
	}
	return system{
		now: now, busy: busy, birth: began, folder: folder, load: hostBusy, threads: hostThreads(),
		residentKiB: func() (uint64, error) { return residentKiB(self) },
		// Not os.TempDir: processes of one host may have different ones.
		powercap: powercap, lockDir: "/tmp",
	}, nil
}
