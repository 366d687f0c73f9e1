package supervisor

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/preflight"
)

// pressure is what is known of the resource that the machine lacks, as far as the ends
// of processes tell. It is a value without clock or machine.
type pressure struct {
	lacks   resource
	process string // that ended last for want of it
	words   string // of its end
	advice  string // of the process itself
	peak    int64  // most memory that a process held which ended so
	ends    []time.Time
	since   time.Time // the first end since the run last made a new step; zero: none
	left    int       // workers that the run goes on without
}

// Bounds of ends for want of a resource, of which some processes do work.
const (
	recently = 2 * time.Minute
	tooMany  = 6 // as many that recently: fewer workers would do better
	// starvedAfter is how long a run that does not train waits for what was lacking: a
	// machine that has too little may kill a process only now and then, and have the
	// others crawl.
	starvedAfter = 100 * time.Second
)

func (p *pressure) note(now time.Time, r resource, name string, e exit.Ending) {
	p.lacks, p.process, p.words, p.advice, p.peak = r, name, e.Words, e.Report.Hint, max(p.peak, e.Peak)
	if p.since.IsZero() {
		p.since = now
	}
	p.ends = append(p.ends, now)
	for len(p.ends) > tooMany {
		p.ends = p.ends[1:]
	}
}

// crowded reports whether processes end for want of a resource all the time.
func (p *pressure) crowded(now time.Time) bool {
	return len(p.ends) >= tooMany && now.Sub(p.ends[0]) < recently
}

// starves reports whether a run gets nowhere since something was lacking. One that
// trains may be at a long step.
func (p *pressure) starves(now time.Time, state wire.RunState) bool {
	return !p.since.IsZero() && now.Sub(p.since) > starvedAfter && state != wire.StateTraining && state != wire.StateStopping
}

// lasts reports whether something is lacking still, as far as that shows.
func (p *pressure) lasts(now time.Time) bool {
	return p.left > 0 || len(p.ends) > 0 && now.Sub(p.ends[len(p.ends)-1]) < recently
}

// text says what is lacking, and how much there is.
func (p *pressure) text(limits cgroup.Limits) string {
	switch p.lacks {
	case memory:
		text := "memory is short: "
		if limits.Memory != nil {
			text += fmt.Sprintf("the container may have %s", preflight.Bytes(limits.Memory.Max))
		} else {
			text += "this machine has too little"
		}
		if p.peak > 0 {
			text += fmt.Sprintf(", %s held %s when it ended", p.process, preflight.Bytes(p.peak))
		}
		return text
	case tasks:
		text := "processes and threads are short"
		if limits.Tasks != nil {
			text += fmt.Sprintf(": the container may have %d, %d are there", limits.Tasks.Max, limits.Tasks.Used)
		}
		return text + ": " + p.words
	case other:
		return p.words
	}
	return string(p.lacks) + ": " + p.words
}

func (p *pressure) hint() string {
	if p.advice != "" {
		return p.advice
	}
	switch p.lacks {
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

// warning is what the status of the run shows of it.
func (p *pressure) warning(limits cgroup.Limits, workers int) wire.Warning {
	w := wire.Warning{Kind: wire.WarnRestarts, Text: p.text(limits) + "; processes are started again at longer and longer intervals"}
	if p.lacks == memory {
		w.Kind = wire.WarnMemory
	}
	if p.left > 0 {
		w.Text = fmt.Sprintf("%s; the run goes on with %d of %d workers: `gramme scale` brings them back", p.text(limits), workers-p.left, workers)
	}
	return w
}
