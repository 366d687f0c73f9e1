package supervisor

import (
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
)

// TestReconcile scales to more while a worker that an earlier scale let go has left
// the ring and its process has yet to end: it is wanted, and comes back.
func TestReconcile(t *testing.T) {
	worker := func(id string, pid int) *child {
		return &child{role: wire.RoleWorker, id: id, pid: pid}
	}
	status := func(states ...wire.Process) wire.Status { return wire.Status{Processes: states} }
	shown := func(id string, pid int, state wire.ProcessState) wire.Process {
		return wire.Process{Role: wire.RoleWorker, ID: id, PID: pid, State: state}
	}
	w1, w2, w3, w4 := worker("w1", 1), worker("w2", 2), worker("w3", 3), worker("w4", 4)
	all := []*child{w1, w2, w3, w4}
	w4.finished = true
	markShown(all, status(shown("w1", 1, wire.WorkerComputing), shown("w2", 2, wire.WorkerDraining)))
	// w3 was only just started: nobody has seen it.
	lack, free := reconcile(all, status(shown("w1", 1, wire.WorkerComputing), shown("w2", 2, wire.WorkerDraining)), 3)
	if lack != 1 || len(free) != 1 || free[0] != w4 || w1.wanted || w2.wanted || w3.wanted {
		t.Errorf("%d are lacking, %d are free; w3 comes back: %t", lack, len(free), w3.wanted)
	}
	markShown(all, status(shown("w3", 3, wire.WorkerComputing)))
	now := status(shown("w1", 1, wire.WorkerComputing)) // w2 and w3 have left
	if lack, _ := reconcile(all, now, 3); lack != 0 || !w2.wanted || !w3.wanted || w1.wanted {
		t.Errorf("%d are lacking; w1 %t, w2 %t, w3 %t come back", lack, w1.wanted, w2.wanted, w3.wanted)
	}
	// It has not left after all: it was thrown out, and joined again.
	markShown(all, status(shown("w3", 3, wire.WorkerComputing)))
	if w3.wanted || !w2.wanted {
		t.Errorf("w2 %t, w3 %t come back", w2.wanted, w3.wanted)
	}
}
