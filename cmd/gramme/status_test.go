package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/embedded"
)

func TestStatusNamesWhoIsSlow(t *testing.T) {
	var out strings.Builder
	err := showStatus(&out, wire.Status{Run: "r", State: wire.StateTraining, Generation: 2, Reason: "why", Processes: []wire.Process{
		{Role: wire.RoleWorker, ID: "w1", State: wire.WorkerComputing, MicroBatches: 7, Speed: 10},
		{Role: wire.RoleWorker, ID: "w2", Rank: 1, State: wire.WorkerComputing, MicroBatches: 1, Speed: 2, Slow: 0.2},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if slow := strings.Contains(line, "slow (0.2 of the others' speed)"); slow != strings.Contains(line, "w2") {
			t.Errorf("in:\n%s", out.String())
		}
	}
}

// TestStatusWaitsForACoordinator asks while one is starting again.
func TestStatusWaitsForACoordinator(t *testing.T) {
	server, err := embedded.StartNATS("s")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	e := endpoint.Endpoint{Run: "r", NATS: server.URL(), Secret: "s"}
	conn, err := e.DialBus(t.Context(), "coordinator")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answered := make(chan error, 1)
	time.AfterFunc(absentFor/8, func() {
		answered <- func() error {
			asked, stop, err := bus.Channel(conn, 1, "", wire.SubjectsOf(e.Run).Status())
			if err != nil {
				return err
			}
			defer stop()
			select {
			case m := <-asked:
				return bus.Respond(m, wire.Status{State: wire.StateTraining}, nil)
			case <-t.Context().Done():
				return t.Context().Err()
			}
		}()
	})
	if s, err := (target{say: func(string) {}}).askStatus(t.Context(), e); err != nil || s.State != wire.StateTraining {
		t.Errorf("%+v %v", s, err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// TestStatusLeavesOutWhoHasEnded has a process that was killed, whose replacement
// the coordinator does not know yet.
func TestStatusLeavesOutWhoHasEnded(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	all := []wire.Process{{ID: "lives", PID: os.Getpid(), Host: "here"}, {ID: "ended", PID: ended.Process.Pid, Host: "here"},
		{ID: "elsewhere", PID: ended.Process.Pid, Host: "there"}}
	var left []string
	for _, p := range running(all, "here") {
		left = append(left, p.ID)
	}
	if !slices.Equal(left, []string{"lives", "elsewhere"}) {
		t.Errorf("of those that live, ended and are elsewhere: %v", left)
	}
}
