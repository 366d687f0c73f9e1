package main

import (
	"fmt"
	"io"
	"time"

	"github.com/gramme-project/gramme/internal/energy"
	"github.com/gramme-project/gramme/internal/runspec"
	"github.com/gramme-project/gramme/internal/wire"
)

// plainEvery is how often a line is printed where none can be written over.
const plainEvery = 10 * time.Second

// progress is the line that shows how the training goes.
type progress struct {
	w       io.Writer
	live    bool
	factor  energy.Factor
	shown   time.Time
	last    wire.Status
	open    bool      // a live line stands that was not ended
	told    uint64    // newest generation whose reason was told
	noted   string    // what was told last of a run that does not train
	begun   time.Time // when the first step was seen
	first   wire.Status
	elapsed time.Duration
}

func newProgress(w io.Writer, spec runspec.Spec) *progress {
	p := &progress{w: w, live: live(w)}
	// A spec that is valid has a factor; without one the line shows none.
	p.factor, _ = energy.NewFactor(spec.Energy.Country, spec.Energy.Intensity, spec.Energy.PUE)
	return p
}

func (p *progress) set(s wire.Status) {
	p.note(s)
	if s.Step > 0 && p.begun.IsZero() {
		p.begun, p.first = time.Now(), s
	}
	if s.Step > p.last.Step {
		p.elapsed = time.Since(p.begun)
	}
	p.last = s
	switch {
	case p.live:
		fmt.Fprintf(p.w, "\r\x1b[K%s", p.line(s))
		p.open = true
	case time.Since(p.shown) >= plainEvery:
		p.shown = time.Now()
		fmt.Fprintln(p.w, p.line(s))
	}
}

// note tells, once, why a generation began, and what a run that does not train
// waits for or ended with.
func (p *progress) note(s wire.Status) {
	text := s.Reason
	if s.State == wire.StateTraining {
		if s.Generation <= p.told {
			return
		}
		p.told, p.noted = s.Generation, ""
		text = fmt.Sprintf("generation %d: %s", s.Generation, s.Reason)
	} else {
		if s.State == wire.StateWaiting {
			text = "waiting: " + s.Reason
		}
		if s.Reason == "" || text == p.noted {
			return
		}
		p.noted = text
	}
	p.end()
	fmt.Fprintln(p.w, text)
}

func (p *progress) line(s wire.Status) string {
	if s.State != wire.StateTraining && s.State != wire.StateStopping {
		return fmt.Sprintf("step %d/%d  %s", s.Step, s.Steps, s.State)
	}
	workers := 0
	for _, w := range s.Processes {
		if w.Role == wire.RoleWorker && w.Rank >= 0 {
			workers++
		}
	}
	return fmt.Sprintf("step %d/%d  loss %.3f  lr %.1e  %s tokens/s  %d workers  %.0f W  %.3f gCO2e  eta %s",
		s.Step, s.Steps, s.Loss, s.LearningRate, count(int64(s.TokensPerSecond)), workers, s.Watts,
		p.factor.Grams(int64(s.Joules*1e6)), ago(time.Duration(s.EtaSeconds*float64(time.Second))))
}

// end leaves the live line as it stands.
func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.w)
		p.open = false
	}
}

// rate is tokens a second over all that was seen.
func (p *progress) rate() float64 {
	if p.elapsed <= 0 {
		return p.last.TokensPerSecond
	}
	return float64(p.last.Tokens-p.first.Tokens) / p.elapsed.Seconds()
}
