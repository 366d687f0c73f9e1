package coordinator

import (
	"math"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
)

func beat(step, tokens uint64, seconds float64) wire.Beat {
	return wire.Beat{Step: step, Tokens: tokens, StepSeconds: seconds, Loss: float64(step), Generation: 3}
}

func TestBookTellsEveryStepOnce(t *testing.T) {
	b := book{samples: 8}
	b.begin("s")
	b.from(10)
	if _, ok := b.take(); ok {
		t.Error("steps are told before any was applied")
	}
	b.applied(wire.Beat{Step: 10}) // nothing applied yet
	for _, step := range []uint64{11, 11, 12, 11, 14} {
		b.applied(beat(step, 100, 0.5)) // two workers; one lost a heartbeat
	}
	b.applied(wire.Beat{Step: 15}) // it took the state of step 15, and has no numbers
	want := wire.Event{Key: "steps/s/11-14", Kind: "steps", Generation: 3, FirstStep: 11, LastStep: 14, Samples: 32, Tokens: 400, Loss: 14}
	if e, ok := b.take(); !ok || e.Key != want.Key || e.Generation != 3 || e.FirstStep != 11 || e.LastStep != 14 || e.Samples != 32 || e.Tokens != 400 || e.Loss != 14 {
		t.Errorf("got %+v, want %+v", e, want)
	}
	if e, ok := b.take(); ok {
		t.Errorf("told again: %+v", e)
	}
	b.applied(beat(15, 100, 0.5))
	if e, ok := b.take(); !ok || e.Key != "steps/s/15-15" || e.Tokens != 100 {
		t.Errorf("got %+v", e)
	}
	if session, ok := sessionOf(want.Key); !ok || session != "s" {
		t.Errorf("session of the key: %q", session)
	}
	if _, ok := sessionOf("membership/s/3"); ok {
		t.Error("a membership counts as steps")
	}
}

// TestBookOfASessionThatItFinds begins with the first step that it hears.
func TestBookOfASessionThatItFinds(t *testing.T) {
	b := book{samples: 1}
	b.begin("s")
	b.applied(beat(7, 100, 0))
	if e, ok := b.take(); ok {
		t.Errorf("step 7 was not seen being applied: %+v", e)
	}
	if b.newest.Loss != 7 {
		t.Errorf("newest %+v", b.newest)
	}
	b.applied(beat(8, 100, 0))
	b.begin("other") // steps come again
	b.from(5)
	b.applied(beat(6, 100, 0))
	if e, ok := b.take(); !ok || e.FirstStep != 6 || e.LastStep != 6 || e.Key != "steps/other/6-6" {
		t.Errorf("got %+v", e)
	}
	if b.watched != 200 {
		t.Errorf("%d tokens watched", b.watched)
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
