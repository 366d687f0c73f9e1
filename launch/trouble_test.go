package launch

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
)

// TestWhoCannotLive lets a process end the same way again and again.
func TestWhoCannotLive(t *testing.T) {
	const long, short = time.Minute, time.Second
	for _, c := range []struct {
		name  string
		end   end
		steps bool // the run makes some between two ends
		most  int  // ends after which it is given up; 0: never
		as    verdict
	}{
		{"it says that it is used wrongly", end{manner: process.Failed, code: exit.Usage, life: long}, true, 1, hopeless},
		{"it says that its input is at fault", end{manner: process.Failed, code: exit.Data, life: long}, true, 1, hopeless},
		{"it says that something does not verify", end{manner: process.Failed, code: exit.Verify, life: long}, true, 1, hopeless},
		{"it ends with the code of bad usage and says nothing", end{manner: process.Crashed, code: exit.Usage, life: short}, false, mostVain, hopeless},
		{"it fails at once", end{manner: process.Failed, code: exit.Failure, life: short}, false, mostVain, hopeless},
		{"it crashes at once", end{manner: process.Crashed, life: short}, false, mostVain, hopeless},
		{"it crashes later, and the run gets nowhere", end{manner: process.Crashed, life: long}, false, mostVain, hopeless},
		{"it crashes, and the others get on", end{manner: process.Crashed, life: short}, true, 0, again},
		{"it ends in order, and nobody wanted it to", end{manner: process.Succeeded, life: short}, false, mostVain, hopeless},
		{"it works and crashes", end{manner: process.Crashed, life: short, useful: true}, true, 0, again},
		{"it lives for long, and steps take longer", end{manner: process.Crashed, life: time.Hour}, false, 0, again},
		{"it lacks something, as it says", end{manner: process.Failed, code: exit.Resource, scarce: true, life: long}, true, mostTold, wanting},
		{"the kernel kills it for want of memory", end{manner: process.Killed, scarce: true, life: short}, false, mostScarce, wanting},
		{"the kernel kills it, and the others get on", end{manner: process.Killed, scarce: true, life: short}, true, mostScarce, wanting},
		{"it is killed before it can do anything", end{manner: process.Killed, life: short}, false, mostKills, hopeless},
		{"it is killed, and the run gets on", end{manner: process.Killed, life: short}, true, 0, again},
	} {
		var trouble trouble
		ends, v := 0, again
		for ; v == again && ends < 100; ends++ {
			if c.steps {
				c.end.steps++
			}
			var wait time.Duration
			if wait, v = trouble.after(c.end); v == again && (wait < firstPause || wait > lastPause) {
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
	var x trouble
	total := time.Duration(0)
	for i := range 20 {
		wait, _ := x.after(end{manner: process.Crashed, life: time.Second, steps: uint64(i)})
		total += wait
	}
	if total < 5*time.Minute {
		t.Errorf("20 starts within %s", total)
	}
	if wait, _ := x.after(end{manner: process.Crashed, useful: true}); wait != firstPause {
		t.Errorf("one that has worked waits for %s", wait)
	}
	x = trouble{}
	for range 20 {
		if wait, _ := x.after(end{manner: process.Killed, life: time.Second}); wait > killPause {
			t.Errorf("one that was killed waits for %s", wait)
		}
	}
	if wait, v := x.after(end{manner: process.Crashed, life: time.Second}); v != again || wait != firstPause {
		t.Error("kills are held against it")
	}
}

func TestAdvance(t *testing.T) {
	var a advance
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
		if stepped, stored := a.note(s.step, s.checkpoint); stepped != s.stepped || stored != s.stored {
			t.Errorf("%d: %+v: stepped %t, stored %t", i, s, stepped, stored)
		}
	}
}
