package chaos

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ms(n int) time.Time { return epoch.Add(time.Duration(n) * time.Millisecond) }

func ring(pids ...int) (all []Member) {
	for _, pid := range pids {
		all = append(all, Member{ID: "w" + string(rune('0'+pid)), PID: pid, Share: 4})
	}
	return all
}

func look(at int, step, generation uint64, members []Member) Seen {
	return Seen{At: ms(at), Up: 1, State: wire.StateTraining, Step: step, Generation: generation, Members: members}
}

func TestQuantile(t *testing.T) {
	values := []int{5, 1, 4, 2, 3}
	for q, want := range map[float64]int{0: 1, 0.2: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := Quantile(values, q); got != want {
			t.Errorf("quantile %g of 1 to 5 is %d, not %d", q, got, want)
		}
	}
	if Quantile([]float64{}, 0.5) != 0 {
		t.Error("quantile of nothing")
	}
}

func TestOutcome(t *testing.T) {
	before := look(90, 10, 3, ring(1, 2))
	hit := target{id: "w2", pid: 2, share: 4, before: before, at: ms(100), up: 1}
	elsewhere := func(s Seen, up int, state wire.RunState) Seen { s.Up, s.State = up, state; return s }
	led := look(2000, 90, 3, ring(1, 2))
	led.Service = map[wire.Role]int{wire.RoleCoordinator: 9}
	fell := look(900, 6, 4, ring(5))
	for _, c := range []struct {
		name                     string
		kind                     Kind
		hit                      target
		seen                     []Seen
		detected, next, regained int // -1: not seen
	}{
		{"a step that was under way does not count", KillWorker, hit,
			[]Seen{before, look(110, 11, 3, ring(1, 2)), look(130, 11, 4, ring(1)), look(170, 12, 4, ring(1))}, 30, 70, 10},
		{"another generation with the one that is gone", KillWorker, hit,
			[]Seen{look(110, 11, 4, ring(1, 2, 3)), look(130, 11, 5, ring(1, 3))}, 30, -1, 10},
		{"the coordinator dies: no step waits for it", KillCoordinator, target{id: "coordinator", pid: 8, before: before, at: ms(100), up: 1},
			[]Seen{look(120, 11, 3, ring(1, 2)), led}, 1900, 20, 20},
		{"frozen for a moment, not missed", FreezeShort, hit, []Seen{look(105, 11, 3, ring(1, 2)), look(300, 12, 3, ring(1, 2))}, -1, 200, 5},
		{"the only worker dies: steps are lost", KillWorker,
			target{id: "w2", pid: 2, before: look(90, 10, 3, ring(2)), at: ms(100), up: 1},
			[]Seen{look(110, 10, 3, ring(2)), fell, look(950, 7, 4, ring(5)), look(990, 11, 4, ring(5))}, 800, 850, 890},
		{"everything is killed: the same command goes on from a checkpoint", KillAll,
			target{id: "up", before: before, at: ms(100), up: 2},
			[]Seen{look(110, 11, 3, ring(1, 2)), elsewhere(look(500, 0, 0, nil), 2, wire.StateWaiting), elsewhere(look(600, 8, 1, ring(7)), 2, wire.StateTraining),
				elsewhere(look(650, 9, 1, ring(7)), 2, wire.StateTraining), elsewhere(look(700, 11, 1, ring(7)), 2, wire.StateTraining)}, 400, 550, 600},
	} {
		o := c.hit.outcome(c.kind, c.seen)
		check := func(what string, at time.Time, want int) {
			got := -1
			if !at.IsZero() {
				got = int(at.Sub(c.hit.at).Milliseconds())
			}
			if got != want {
				t.Errorf("%s: %s after %d ms, not %d", c.name, what, got, want)
			}
		}
		check("noticed", o.detected, c.detected)
		check("next step", o.next, c.next)
		check("regained", o.regained, c.regained)
	}
}

// TestReason has a worker that is left out before the plan that says why is stored.
func TestReason(t *testing.T) {
	before := look(90, 10, 3, ring(2))
	hit := target{id: "w2", pid: 2, before: before, at: ms(100), up: 1}
	because := func(s Seen, reason string) Seen { s.Reason = reason; return s }
	o := hit.outcome(Hang, []Seen{
		because(look(300, 10, 4, ring(1, 2)), "w1 joined"), because(look(900, 10, 4, ring(1)), "w1 joined"),
		because(look(910, 10, 5, ring(1)), "w2 is gone: it hangs"), because(look(990, 11, 6, ring(1, 3)), "w3 joined"),
	})
	if o.reason != "w2 is gone: it hangs" || !o.detected.Equal(ms(900)) {
		t.Errorf("noticed at %s: %s", o.detected.Sub(epoch), o.reason)
	}
}

// TestStill has a worker that joins: the ring stands still while the plan changes.
func TestStill(t *testing.T) {
	before := look(80, 10, 3, ring(1))
	hit := target{id: "to 2", before: before, at: ms(100), up: 1}
	o := hit.outcome(ScaleUp, []Seen{
		before, look(110, 11, 3, ring(1)), look(140, 12, 3, ring(1)), look(150, 12, 4, ring(1, 2)), look(205, 13, 4, ring(1, 2)), look(400, 14, 4, ring(1, 2)),
	})
	if o.still != 65*time.Millisecond || !o.next.Equal(ms(205)) {
		t.Errorf("still for %s, next step at %s", o.still, o.next.Sub(epoch))
	}
}

// TestHistory holds that a coordinator that learns late of a step takes nothing
// back, and that a state which was lost is.
func TestHistory(t *testing.T) {
	var h history
	h.status(look(0, 5, 1, ring(1, 2)))
	h.beat(ms(1), wire.Beat{Generation: 1, Step: 6, Tokens: 1})
	h.beat(ms(2), wire.Beat{Generation: 0, Step: 9, Tokens: 1}) // a worker that was frozen
	h.status(look(3, 5, 1, ring(1, 2)))
	h.status(look(4, 5, 2, ring(2)))
	if s := h.newest(); s.Step != 6 || s.Generation != 2 || len(h.seen) != 3 {
		t.Errorf("newest %s of %d", s, len(h.seen))
	}
	h.status(look(5, 3, 3, ring(7)))
	if lost, falls := drops(h.seen); lost != 3 || falls != 1 {
		t.Errorf("%d steps lost in %d falls, not 3 in one", lost, falls)
	}
}

func TestStepTimes(t *testing.T) {
	waiting := look(50, 14, 1, nil)
	waiting.State = wire.StateWaiting
	got := stepTimes([]Seen{look(0, 10, 1, nil), look(20, 11, 1, nil), look(40, 13, 1, nil), waiting, look(500, 14, 2, nil), look(530, 15, 2, nil)})
	want := []time.Duration{20 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("steps of %v, not of %v", got, want)
	}
}
