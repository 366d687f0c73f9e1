package local

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestWhoCannotLive lets a process end the same way again and again.
func TestWhoCannotLive(t *testing.T) {
	long, short := time.Minute, time.Second
	for _, c := range []struct {
		name string
		end  end
		most int // ends after which it is given up; 0: never
	}{
		{"it says that its input is at fault", end{code: exit.Data, life: long}, 1},
		{"it fails at once", end{code: 1, life: short}, 6},
		{"it fails now and then", end{code: 1, life: long}, 0},
		{"the machine lacks something at once", end{code: exit.Resource, life: short}, 3},
		{"the machine lacks something, later", end{code: exit.Resource, life: long}, 3},
		{"it is killed before it can do anything", end{code: -1, killed: true, life: short}, 30},
		{"it is killed, and the run gets on", end{code: -1, killed: true, life: short, progress: true}, 0},
		{"it is killed now and then", end{code: -1, killed: true, life: 4 * time.Second}, 0},
	} {
		var trouble trouble
		ends := 0
		for hopeless := 0; hopeless == 0 && ends < 100; ends++ {
			var wait time.Duration
			if wait, hopeless = trouble.after(c.end); hopeless == 0 && (wait < firstPause || wait > lastPause) {
				t.Errorf("%s: a pause of %s", c.name, wait)
			}
		}
		if c.most == 0 {
			c.most = 100
		}
		if ends != c.most {
			t.Errorf("%s: %d ends, not %d", c.name, ends, c.most)
		}
	}
}

func TestWhatIsHeldAgainstAProcess(t *testing.T) {
	var x trouble
	for i := range 20 {
		// It fails for want of disk now and then, and stores in between.
		if _, hopeless := x.after(end{code: exit.Resource, life: time.Minute, checkpoint: uint64(i)}); hopeless > 0 {
			t.Fatalf("it is given up after %d ends, though it stores", i)
		}
	}
	x = trouble{}
	for range 20 {
		x.after(end{code: -1, killed: true, life: time.Second})
	}
	if _, hopeless := x.after(end{code: 1, life: time.Second}); hopeless > 0 {
		t.Error("kills are held against it")
	}
}

// TestAStartThatFailsIsTriedAgain takes the worker's program away while it is started
// again.
func TestAStartThatFailsIsTriedAgain(t *testing.T) {
	x := newTrial(t)
	self := x.options.Worker
	x.options.Worker = x.path("worker")
	if err := os.Symlink(self, x.options.Worker); err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 10)
	x.options.Tell = func(text string) { told <- text }
	x.begin()
	if err := os.Remove(x.options.Worker); err != nil {
		t.Fatal(err)
	}
	x.killed("w1")
	if text := <-told; !strings.HasPrefix(text, "start worker w1: ") {
		t.Errorf("%q is told", text)
	}
	if err := os.Symlink(self, x.options.Worker); err != nil {
		t.Fatal(err)
	}
	x.until("the worker is there again", func() bool { return len(x.pids("w1")) == 2 })
	x.stored()
	if err := x.end(); err != nil {
		t.Error(err)
	}
}

// TestEndOfAServiceIsTold lets services end: by a signal and, until it is
// hopeless, for want of something.
func TestEndOfAServiceIsTold(t *testing.T) {
	x := newTrial(t)
	told := make(chan string, 10)
	x.options.Tell = func(text string) { told <- text }
	x.begin()
	hear := func(want string) {
		t.Helper()
		if text := <-told; text != want {
			t.Errorf("%q is told, not %q", text, want)
		}
	}
	for _, role := range []string{wire.RoleCheckpoint, wire.RoleCoordinator} {
		x.killed(role)
		hear(role + " was killed and is started again")
	}
	if err := x.write(wire.RoleCheckpoint+".code", "5"); err != nil {
		t.Fatal(err)
	}
	hear("checkpoint ended and is started again: checkpoint was told to end")
	if err := x.end(); exit.Code(err) != exit.Resource || !strings.Contains(err.Error(), "3 times in a row") {
		t.Error(err)
	}
}
