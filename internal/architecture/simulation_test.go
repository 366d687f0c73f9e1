package architecture

import (
	"strconv"
	"strings"
	"testing"
)

// notDriven are the cores of the roles that the simulation does not drive itself.
var notDriven = map[string]string{
	"checkpoint/ledger": "the oracle knows what it is to hold; its own tests cover how it does",
	"coordinator/plan":  "the roster calls it",
}

// TestTheSimulationDrivesTheCoresThatShip sees that a core of a role decides there, too.
func TestTheSimulationDrivesTheCoresThatShip(t *testing.T) {
	imported := map[string]bool{}
	for _, f := range readTree(t, "../..").files {
		if f.pkg != "trials/simulation" {
			continue
		}
		for _, i := range f.syntax.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imported[strings.TrimPrefix(path, "github.com/gramme-project/gramme/")] = true
		}
	}
	cores := 0
	for _, core := range coresOf(t, "../../.golangci.yml") {
		role, _, _ := strings.Cut(core, "/")
		if role != "worker" && role != "coordinator" && role != "checkpoint" && role != "allreduce" {
			continue
		}
		cores++
		if imported[core] == (notDriven[core] != "") {
			t.Errorf("%s: imported by the simulation: %v; listed as not driven: %v", core, imported[core], notDriven[core] != "")
		}
	}
	if cores < 6 {
		t.Errorf("only %d cores of roles", cores)
	}
}
