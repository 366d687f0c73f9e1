package coordinator

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

func TestStatusShowsWhoIsThere(t *testing.T) {
	now := time.Unix(1000, 0)
	s := sources{}
	s.worker(now.Add(-time.Hour), wire.Beat{Incarnation: "x", Joules: 1000, Watts: 50}) // ended long ago
	s.worker(now, wire.Beat{Incarnation: "y", Joules: 1, Watts: 2})
	s.worker(now, wire.Beat{Incarnation: "y", Joules: 10, Watts: 4})
	s.other(now.Add(-time.Minute), wire.ProcessBeat{Role: wire.RoleCheckpoint, ID: "store", PID: 1, Joules: 100, Watts: 9})
	s.other(now.Add(-time.Second), wire.ProcessBeat{Role: wire.RoleCheckpoint, ID: "store", PID: 2, Joules: 20, Watts: 3, State: wire.ProcessRunning})
	warning := wire.Warning{Kind: wire.WarnMemory, Text: "memory is short"}
	s.other(now, wire.ProcessBeat{Role: wire.RoleUp, ID: "up", State: wire.ProcessRunning, Warnings: []wire.Warning{warning}})
	s.other(now.Add(-time.Minute), wire.ProcessBeat{Role: wire.RoleUp, ID: "gone", Warnings: []wire.Warning{{Kind: wire.WarnRestarts}}})
	b := throughput{}
	b.begin(wire.Lineage{})
	b.applied(beat(5, 100, 0.5))
	got := statusInput{
		run: "r", steps: 15, state: wire.StateTraining, reason: "why", plan: wire.Plan{Generation: 3, Mixed: true}, committed: 2,
		workers: []roster.Worker{
			{Registration: wire.Registration{ID: "late", Step: 9, Speed: 7}, Rank: -1, State: wire.WorkerRegistered},
			{Registration: wire.Registration{ID: "w", PID: 5, Host: "h"}, Beat: wire.Beat{Incarnation: "y", Step: 5, Speed: 6, Link: wire.LinkMemory}, Rank: 0, Share: 4, State: wire.WorkerComputing, Slow: 0.3333},
		},
		throughput: b, sources: s, self: wire.ProcessBeat{Role: wire.RoleCoordinator, ID: "c", Joules: 7, Watts: 1, State: wire.ProcessElected},
	}.status(now)
	if got.Run != "r" || got.Step != 5 || got.Steps != 15 || got.Generation != 3 || got.Checkpoint != 2 || !got.Mixed || got.Reason != "why" ||
		got.Loss != number.Known(5) || got.Tokens != 100 || got.TokensPerSecond != number.Known(200) || got.StepSeconds != number.Known(0.5) || got.EtaSeconds != number.Known(5) {
		t.Errorf("got %+v", got)
	}
	if got.Joules != number.Known(1137) || got.Watts != number.Known(8) {
		t.Errorf("%v J and %v W, want 1137 and 8", got.Joules, got.Watts)
	}
	want := []wire.Process{
		{Role: wire.RoleWorker, ID: "late", Rank: -1, State: wire.WorkerRegistered, Speed: 7},
		{Role: wire.RoleWorker, ID: "w", PID: 5, Host: "h", Rank: 0, State: wire.WorkerComputing, MicroBatches: 4, Step: 5, Speed: 6, Slow: 0.33, Link: wire.LinkMemory},
		{Role: wire.RoleCheckpoint, ID: "store", PID: 2, Rank: -1, State: wire.ProcessRunning},
		{Role: wire.RoleUp, ID: "up", Rank: -1, State: wire.ProcessRunning},
		{Role: wire.RoleCoordinator, ID: "c", Rank: -1, State: wire.ProcessElected},
	}
	if !slices.Equal(got.Warnings, []wire.Warning{warning}) {
		t.Errorf("warnings %+v", got.Warnings)
	}
	if !slices.Equal(got.Processes, want) {
		t.Errorf("processes %+v", got.Processes)
	}
}

// TestStatusOfARunThatWaits shows the step that it would go on from, and no pace.
func TestStatusOfARunThatWaits(t *testing.T) {
	b := throughput{}
	b.applied(beat(5, 100, 0.5))
	got := statusInput{steps: 15, state: wire.StateWaiting, committed: 2, throughput: b, sources: sources{}}.status(time.Unix(1000, 0))
	if got.Step != 2 || got.TokensPerSecond != (number.Optional{}) || got.EtaSeconds != (number.Optional{}) {
		t.Errorf("got %+v", got)
	}
	normal, err := json.Marshal(wire.Process{Role: wire.RoleWorker, Speed: 5})
	if err != nil || strings.Contains(string(normal), "slow") {
		t.Errorf("%s, %v", normal, err)
	}
	empty, err := json.Marshal(wire.Status{Processes: statusInput{}.status(time.Unix(0, 0)).Processes[:0]})
	if err != nil || !strings.Contains(string(empty), `"processes":[]`) {
		t.Errorf("%s, %v", empty, err)
	}
}
