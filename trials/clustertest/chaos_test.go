//go:build cgo

package clustertest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/trials/chaos"
)

// TestChaos tries six faults of a seed on one run, others on a run with a cluster
// of etcd and NATS that goes away and comes back, and once more against an
// undisturbed run that was tampered with.
func TestChaos(t *testing.T) {
	t.Parallel()
	// As many for each, and the same settings, so that they share the undisturbed run, and enough for the
	// seconds in which the run trains on without a coordinator or etcd.
	steps := strconv.FormatUint(4*calm(t).steps, 10)
	s := newSite(t)
	s.write("plan.yaml", `
seed: 18664
faults: 6
workers: 1:3
config: config.yaml
gap: 100ms:400ms
run: {steps: `+steps+`, compute_timeout: 3s}
`)
	args := []string{"chaos", "--plan", "plan.yaml", "--run", "trial", "--json", "trial.json", corpus}
	s.want(s.gramme(args...), 0, "ok    same model.safetensors", "ok    no process left")
	var r chaos.Report
	b, err := os.ReadFile(filepath.Join(s.dir, "trial.json"))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK || len(r.Faults) != 6 || len(r.Failures()) > 0 || r.Energy == nil {
		t.Errorf("report: %s", b)
	}
	kinds := map[chaos.Kind]bool{}
	for _, f := range r.Faults {
		kinds[f.Kind] = true
		if f.Kind == chaos.Hang && !strings.Contains(f.Reason, f.Target+" is gone: its computation did not return for ") {
			t.Errorf("a worker that hangs was noticed as %q", f.Reason)
		}
	}
	if len(kinds) < 6 {
		t.Errorf("only %d kinds of faults: another seed has more", len(kinds))
	}

	// Of this seed's faults each is of another kind and none is long.
	s.write("cluster.yaml", `
seed: 19373
faults: 4
services: cluster
workers: 2
config: config.yaml
gap: 100ms:400ms
kinds: {kill-etcd: 1, kill-nats: 1, etcd-away: 1, nats-away: 1}
run: {steps: `+steps+`, compute_timeout: 3s}
`)
	s.want(s.gramme("chaos", "--plan", "cluster.yaml", "--run", "trial", corpus), 0,
		"ok    steps go on while etcd is away", "ok    nobody is let go for a service that is away", "ok    same model.safetensors")

	path := filepath.Join(s.dir, "trial", "undisturbed", "checkpoints", "latest", "model.safetensors")
	b, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	s.want(s.gramme(args...), 1, "the undisturbed run is there", "error: the undisturbed run verifies: ", "model.safetensors")
}
