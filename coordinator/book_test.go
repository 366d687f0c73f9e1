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

func TestBookCountsEveryStepOnce(t *testing.T) {
	var b book
	b.applied(wire.Beat{Step: 10}) // nothing applied yet
	for _, step := range []uint64{11, 11, 12, 11, 14} {
		b.applied(beat(step, 100, 0.5)) // two workers; one lost a heartbeat
	}
	b.applied(wire.Beat{Step: 15}) // it took the state of step 15, and has no numbers
	if b.watched != 400 || b.newest.Loss != 14 {
		t.Errorf("%d tokens watched, newest %+v", b.watched, b.newest)
	}
	again := beat(6, 100, 0) // steps come again
	again.Begun = wire.Begun{Session: "s", Generation: 9}
	b.applied(again)
	if b.watched != 500 || b.newest.Loss != 6 {
		t.Errorf("%d tokens watched, newest %+v", b.watched, b.newest)
	}
}

func TestPaceForgets(t *testing.T) {
	var p pace
	if p.tokensPerSecond() != 0 || p.stepSeconds() != 0 {
		t.Error("a pace from nothing")
	}
	p.add(100, 0)
	for range 10 {
		p.add(100, 1)
	}
	if got := p.tokensPerSecond(); math.Abs(got-100) > 1e-9 {
		t.Errorf("%g tokens a second, want 100", got)
	}
	for range 100 {
		p.add(100, 0.5)
	}
	if got := p.tokensPerSecond(); math.Abs(got-200) > 1 {
		t.Errorf("%g tokens a second, want about 200", got)
	}
	if got := p.stepSeconds(); math.Abs(got-0.5) > 0.01 {
		t.Errorf("%g seconds a step, want about 0.5", got)
	}
}
