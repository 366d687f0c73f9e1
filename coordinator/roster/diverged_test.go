package roster

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// A run whose members find that the training diverged stops with that reason, whoever
// leads by then; what one says that is no member does not count.
func TestMembersThatDivergedStopTheRun(t *testing.T) {
	s := &reigns{t: t, now: time.Unix(1000, 0)}
	s.elect("x")
	s.start("1", 0)
	s.feed(PlanWritten{})
	beat := wire.Beat{ID: "a", Incarnation: "a1", State: wire.WorkerComputing, Generation: 1, Step: 20, Warning: "the training diverges: why"}
	s.feed(Beat{beat})
	stranger := beat
	stranger.Incarnation, stranger.Diverged = "a9", true
	s.feed(Beat{stranger})
	if s.r.intent.Stop {
		t.Fatal("a warning stops the run, or a stranger's word")
	}
	s.elect("y") // another leads from here on
	beat.Diverged = true
	s.feed(Beat{beat})
	if i := s.r.intent; !i.Stop || i.Reason != beat.Warning {
		t.Fatalf("intent %+v", i)
	}
	for _, id := range []string{"a", "b", "c"} {
		beat.ID, beat.Incarnation, beat.State, beat.Step = id, id+"1", "stopped", 21
		s.feed(Beat{beat})
	}
	if state, reason := s.r.State(); state != wire.StateStopping || reason != beat.Warning {
		t.Errorf("%s: %s", state, reason)
	}
	s.feed(Committed{Step: 21})
	if state, reason := s.r.State(); state != wire.StateStopped || reason != beat.Warning {
		t.Errorf("stored: %s: %s", state, reason)
	}
}
