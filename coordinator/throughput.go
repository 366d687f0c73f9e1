package coordinator

import (
	"math"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

// throughput measures how fast steps of the present lineage come, and holds the newest. It has
// neither clock nor network.
type throughput struct {
	lineage wire.Lineage
	last    uint64 // newest step
	newest  wire.Beat
	watched uint64 // tokens of all steps that it saw, including lost ones
	rate    rate
}

// begin starts another lineage.
func (t *throughput) begin(lineage wire.Lineage) {
	*t = throughput{lineage: lineage, watched: t.watched}
}

// applied takes a heartbeat of a member.
func (t *throughput) applied(beat wire.Beat) {
	if beat.Tokens == 0 && !beat.Skipped {
		return // it applied nothing yet: its step is that of the state that it fetched
	}
	if beat.Lineage != t.lineage {
		t.begin(beat.Lineage)
	}
	if beat.Step >= t.newest.Step {
		t.newest = beat
	}
	if beat.Step <= t.last {
		return
	}
	fresh := uint64(1)
	if t.last > 0 {
		fresh = beat.Step - t.last // more than one where heartbeats were lost; steps have the same number of tokens
	}
	t.last = beat.Step
	t.watched += fresh * beat.Tokens
	t.rate.add(beat.Tokens, float64(beat.StepSeconds))
}

// show puts the newest step, if there is one, and its warning into a status.
func (t *throughput) show(s *wire.Status) {
	if t.last == 0 {
		return
	}
	n := t.newest
	s.Loss, s.MLMLoss, s.NSPLoss = known(n.Loss), known(n.MLMLoss), known(n.NSPLoss)
	s.MLMAccuracy, s.NSPAccuracy, s.LearningRate = known(n.MLMAccuracy), known(n.NSPAccuracy), known(n.LearningRate)
	if n.Warning != "" {
		s.Warnings = append(s.Warnings, wire.Warning{Kind: wire.WarnDivergence, Text: n.Warning})
	}
}

func known(f number.Float) number.Optional { return number.Known(float64(f)) }

// memory is the time over which the rate is averaged, in seconds.
const memory = 10

// rate is how fast steps come: an exponential average.
type rate struct{ steps, tokens, seconds float64 }

func (r *rate) add(tokens uint64, seconds float64) {
	if seconds <= 0 {
		return // the first step of a worker has no earlier one to measure from
	}
	keep := math.Exp(-seconds / memory)
	r.steps = keep*r.steps + 1
	r.tokens = keep*r.tokens + float64(tokens)
	r.seconds = keep*r.seconds + seconds
}

func (r *rate) tokensPerSecond() float64 {
	if r.seconds == 0 {
		return 0
	}
	return r.tokens / r.seconds
}

func (r *rate) stepSeconds() float64 {
	if r.steps == 0 {
		return 0
	}
	return r.seconds / r.steps
}
