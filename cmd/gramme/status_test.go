package main

import (
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
)

func TestStatusNamesWhoIsSlow(t *testing.T) {
	var out strings.Builder
	err := showStatus(&out, wire.Status{Run: "r", State: wire.StateTraining, Generation: 2, Reason: "why", Processes: []wire.Process{
		{Role: wire.RoleWorker, ID: "w1", State: "computing", MicroBatches: 7, Speed: 10},
		{Role: wire.RoleWorker, ID: "w2", Rank: 1, State: "computing", MicroBatches: 1, Speed: 2, Slow: 0.2},
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
