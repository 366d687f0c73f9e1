package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/runspec"
)

// plainEvery is how often a line is printed where none can be written over.
const plainEvery = 10 * time.Second

// progress is the line that shows how the training goes.
type progress struct {
	w       io.Writer
	live    bool
	width   func() int // of the terminal, 0 is unknown
	factor  energy.Factor
	shown   time.Time
	last    wire.Status
	open    bool   // a live line stands that was not ended
	told    uint64 // newest generation whose reason was told
	noted   string // the last reason of a run that does not train
	warned  []wire.Warning
	begun   time.Time // when the first step was seen
	tokens  uint64    // since then, as far as coordinators saw them
	elapsed time.Duration
}

func newProgress(w io.Writer, spec runspec.Spec) *progress {
	p := &progress{w: w, live: live(w), width: func() int { return width(w) }}
	// A spec that is valid has a factor; without one the line shows none.
	p.factor, _ = energy.NewFactor(spec.Energy.Country, spec.Energy.Intensity, spec.Energy.PUE)
	return p
}

func (p *progress) set(s wire.Status) {
	p.note(s)
	p.warn(s.Warnings)
	switch {
	case p.begun.IsZero():
		if s.Step > 0 {
			p.begun = time.Now()
		}
	case s.Tokens < p.last.Tokens: // another coordinator, which counts from its own beginning
		p.tokens += s.Tokens
	default:
		p.tokens += s.Tokens - p.last.Tokens
	}
	if s.Step > p.last.Step {
		p.elapsed = time.Since(p.begun)
	}
	p.last = s
	switch {
	case p.live:
		// One column stays free: some terminals wrap when the last is written.
		fmt.Fprintf(p.w, "\r\x1b[K%s", fit(p.fields(s), p.width()-1))
		p.open = true
	case time.Since(p.shown) >= plainEvery:
		p.shown = time.Now()
		fmt.Fprintln(p.w, fit(p.fields(s), 0))
	}
}

// note prints, once, why a generation began, or why a run does not train.
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

// warn prints each warning when it comes up. One whose text changes while it stands
// is not printed again: its numbers are in the status.
func (p *progress) warn(now []wire.Warning) {
	for _, w := range now {
		stands := slices.ContainsFunc(p.warned, func(o wire.Warning) bool { return o.Kind == w.Kind && o.Subject == w.Subject })
		if !stands {
			p.end()
			fmt.Fprintln(p.w, "warning: "+w.Text)
		}
	}
	p.warned = now
}

// field is a part of the line. The most important one has the lowest rank.
type field struct {
	rank int
	text string
}

// fields are the parts of the line, in their order.
func (p *progress) fields(s wire.Status) []field {
	step := field{0, fmt.Sprintf("step %d/%d", s.Step, s.Steps)}
	if s.State != wire.StateTraining && s.State != wire.StateStopping {
		return []field{step, {0, string(s.State)}}
	}
	fields := []field{step}
	// Values that are not measured yet are left out: a 0 would be a measurement.
	measured := func(rank int, o number.Optional, text func(v float64) string) {
		if v, known := o.Get(); known {
			fields = append(fields, field{rank, text(v)})
		}
	}
	measured(1, s.Loss, func(v float64) string { return "loss " + lossText(v) })
	measured(7, s.LearningRate, func(v float64) string { return fmt.Sprintf("lr %.2g", v) })
	measured(3, s.TokensPerSecond, func(v float64) string { return count(int64(v)) + " tok/s" })
	fields = append(fields, field{4, words.Several(s.Members(), "worker")})
	measured(6, s.Watts, func(v float64) string { return fmt.Sprintf("%.0f W", v) })
	measured(5, s.Joules, func(v float64) string { return fmt.Sprintf("%.3f gCO2e", p.factor.Grams(int64(v*1e6))) })
	measured(2, s.EtaSeconds, func(v float64) string { return "eta " + ago(time.Duration(v*float64(time.Second))) })
	return fields
}

// lossText is a loss as people read it, however large it is; "NaN" and "+Inf" for one
// that is no number.
func lossText(v float64) string {
	if math.Abs(v) < 1e6 {
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.4g", v)
}

// fit joins the fields to a line of at most so many columns; 0 or less is no
// bound. It puts them closer together, then leaves out the least needed.
func fit(fields []field, columns int) string {
	fits := func(line string) bool { return columns <= 0 || len(line) <= columns }
	for {
		texts := make([]string, len(fields))
		for i, f := range fields {
			texts[i] = f.text
		}
		if line := strings.Join(texts, "  "); fits(line) {
			return line
		}
		line := strings.Join(texts, " ")
		least := slices.MaxFunc(fields, func(a, b field) int { return a.rank - b.rank })
		if fits(line) || least.rank == 0 {
			return line
		}
		fields = slices.DeleteFunc(fields, func(f field) bool { return f == least })
	}
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
		return p.last.TokensPerSecond.Or(0)
	}
	return float64(p.tokens) / p.elapsed.Seconds()
}
