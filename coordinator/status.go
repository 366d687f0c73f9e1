package coordinator

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

// processKey tells one start of a process from another, as far as that is known.
func processKey(b wire.ProcessBeat) string {
	return fmt.Sprintf("%s/%s/%s/%d", b.Role, b.ID, b.Host, b.PID)
}

// statusInput is the data from which a status is made.
type statusInput struct {
	run        string
	steps      uint64
	state      wire.RunState
	reason     string
	plan       wire.Plan
	committed  uint64
	workers    []roster.Worker
	throughput throughput
	sources    sources
	hangs      hangs
	slowdowns  []wire.Warning
	self       wire.ProcessBeat
}

// status makes the status that users see.
func (s statusInput) status(now time.Time) wire.Status {
	out := wire.Status{
		Run: s.run, State: s.state, Reason: s.reason, Step: s.committed, Steps: s.steps, Generation: s.plan.Generation,
		Tokens: s.throughput.watched, StepSeconds: number.Positive(s.throughput.rate.stepSeconds()), Checkpoint: s.committed, Mixed: s.plan.Mixed,
		Processes: []wire.Process{},
	}
	if out.Ring = s.plan.Ring; out.Ring == "" && len(s.plan.Members) > 1 {
		out.Ring = wire.RingDirect
	}
	if step, ok := newestStep(s.workers); ok {
		out.Step = step
	}
	s.throughput.show(&out)
	if seconds, known := out.StepSeconds.Get(); known && (s.state == wire.StateTraining || s.state == wire.StateStopping) {
		out.TokensPerSecond = number.Known(s.throughput.rate.tokensPerSecond())
		out.EtaSeconds = number.Known(seconds * float64(s.steps-min(s.steps, out.Step)))
	}
	out.Warnings = append(append(out.Warnings, s.hangs.warnings(now)...), s.slowdowns...)
	joules, watts := s.sources.total(now)
	out.Joules = number.Positive(joules + float64(s.self.Joules))
	out.Watts = number.Positive(watts + float64(s.self.Watts))
	for _, w := range s.workers {
		speed := w.Beat.Speed
		if speed == 0 {
			speed = w.Registration.Speed
		}
		out.Processes = append(out.Processes, wire.Process{
			Role: wire.RoleWorker, ID: w.Registration.ID, PID: w.Registration.PID, Host: w.Registration.Host,
			Rank: w.Rank, State: w.State, Reason: cmp.Or(w.Refused, w.Waits), MicroBatches: w.Share, Step: w.Beat.Step, Speed: speed,
			Slow: number.Float(hundredths(w.Slow)), Goroutines: w.Beat.Goroutines, Link: w.Beat.Link,
		})
	}
	for _, p := range append(s.sources.others(now), s.self) {
		out.Warnings = append(out.Warnings, p.Warnings...)
		out.Processes = append(out.Processes, wire.Process{Role: p.Role, ID: p.ID, PID: p.PID, Host: p.Host, Rank: -1, State: p.State, Goroutines: p.Goroutines})
	}
	return out
}

// hundredths rounds to two places; a positive number stays positive.
func hundredths(x float64) float64 {
	if x <= 0 {
		return 0
	}
	return max(1, math.Round(100*x)) / 100
}

// newestStep is the newest step of any member that sent a heartbeat.
func newestStep(workers []roster.Worker) (step uint64, ok bool) {
	for _, w := range workers {
		if w.Rank >= 0 && w.Beat.Incarnation != "" {
			step, ok = max(step, w.Beat.Step), true
		}
	}
	return step, ok
}
