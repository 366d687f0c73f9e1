//go:build cgo

package clustertest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestARunThatDivergesStops trains with a learning rate that makes every weight
// infinite in the first step. The run ends by itself, at a step that does not depend
// on which workers compute, with a code of its own, and everything that reads it says why.
func TestARunThatDivergesStops(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const why = "21 of the newest 22 steps were skipped, because gradients were not finite"
	r := s.gramme(s.up("40", "2", "--optimizer-lr", "1e39", "--optimizer-warmup", "0")...)
	s.want(r, 6, "warning: the training diverges: ", "stopped at step 22 of 40", "error: the training diverged: up to step 22, "+why, "hint: start another run")
	s.want(s.gramme("up", "--run", "run"), 6, "error: the training diverged: up to step 22, "+why, "--stop-on-divergence=never")

	var status wire.Status
	if err := json.Unmarshal([]byte(s.must("status", "--run", "run", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	if status.State != wire.StateStopped || status.Step != 22 || len(status.Warnings) != 1 || status.Warnings[0].Kind != wire.WarnDivergence {
		t.Errorf("status %+v", status)
	}
	if text := s.must("audit", "run"); !strings.Contains(text, "training diverged: up to step 22, "+why) || !strings.Contains(text, "skipped: 21 steps") {
		t.Errorf("the audit does not tell:\n%s", text)
	}
	s.want(s.gramme("predict", "--run", "run", "a [MASK]"), 6, " weights in ", "are not finite", "hint: its training diverged")

	// A user who wants that trains on.
	if out := s.must("up", "--run", "run", "--stop-on-divergence=never"); !strings.Contains(out, "validation: none: ") || strings.Contains(out, "NaN%") {
		t.Errorf("the summary says\n%s", out)
	}
	b, err := os.ReadFile(s.run.Evaluation())
	if err != nil {
		t.Fatal(err)
	}
	type measures struct {
		Loss number.Float `json:"mlm_loss"`
	}
	var e struct {
		Start, Newest measures
		NotFinite     int `json:"weights_not_finite"`
	}
	if err := json.Unmarshal(b, &e); err != nil || e.NotFinite == 0 || e.Newest.Loss.Finite() || !e.Start.Loss.Finite() {
		t.Errorf("the evaluation says %+v, %v", e, err)
	}
}
