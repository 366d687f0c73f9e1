package worker

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gramme-project/gramme/energy"
)

// phases is a meter that keeps the phases of each step, in order.
type phases struct {
	noMeter
	mu     sync.Mutex
	ofStep map[uint64][]energy.Phase
}

func (m *phases) Phase(p energy.Phase, _, step uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if list := m.ofStep[step]; p.OfStep() && (len(list) == 0 || list[len(list)-1] != p) {
		m.ofStep[step] = append(list, p)
	}
}

// TestPhasesOfAStep tells waiting for a slower member, moving bytes and updating apart.
func TestPhasesOfAStep(t *testing.T) { synctest.Test(t, phasesOfAStep) }

func phasesOfAStep(t *testing.T) {
	const steps = 3
	for _, test := range []struct {
		ids  []string
		want []energy.Phase
	}{
		{[]string{"a"}, []energy.Phase{energy.Compute, energy.Communication, energy.Update}},
		{[]string{"a", "b"}, []energy.Phase{energy.Compute, energy.Synchronizing, energy.Communication, energy.Update}},
	} {
		c := newCluster(t, steps)
		var all []*running
		var meters []*phases
		for _, id := range test.ids {
			m := &phases{ofStep: map[uint64][]energy.Phase{}}
			meters = append(meters, m)
			all = append(all, c.startWith(id, func(uint64, *pureTrainer) {}, func(cfg *Config) { cfg.Meter = m }))
		}
		c.plan(1, test.ids...)
		for i, w := range all {
			w.end(t, nil)
			for step := range uint64(steps) {
				if got := meters[i].ofStep[step+1]; !slices.Equal(got, test.want) {
					t.Errorf("%d workers: step %d has the phases %q, not %q", len(test.ids), step+1, got, test.want)
				}
			}
		}
	}
}
