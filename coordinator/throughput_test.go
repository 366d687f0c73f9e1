package coordinator

import (
	"math"
	"testing"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

func beat(step, tokens uint64, seconds float64) wire.Beat {
	return wire.Beat{Step: step, Tokens: tokens, StepSeconds: number.Float(seconds), Loss: number.Float(step), Generation: 3}
}

func TestThroughputCountsEveryStepOnce(t *testing.T) {
	var b throughput
	b.applied(wire.Beat{Step: 10}) // nothing applied yet
	for _, step := range []uint64{11, 11, 12, 11, 14} {
		b.applied(beat(step, 100, 0.5)) // two workers; one lost a heartbeat
	}
	b.applied(wire.Beat{Step: 15}) // it took the state of step 15, and has no numbers
	if b.watched != 400 || b.newest.Loss != 14 {
		t.Errorf("%d tokens watched, newest %+v", b.watched, b.newest)
	}
	again := beat(6, 100, 0) // steps come again
	again.Lineage = wire.Lineage{Session: "s", Generation: 9}
	b.applied(again)
	if b.watched != 500 || b.newest.Loss != 6 {
		t.Errorf("%d tokens watched, newest %+v", b.watched, b.newest)
	}
}

func TestPaceForgets(t *testing.T) {
	var r rate
	if r.tokensPerSecond() != 0 || r.stepSeconds() != 0 {
		t.Error("a rate from nothing")
	}
	r.add(100, 0)
	for range 10 {
		r.add(100, 1)
	}
	if got := r.tokensPerSecond(); math.Abs(got-100) > 1e-9 {
		t.Errorf("%g tokens a second, want 100", got)
	}
	for range 100 {
		r.add(100, 0.5)
	}
	if got := r.tokensPerSecond(); math.Abs(got-200) > 1 {
		t.Errorf("%g tokens a second, want about 200", got)
	}
	if got := r.stepSeconds(); math.Abs(got-0.5) > 0.01 {
		t.Errorf("%g seconds a step, want about 0.5", got)
	}
}

// What the newest step warns of is shown, also by a coordinator that takes over in
// mid-run, once it knows of a step; nothing is shown of what nobody knows.
func TestThroughputShowsWhatIsKnown(t *testing.T) {
	var s wire.Status
	var b throughput
	b.applied(wire.Beat{Step: 7, Generation: 3}) // it took a state, and applied nothing
	if b.show(&s); s.Loss != (number.Optional{}) || len(s.Warnings) > 0 {
		t.Errorf("of nothing: %+v", s)
	}
	diverging := beat(40, 100, 0.5)
	diverging.Loss, diverging.Skipped, diverging.Warning = number.Float(math.NaN()), true, "the training diverges: why"
	b = throughput{} // another leads
	b.applied(diverging)
	b.show(&s)
	if loss, known := s.Loss.Get(); !known || !math.IsNaN(loss) || len(s.Warnings) != 1 ||
		s.Warnings[0] != (wire.Warning{Kind: wire.WarnDivergence, Text: diverging.Warning}) {
		t.Errorf("of a step that was skipped: %+v", s)
	}
	s = wire.Status{}
	b.applied(beat(41, 100, 0.5))
	if b.show(&s); s.Loss != number.Known(41) || len(s.Warnings) > 0 {
		t.Errorf("it recovered: %+v", s)
	}
}
