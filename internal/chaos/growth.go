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
)

// life is what one process held over time.
type life struct {
	name    string
	pid     int
	at      []time.Duration // since it was first seen
	rss     []float64
	threads []float64
}

// Growth says how a process grew.
type Growth struct {
	Process       string  `json:"process"`
	PID           int     `json:"pid"`
	Seconds       float64 `json:"seconds"` // that it was seen
	MiB           float64 `json:"rss_mib"` // at the end
	Threads       float64 `json:"threads"`
	MiBPerMinute  float64 `json:"rss_mib_per_minute"` // over the last two thirds
	ThreadsMinute float64 `json:"threads_per_minute"`
	Grew          bool    `json:"grew"`
}

func (l life) growth() Growth {
	n := len(l.at)
	g := Growth{Process: l.name, PID: l.pid, Seconds: l.at[n-1].Seconds(), MiB: l.rss[n-1], Threads: l.threads[n-1]}
	third := n / 3
	g.MiBPerMinute = 60 * Slope(l.at[third:], l.rss[third:])
	g.ThreadsMinute = 60 * Slope(l.at[third:], l.threads[third:])
	if l.at[n-1] < leastLife || third == 0 {
		return g
	}
	grew := func(values []float64, amount float64) bool {
		before, after := Quantile(values[third:2*third], 0.5), Quantile(values[2*third:], 0.5)
		return after-before > amount && after > before*(1+growthShare)
	}
	g.Grew = grew(l.rss, growthRSS) || grew(l.threads, growthThreads)
	return g
}

func (g Growth) String() string {
	return fmt.Sprintf("%s (process %d): %.0f MiB, %.0f threads after %.0f s, %+.1f MiB and %+.1f threads a minute",
		g.Process, g.PID, g.MiB, g.Threads, g.Seconds, g.MiBPerMinute, g.ThreadsMinute)
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
			now[m.PID] = wire.RoleWorker + " " + m.ID
		}
		for role, pid := range s.Service {
			now[pid] = role
		}
		if pid := up(); pid > 0 {
			now[pid] = "up"
		}
		for pid, name := range now {
			z.sample(time.Now(), pid, name)
		}
		pause(ctx, sampleEvery)
	}
}

func (z *sizes) sample(now time.Time, pid int, name string) {
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
	l.rss = append(l.rss, held.rss)
	l.threads = append(l.threads, held.threads)
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
