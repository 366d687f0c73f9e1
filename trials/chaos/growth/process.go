package growth

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// size is how much a process holds.
type size struct {
	rss        float64 // MiB
	threads    float64
	files      float64 // that are open, sockets included
	goroutines float64 // as the process says
}

func sizeOf(pid int) (size, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return size{}, fmt.Errorf("size of process %d: %w", pid, err)
	}
	s, err := parseSize(string(b))
	if err != nil {
		return s, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return size{}, fmt.Errorf("open files of process %d: %w", pid, err)
	}
	s.files = float64(len(files))
	return s, nil
}

// parseSize reads /proc/PID/status.
func parseSize(text string) (s size, err error) {
	var rss, threads bool
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "VmRSS":
			s.rss, err = strconv.ParseFloat(fields[0], 64)
			s.rss /= 1024
			rss = true
		case "Threads":
			s.threads, err = strconv.ParseFloat(fields[0], 64)
			threads = true
		}
		if err != nil {
			return s, fmt.Errorf("size of a process: %s %q: %w", key, fields[0], err)
		}
	}
	if !rss || !threads { // it has ended, and nobody has waited for it
		return s, errors.New("size of a process: it has none")
	}
	return s, nil
}

// life is what one process held over time.
type life struct {
	name string
	pid  int
	from time.Time
	at   []time.Duration // since it was first seen
	held []size
}

// Tracker follows processes over their lives. One goroutine at a time uses it.
type Tracker struct {
	lives []*life
	byPID map[int]*life
}

// NewTracker returns one that has seen no process.
func NewTracker() *Tracker { return &Tracker{byPID: map[int]*life{}} }

// Sample looks at a process. goroutines are as many as it says that it has; 0: it does not.
func (t *Tracker) Sample(now time.Time, pid int, name string, goroutines int) {
	held, err := sizeOf(pid)
	if err != nil {
		return // it is gone, as processes of a trial are
	}
	l := t.byPID[pid]
	if l == nil {
		l = &life{name: name, pid: pid, from: now}
		t.byPID[pid] = l
		t.lives = append(t.lives, l)
	}
	held.goroutines = float64(goroutines)
	l.at, l.held = append(l.at, now.Sub(l.from)), append(l.held, held)
}

// Growths are those of all processes that lived for a while.
func (t *Tracker) Growths() []Growth {
	out := []Growth{}
	for _, l := range t.lives {
		if l.at[len(l.at)-1] >= leastLife/2 {
			out = append(out, l.growth())
		}
	}
	return out
}
