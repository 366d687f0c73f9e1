// Package growth judges whether processes grow while they run: in memory, threads, open
// files and goroutines.
//
// It guarantees that a size which rises at the start of a life and then stays is no
// growth. It judges no life of less than half a minute, and knows processes of this
// machine only.
package growth

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/words"
)

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
		*of.minute = 60 * slope(l.at[third:], values[third:])
		if l.at[n-1] < leastLife || third == 0 {
			continue
		}
		before, after := median(values[third:2*third]), median(values[2*third:])
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

// Judge reports whether no process grew, and of which processes that is known.
func Judge(all []Growth) (found string, ok bool) {
	var grew []string
	longest := 0.0
	for _, g := range all {
		longest = max(longest, g.Seconds)
		if g.Grew {
			grew = append(grew, g.String())
		}
	}
	switch {
	case len(grew) > 0:
		return strings.Join(grew, "; "), false
	case longest < leastLife.Seconds():
		return fmt.Sprintf("no process lived for %s, nothing to tell", leastLife), true
	}
	return fmt.Sprintf("of %s that lived for %s or more", words.Several(len(all), "process"), leastLife/2), true
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// slope is that of the line which fits best through values over time, a second.
func slope(at []time.Duration, values []float64) float64 {
	n := float64(len(values))
	if n < 2 {
		return 0
	}
	var sx, sy, sxx, sxy float64
	for i, v := range values {
		x := at[i].Seconds()
		sx, sy, sxx, sxy = sx+x, sy+v, sxx+x*x, sxy+x*v
	}
	d := n*sxx - sx*sx
	if d == 0 {
		return 0
	}
	return (n*sxy - sx*sy) / d
}
