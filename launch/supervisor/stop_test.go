package supervisor

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

// status is one of a run with workers in these states.
func statusOf(state wire.RunState, stepSeconds float64, workers ...wire.ProcessState) wire.Status {
	s := wire.Status{State: state, StepSeconds: number.Known(stepSeconds)}
	for i, w := range workers {
		s.Processes = append(s.Processes, wire.Process{Role: wire.RoleWorker, Rank: i, State: w})
	}
	s.Processes = append(s.Processes, wire.Process{Role: wire.RoleCheckpoint, Rank: -1, State: wire.ProcessRunning})
	return s
}

func TestStopThatGetsNowhere(t *testing.T) {
	now := time.Now()
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	training := statusOf(wire.StateTraining, 1, wire.WorkerComputing, wire.WorkerStopped)
	slow := statusOf(wire.StateTraining, 60, wire.WorkerComputing)
	for _, c := range []struct {
		name        string
		stop        stop
		progressAt  time.Time
		status      wire.Status
		storing     bool
		leave, kill bool
	}{
		{"nobody asked", stop{}, ago(100), training, false, false, false},
		{"steps come", stop{asked: ago(60)}, ago(1), training, false, false, false},
		{"it was asked for a moment ago", stop{asked: ago(5)}, ago(60), training, false, false, false},
		{"no step comes", stop{asked: ago(11)}, ago(11), training, false, true, false},
		{"a step takes a minute", stop{asked: ago(100)}, ago(100), slow, false, false, false},
		{"three of them passed", stop{asked: ago(200)}, ago(200), slow, false, true, false},
		{"nothing trains", stop{asked: ago(2)}, ago(2), statusOf(wire.StateWaiting, 0), false, true, false},
		{"the checkpoint is being stored", stop{asked: ago(600)}, ago(600), training, true, false, false},
		{"after the workers were told", stop{asked: ago(600), signaled: ago(600)}, ago(600), training, true, false, false},
		{"workers leave", stop{asked: ago(600), signaled: ago(20)}, ago(600), training, false, false, false},
		{"workers get on", stop{asked: ago(600), signaled: ago(60)}, ago(20), training, false, false, false},
		{"workers do not leave", stop{asked: ago(600), signaled: ago(31)}, ago(600), training, false, false, true},
	} {
		if leave, kill := c.stop.next(now, c.progressAt, c.status, c.storing); leave != c.leave || kill != c.kill {
			t.Errorf("%s: leave %v, kill %v", c.name, leave, kill)
		}
	}
}

func TestStoringAndProgress(t *testing.T) {
	one := statusOf(wire.StateStopping, 1, wire.WorkerStopped, wire.WorkerComputing)
	all := statusOf(wire.StateStopping, 1, wire.WorkerStopped, wire.WorkerStopped)
	if storing(one) || !storing(all) || storing(statusOf(wire.StateStopping, 1)) || storing(statusOf(wire.StateTraining, 1, wire.WorkerStopped)) {
		t.Error("a run stores its last checkpoint when all of its members have stopped")
	}
	stored, stepped := all, all
	stored.Checkpoint++
	stepped.Step++
	if !progressed(one, all) || !progressed(all, stored) || !progressed(all, stepped) || progressed(all, all) || progressed(all, one) {
		t.Error("a step, a checkpoint and a worker that has stopped are progress")
	}
}
