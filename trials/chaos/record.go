package chaos

import (
	"fmt"
	"strings"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/words"
)

// Record is what a fault was and what followed. Times are in milliseconds since
// it was done; nil was not seen.
type Record struct {
	N          int       `json:"n"`
	Kind       Kind      `json:"kind"`
	Target     string    `json:"target"`
	At         time.Time `json:"at"`
	Step       uint64    `json:"step"` // newest applied before it
	Workers    int       `json:"workers"`
	HoldMS     float64   `json:"hold_ms,omitempty"` // how long the target was frozen, cut off or away
	Way        string    `json:"way,omitempty"`     // of cut-one-way: to or from the worker
	Signal     string    `json:"signal,omitempty"`  // of a crash
	DetectMS   *float64  `json:"detect_ms"`
	NextStepMS *float64  `json:"next_step_ms"`
	RegainedMS *float64  `json:"regained_ms"` // until a step beyond those of before
	StillMS    float64   `json:"still_ms"`    // longest time between two steps, until the next one
	// LostSteps had to be computed again; AgainAtMost bounds the micro-batches of
	// them and of the step that was under way.
	LostSteps   uint64 `json:"lost_steps"`
	AgainAtMost uint64 `json:"micro_batches_again_at_most"`
	Reason      string `json:"reason,omitempty"` // as the coordinator gives it
	// Of services that were away: steps meanwhile, and workers that were let go for
	// it, although they live.
	Meanwhile uint64   `json:"steps_meanwhile,omitempty"`
	ThrownOut []string `json:"thrown_out,omitempty"`
}

// record makes a record of what was seen.
func (t target) record(f Fault, hold time.Duration, o outcome, microBatches int) Record {
	since := func(at time.Time) *float64 {
		if at.IsZero() {
			return nil
		}
		ms := float64(at.Sub(t.at).Microseconds()) / 1000
		return &ms
	}
	r := Record{
		N: f.N, Kind: f.Kind, Target: t.id, At: t.at, Step: t.before.Step, Workers: len(t.before.Members), HoldMS: float64(hold.Microseconds()) / 1000,
		DetectMS: since(o.detected), NextStepMS: since(o.next), RegainedMS: since(o.regained), Reason: o.reason, Way: t.way, Signal: t.by,
		StillMS: float64(o.still.Microseconds()) / 1000,
	}
	lost := (f.Kind.is(restart) || len(t.before.Members) == 1) && !o.next.IsZero() && o.from < t.before.Step
	if lost {
		r.LostSteps = t.before.Step - o.from
	}
	switch {
	case f.Kind == KillUp, f.Kind == KillAll, lost:
		r.AgainAtMost = (r.LostSteps + 1) * uint64(microBatches)
	case f.Kind == KillWorker, f.Kind == CrashWorker, f.Kind == Hang, f.Kind == FreezeLong, f.Kind.is(cut) && r.DetectMS != nil:
		r.AgainAtMost = uint64(t.share)
	}
	return r
}

func (r Record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%3d  step %-6d %-9s  %-16s %-10s", r.N, r.Step, words.Several(r.Workers, "worker"), r.Kind, r.Target)
	if r.Way != "" {
		fmt.Fprintf(&b, "  %s it", r.Way)
	}
	if r.Signal != "" {
		fmt.Fprintf(&b, "  by %s", r.Signal)
	}
	if r.HoldMS > 0 {
		fmt.Fprintf(&b, "  for %.0f ms", r.HoldMS)
	}
	write := func(what string, ms *float64) {
		if ms == nil {
			fmt.Fprintf(&b, "  %s -", what)
		} else {
			fmt.Fprintf(&b, "  %s %.0f ms", what, *ms)
		}
	}
	write("noticed", r.DetectMS)
	write("next step", r.NextStepMS)
	if r.StillMS > 0 {
		fmt.Fprintf(&b, "  longest step %.0f ms", r.StillMS)
	}
	if r.LostSteps > 0 {
		fmt.Fprintf(&b, "  %s lost", words.Several(r.LostSteps, "step"))
	}
	if r.Meanwhile > 0 {
		fmt.Fprintf(&b, "  %s meanwhile", words.Several(r.Meanwhile, "step"))
	}
	if len(r.ThrownOut) > 0 {
		fmt.Fprintf(&b, "  thrown out: %s", strings.Join(r.ThrownOut, ", "))
	}
	if r.AgainAtMost > 0 {
		fmt.Fprintf(&b, "  at most %s again", words.Several(r.AgainAtMost, "micro-batch"))
	}
	return b.String()
}

// Report is what a trial found.
type Report struct {
	Plan        string    `json:"plan"` // its file, if any
	Seed        uint64    `json:"seed"`
	Run         string    `json:"run"` // folder
	Began       time.Time `json:"began"`
	Seconds     float64   `json:"seconds"`
	Steps       uint64    `json:"steps"`
	Workers     string    `json:"workers"`
	Services    string    `json:"services"`
	Processors  int       `json:"processors"`
	StepMS      float64   `json:"step_p50_ms"` // of the disturbed run
	StepP99MS   float64   `json:"step_p99_ms"`
	Faults      []Record  `json:"faults"`
	Kinds       []Summary `json:"kinds"`
	Energy      *Energy   `json:"energy,omitempty"`
	Model       string    `json:"model_sha256"`
	Optimizer   string    `json:"optimizer_sha256"`
	Checks      []Check   `json:"checks"`
	OK          bool      `json:"ok"`
	Interrupted bool      `json:"interrupted,omitempty"`
}

// Energy compares what both runs cost, in joules, as their ledgers tell.
type Energy struct {
	Undisturbed float64                  `json:"undisturbed_j"`
	Disturbed   float64                  `json:"disturbed_j"`
	Wasted      float64                  `json:"wasted_j"`
	LostWork    float64                  `json:"lost_work_j"` // of Wasted: steps that had to be computed again after everything ended
	ByPhase     map[energy.Phase]float64 `json:"by_phase_j"`
	Guessed     float64                  `json:"guessed_share"`
}

// Check is one thing that has to hold, and whether it does.
type Check struct {
	Name  string `json:"name"`
	Found string `json:"found"`
	OK    bool   `json:"ok"`
}

// Failures are the checks that failed.
func (r *Report) Failures() []Check {
	var out []Check
	for _, c := range r.Checks {
		if !c.OK {
			out = append(out, c)
		}
	}
	return out
}
