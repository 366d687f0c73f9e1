package supervisor

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
)

// TestGivingUp lets a process end the same way again and again.
func TestGivingUp(t *testing.T) {
	const long, short = time.Minute, time.Second
	for _, c := range []struct {
		name  string
		life  life
		steps bool // the run makes some between two ends
		most  int  // ends after which it is given up; 0: never
		as    verdict
	}{
		{"it says that it is used wrongly", life{manner: exit.Reported, code: exit.Usage, lasted: long}, true, 1, giveUp},
		{"it says that its input is at fault", life{manner: exit.Reported, code: exit.Data, lasted: long}, true, 1, giveUp},
		{"it says that something does not verify", life{manner: exit.Reported, code: exit.Verify, lasted: long}, true, 1, giveUp},
		{"it ends with the code of bad usage and says nothing", life{manner: exit.Crashed, code: exit.Usage, lasted: short}, false, mostVain, giveUp},
		{"it fails at once", life{manner: exit.Reported, code: exit.Failure, lasted: short}, false, mostVain, giveUp},
		{"it crashes at once", life{manner: exit.Crashed, lasted: short}, false, mostVain, giveUp},
		{"it crashes later, and the run gets nowhere", life{manner: exit.Crashed, lasted: long}, false, mostVain, giveUp},
		{"it crashes, and the others get on", life{manner: exit.Crashed, lasted: short}, true, 0, restart},
		{"it ends in order, and nobody wanted it to", life{manner: exit.Succeeded, lasted: short}, false, mostVain, giveUp},
		{"it works and crashes", life{manner: exit.Crashed, lasted: short, useful: true}, true, 0, restart},
		{"it lives for long, and steps take longer", life{manner: exit.Crashed, lasted: time.Hour}, false, 0, restart},
		{"it lacks something, as it says", life{manner: exit.Reported, code: exit.Resource, scarce: true, lasted: long}, true, mostReported, noRoom},
		{"the kernel kills it for want of memory", life{manner: exit.Killed, scarce: true, lasted: short}, false, mostScarce, noRoom},
		{"the kernel kills it, and the others get on", life{manner: exit.Killed, scarce: true, lasted: short}, true, mostScarce, noRoom},
		{"it is killed before it can do anything", life{manner: exit.Killed, lasted: short}, false, mostKills, giveUp},
		{"it is killed, and the run gets on", life{manner: exit.Killed, lasted: short}, true, 0, restart},
	} {
		var restarts restarts
		ends, v := 0, restart
		for ; v == restart && ends < 100; ends++ {
			if c.steps {
				c.life.steps++
			}
			var wait time.Duration
			if wait, v = restarts.after(c.life); v == restart && (wait < failedBackoff.First || wait > failedBackoff.Longest) {
				t.Errorf("%s: a pause of %s", c.name, wait)
			}
		}
		if c.most == 0 {
			c.most = 100
		}
		if ends != c.most || v != c.as {
			t.Errorf("%s: verdict %d after %d ends, not %d after %d", c.name, v, ends, c.as, c.most)
		}
	}
}

// TestPauses sees that what is of no use is started again ever less often, and what has
// worked at once.
func TestPauses(t *testing.T) {
	var x restarts
	total := time.Duration(0)
	for i := range 20 {
		wait, _ := x.after(life{manner: exit.Crashed, lasted: time.Second, steps: uint64(i)})
		total += wait
	}
	if total < 5*time.Minute {
		t.Errorf("20 starts within %s", total)
	}
	if wait, _ := x.after(life{manner: exit.Crashed, useful: true}); wait != failedBackoff.First {
		t.Errorf("one that has worked waits for %s", wait)
	}
	x = restarts{}
	for range 20 {
		if wait, _ := x.after(life{manner: exit.Killed, lasted: time.Second}); wait > killedBackoff.Longest {
			t.Errorf("one that was killed waits for %s", wait)
		}
	}
	if wait, v := x.after(life{manner: exit.Crashed, lasted: time.Second}); v != restart || wait != failedBackoff.First {
		t.Error("kills are held against it")
	}
}

func TestProgress(t *testing.T) {
	var p progress
	for i, s := range []struct {
		step, checkpoint uint64
		stepped, stored  bool
	}{
		{60, 60, false, false}, // goes on from there
		{61, 60, true, false},
		{0, 60, false, false}, // all workers are gone
		{60, 60, false, false},
		{61, 60, false, false}, // the step that was lost, again
		{62, 62, true, true},
		{62, 0, false, false}, // another coordinator, which does not know yet
		{62, 62, false, false},
		{0, 63, true, true},
	} {
		if stepped, stored := p.note(s.step, s.checkpoint); stepped != s.stepped || stored != s.stored {
			t.Errorf("%d: %+v: stepped %t, stored %t", i, s, stepped, stored)
		}
	}
}
