package meter

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is USER_HZ, which is 100 on every architecture that Go knows.
const ticksPerSecond = 100

func now() instant { return instant{clock(unix.CLOCK_BOOTTIME), time.Now().UnixNano()} }

// busy returns the processor time of this process, all threads, user and system.
func busy() uint64 { return uint64(clock(unix.CLOCK_PROCESS_CPUTIME_ID)) }

func clock(id int32) int64 {
	var t unix.Timespec
	if unix.ClockGettime(id, &t) != nil {
		return 0 // does not happen with these clocks
	}
	return t.Nano()
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
	return instant{at.boot - age, at.wall - age}, nil
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
	disk, err := openFolder(dir)
	if err != nil {
		return system{}, err
	}
	return system{
		now: now, busy: busy, residentKiB: residentKiB, birth: began, disk: disk,
		// Not os.TempDir: processes of one host may have different ones.
		powercap: "/sys/class/powercap", locks: "/tmp",
	}, nil
}
