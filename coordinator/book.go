package coordinator

import (
	"math"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

// book knows how fast steps come in the present lineage, and the newest step. It has
// neither clock nor network.
type book struct {
	lineage wire.Lineage
	last    uint64 // newest step
	newest  wire.Beat
	watched uint64 // tokens of all steps that it saw, lost ones too
	pace    pace
}

// begin starts another lineage.
func (b *book) begin(lineage wire.Lineage) { *b = book{lineage: lineage, watched: b.watched} }

// applied takes a heartbeat of a member.
func (b *book) applied(beat wire.Beat) {
	if beat.Tokens == 0 && !beat.Skipped {
		return // it applied nothing yet; its step is that of the state that it took
	}
	if beat.Lineage != b.lineage {
		b.begin(beat.Lineage)
	}
	if beat.Step >= b.newest.Step {
		b.newest = beat
	}
	if beat.Step <= b.last {
		return
	}
	fresh := uint64(1)
	if b.last > 0 {
		fresh = beat.Step - b.last // more where heartbeats were lost: steps are alike
	}
	b.last = beat.Step
	b.watched += fresh * beat.Tokens
	b.pace.add(beat.Tokens, float64(beat.StepSeconds))
}

// show puts the newest step into a status, if one was seen, and what it warns of.
func (b *book) show(s *wire.Status) {
	if b.last == 0 {
		return
	}
	n := b.newest
	s.Loss, s.MLMLoss, s.NSPLoss = known(n.Loss), known(n.MLMLoss), known(n.NSPLoss)
	s.MLMAccuracy, s.NSPAccuracy, s.LearningRate = known(n.MLMAccuracy), known(n.NSPAccuracy), known(n.LearningRate)
	if n.Warning != "" {
		s.Warnings = append(s.Warnings, wire.Warning{Kind: wire.WarnDivergence, Text: n.Warning})
	}
}

func known(f number.Float) number.Optional { return number.Known(float64(f)) }

// memory is the time over which the pace is smoothed, in seconds.
const memory = 10

// pace is how fast steps come: an average that forgets.
type pace struct{ steps, tokens, seconds float64 }

func (p *pace) add(tokens uint64, seconds float64) {
	if seconds <= 0 {
		return // the first step of a worker: nothing to measure from
	}
	keep := math.Exp(-seconds / memory)
	p.steps = keep*p.steps + 1
	p.tokens = keep*p.tokens + float64(tokens)
	p.seconds = keep*p.seconds + seconds
}

func (p *pace) tokensPerSecond() float64 {
	if p.seconds == 0 {
		return 0
	}
	return p.tokens / p.seconds
}

func (p *pace) stepSeconds() float64 {
	if p.steps == 0 {
		return 0
	}
	return p.seconds / p.steps
}
