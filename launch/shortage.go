package launch

import (
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/preflight"
)

// What the machine lacks, as far as the ends of processes tell.

// lack is what a machine has too little of.
type lack string

const (
	nothing lack = ""
	memory  lack = "memory"
	tasks   lack = "processes or threads"
	files   lack = "open files"
	space   lack = "disk space"
	other   lack = "something" // the process says what
)

// lacking are the words of programs that could not have something. The system has one
// error for no memory in fork, and for no more tasks.
var lacking = []struct {
	lack  lack
	words *regexp.Regexp
}{
	{tasks, regexp.MustCompile(`(?i)(thread|fork|newosproc|clone|start).*(resource temporarily unavailable|errno=11)|failed to create new OS thread|pthread_create failed`)},
	{memory, regexp.MustCompile(`(?i)cannot allocate memory|out of memory|bad_alloc|not enough memory|failed to allocate`)},
	{files, regexp.MustCompile(`(?i)too many open files`)},
	{space, regexp.MustCompile(`(?i)no space left on device|disk quota exceeded`)},
}

// lacks tells what a process lacked that has ended. Oom says that the kernel had
// killed one for want of memory.
func lacks(e process.Ending, oom bool) lack {
	switch e.Manner {
	case process.Killed:
		if oom {
			return memory
		}
	case process.Crashed, process.Failed:
		for _, l := range lacking {
			if l.words.MatchString(e.Words) {
				return l.lack
			}
		}
		if e.Manner == process.Failed && e.Report.Code == exit.Resource {
			return other
		}
	}
	return nothing
}

// shortage is what is known of what the machine lacks. It is a value without clock or
// machine.
type shortage struct {
	lack    lack
	process string // that ended last for it
	words   string // of its end
	advice  string // of the process itself
	peak    int64  // most memory that a process held which ended so
	ends    []time.Time
	since   time.Time // the first end since the run last made a new step; zero: none
	left    int       // workers that the run goes on without
}

// Bounds of ends for want of something of which some do work.
const (
	recently = 2 * time.Minute
	tooMany  = 6 // as many that recently: fewer workers would do better
	// starved is how long a run that does not train waits for what was lacking: a
	// machine that has too little may kill a process only now and then, and have the
	// others crawl.
	starved = 100 * time.Second
)

func (s *shortage) note(now time.Time, l lack, name string, e process.Ending) {
	s.lack, s.process, s.words, s.advice, s.peak = l, name, e.Words, e.Report.Hint, max(s.peak, e.Peak)
	if s.since.IsZero() {
		s.since = now
	}
	s.ends = append(s.ends, now)
	for len(s.ends) > tooMany {
		s.ends = s.ends[1:]
	}
}

// crowded reports whether processes end for want of something all the time.
func (s *shortage) crowded(now time.Time) bool {
	return len(s.ends) >= tooMany && now.Sub(s.ends[0]) < recently
}

// starves reports whether a run gets nowhere since something was lacking. One that
// trains may be at a long step.
func (s *shortage) starves(now time.Time, state wire.RunState) bool {
	return !s.since.IsZero() && now.Sub(s.since) > starved && state != wire.StateTraining && state != wire.StateStopping
}

// now reports whether something is lacking still, as far as that shows.
func (s *shortage) now(now time.Time) bool {
	return s.left > 0 || len(s.ends) > 0 && now.Sub(s.ends[len(s.ends)-1]) < recently
}

// text says what is lacking, and how much there is.
func (s *shortage) text(limits cgroup.Limits) string {
	switch s.lack {
	case memory:
		text := "memory is short: "
		if limits.Memory != nil {
			text += fmt.Sprintf("the container may have %s", preflight.Bytes(limits.Memory.Max))
		} else {
			text += "this machine has too little"
		}
		if s.peak > 0 {
			text += fmt.Sprintf(", %s held %s when it ended", s.process, preflight.Bytes(s.peak))
		}
		return text
	case tasks:
		text := "processes and threads are short"
		if limits.Tasks != nil {
			text += fmt.Sprintf(": the container may have %d, %d are there", limits.Tasks.Max, limits.Tasks.Used)
		}
		return text + ": " + s.words
	}
	if s.lack == other {
		return s.words
	}
	return string(s.lack) + ": " + s.words
}

func (s *shortage) hint() string {
	if s.advice != "" {
		return s.advice
	}
	switch s.lack {
	case memory:
		return "give it more memory, or fewer workers, a smaller model or a smaller batch.rows; the same command goes on"
	case tasks:
		return "raise the limit (pids.max of the container, ulimit -u), or fewer workers or --threads; the same command goes on"
	case files:
		return "raise the limit with `ulimit -n 4096`; the same command goes on"
	case space:
		return "free some disk space; the same command goes on"
	}
	return "the same command goes on"
}

// oomKills counts what the kernel killed for want of memory, and which ends these were.
type oomKills struct {
	read  func() uint64 // the kernel's counter
	seen  uint64        // kills that are accounted for
	mark  uint64        // the counter at some time
	taken time.Time     // when that was
}

// late is how much later than the kernel's count the end of a process is known at most.
const late = 3 * time.Second

func newOOMKills(read func() uint64) oomKills { return oomKills{read: read, seen: read()} }

// claim reports whether the kernel has killed one more than is accounted for.
func (k *oomKills) claim() bool {
	if k.read() <= k.seen {
		return false
	}
	k.seen++
	return true
}

// forget leaves out kills of processes that are not this run's: nobody has claimed them
// for a while.
func (k *oomKills) forget(now time.Time) {
	if now.Sub(k.taken) > late {
		k.seen = max(k.seen, k.mark)
		k.mark, k.taken = k.read(), now
	}
}

func readLimits() cgroup.Limits { return cgroup.Read(os.DirFS("/")) }

// warnings are what the supervisor has to say of a run that goes on.
func (c *cluster) warnings(now time.Time) []wire.Warning {
	var all []wire.Warning
	if s := &c.shortage; s.now(now) {
		kind := wire.WarnRestarts
		if s.lack == memory {
			kind = wire.WarnMemory
		}
		text := s.text(c.limits()) + "; processes are started again at longer and longer intervals"
		if s.left > 0 {
			text = fmt.Sprintf("%s; the run goes on with %d of %d workers: `gramme scale` brings them back", s.text(c.limits()), c.wanted()-s.left, c.wanted())
		}
		all = append(all, wire.Warning{Kind: kind, Text: text})
	}
	for _, ch := range c.children {
		if ch.trouble.ends >= mostTold && ch.trouble.scarce == 0 && ch.failure != "" {
			all = append(all, wire.Warning{Kind: wire.WarnRestarts, Subject: ch.command.Name, Text: fmt.Sprintf(
				"%s ended %s in a row and is started again at longer and longer intervals: %s", ch.command.Name, often(ch.trouble.ends), ch.failure)})
		}
	}
	return all
}
