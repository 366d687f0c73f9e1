package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// sampleEvery is the pause between two looks at the size of processes.
const sampleEvery = 250 * time.Millisecond

// A process has grown if the last third of its life differs from the second by
// more than this, in share and in amount. What it fills in the first third is its
// start. A shorter life shows nothing.
const (
	leastLife     = 30 * time.Second
	growthShare   = 0.2
	growthRSS     = 32 // MiB
	growthThreads = 16
	growthOther   = 32 // goroutines, or open files
)

// life is what one process held over time.
type life struct {
	name string
	pid  int
	at   []time.Duration // since it was first seen
	held []size
}

// Growth says how a process grew.
type Growth struct {
	Process       string  `json:"process"`
	PID           int     `json:"pid"`
	Seconds       float64 `json:"seconds"` // that it was seen
	MiB           float64 `json:"rss_mib"` // at the end
	Threads       float64 `json:"threads"`
	Files         float64 `json:"files"`              // open, connections included
	Goroutines    float64 `json:"goroutines"`         // as it says; 0: it does not, as `gramme up`
	MiBPerMinute  float64 `json:"rss_mib_per_minute"` // over the last two thirds
	ThreadsMinute float64 `json:"threads_per_minute"`
	FilesMinute   float64 `json:"files_per_minute"`
	RoutineMinute float64 `json:"goroutines_per_minute"`
	Grew          bool    `json:"grew"`
}

// of is one of the sizes over time.
func (l life) of(which func(size) float64) []float64 {
	all := make([]float64, len(l.held))
	for i, h := range l.held {
		all[i] = which(h)
	}
	return all
}

func (l life) growth() Growth {
	n := len(l.at)
	last, third := l.held[n-1], n/3
	g := Growth{
		Process: l.name, PID: l.pid, Seconds: l.at[n-1].Seconds(),
		MiB: last.rss, Threads: last.threads, Files: last.files, Goroutines: last.goroutines,
	}
	for _, of := range []struct {
		which  func(size) float64
		minute *float64
		most   float64
	}{
		{func(s size) float64 { return s.rss }, &g.MiBPerMinute, growthRSS},
		{func(s size) float64 { return s.threads }, &g.ThreadsMinute, growthThreads},
		{func(s size) float64 { return s.files }, &g.FilesMinute, growthOther},
		{func(s size) float64 { return s.goroutines }, &g.RoutineMinute, growthOther},
	} {
		values := l.of(of.which)
		*of.minute = 60 * Slope(l.at[third:], values[third:])
		if l.at[n-1] < leastLife || third == 0 {
			continue
		}
		before, after := Quantile(values[third:2*third], 0.5), Quantile(values[2*third:], 0.5)
		if after-before > of.most && after > before*(1+growthShare) {
			g.Grew = true
		}
	}
	return g
}

func (g Growth) String() string {
	text := fmt.Sprintf("%s (process %d): after %.0f s %.0f MiB, %.0f threads, %.0f files",
		g.Process, g.PID, g.Seconds, g.MiB, g.Threads, g.Files)
	each := fmt.Sprintf("; a minute %+.1f MiB, %+.1f threads, %+.1f files", g.MiBPerMinute, g.ThreadsMinute, g.FilesMinute)
	if g.Goroutines > 0 {
		text += fmt.Sprintf(", %.0f goroutines", g.Goroutines)
		each += fmt.Sprintf(", %+.1f goroutines", g.RoutineMinute)
	}
	return text + each
}

// sizes follows the size of all processes that the status shows.
type sizes struct {
	lives []*life
	open  map[int]*life
	begun map[int]time.Time
}

func newSizes() *sizes { return &sizes{open: map[int]*life{}, begun: map[int]time.Time{}} }

// run samples until ctx ends. up returns the process of `gramme up`.
func (z *sizes) run(ctx context.Context, w *watch, up func() int) {
	for ctx.Err() == nil {
		s := w.newest()
		now := map[int]string{}
		for _, m := range s.Members {
			now[m.PID] = string(wire.RoleWorker) + " " + m.ID
		}
		for role, pid := range s.Service {
			now[pid] = string(role)
		}
		if pid := up(); pid > 0 {
			now[pid] = wire.IDUp
		}
		for pid, name := range now {
			z.sample(time.Now(), pid, name, w.goroutines(pid))
		}
		pause(ctx, sampleEvery)
	}
}

func (z *sizes) sample(now time.Time, pid int, name string, goroutines int) {
	held, err := sizeOf(pid)
	if err != nil {
		return // gone, as processes are here
	}
	l := z.open[pid]
	if l == nil {
		l = &life{name: name, pid: pid}
		z.open[pid], z.begun[pid] = l, now
		z.lives = append(z.lives, l)
	}
	l.at = append(l.at, now.Sub(z.begun[pid]))
	held.goroutines = float64(goroutines)
	l.held = append(l.held, held)
}

// growths are those of all processes that lived for a while.
func (z *sizes) growths() []Growth {
	out := []Growth{}
	for _, l := range z.lives {
		if l.at[len(l.at)-1] >= leastLife/2 {
			out = append(out, l.growth())
		}
	}
	return out
}
