package launch

import (
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// TestFewerWorkersWhereTheyFit lets the kernel kill one worker again and again: the run
// goes on without it.
func TestFewerWorkersWhereTheyFit(t *testing.T) {
	x := newTrial(t)
	x.options.Spec.Workers = runspec.Workers{Min: 1, Max: 2}
	kills := uint64(0)
	x.options.limits = func() cgroup.Limits {
		kills++ // as if the kernel did nothing else
		return cgroup.Limits{OOMKills: kills, Memory: &cgroup.Limit{Max: 250 << 20}}
	}
	told := x.hears()
	x.begin()
	x.status(wire.Status{State: wire.StateWaiting})
	if err := x.write("w2.kill", "yes"); err != nil {
		t.Fatal(err)
	}
	x.until("the worker is left out", func() bool {
		select {
		case text := <-told:
			return strings.HasPrefix(text, "worker w2 is left out, 1 of 2 workers go on: memory is short: the container may have 262 MB, worker w2 held ")
		default:
			return false
		}
	})
	x.stored()
	if err := x.end(); err != nil {
		t.Error(err)
	}
	if starts := len(x.pids("w2")); starts != 3 {
		t.Errorf("%d starts", starts)
	}
}
