package shells

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gramme-project/gramme/internal/bus/membus"
)

// network decides how messages travel. Its names are those of processes.
type network struct {
	bus *membus.Server

	mu    sync.Mutex
	rng   *rand.Rand
	slow  map[string]time.Duration // most that a message to or from one takes longer
	lossy map[string]bool
	quick bool // nothing is held up or lost
}

func newNetwork(bus *membus.Server, seed uint64) *network {
	n := &network{bus: bus, rng: rand.New(rand.NewPCG(seed, 1)), slow: map[string]time.Duration{}, lossy: map[string]bool{}}
	bus.SetFate(n.fate)
	return n
}

// fate lets most messages take up to a millisecond.
func (n *network) fate(d membus.Delivery) membus.Fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.quick {
		return membus.Fate{}
	}
	if (n.lossy[d.From] || n.lossy[d.To]) && n.rng.IntN(4) == 0 {
		return membus.Fate{Drop: true}
	}
	most := time.Millisecond + n.slow[d.From] + n.slow[d.To]
	return membus.Fate{Delay: time.Duration(n.rng.Int64N(int64(most)))}
}

// slower lets messages of a process take up to d longer; 0 ends that.
func (n *network) slower(id string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow[id] = d
}

// loses lets messages of a process get lost, or not.
func (n *network) loses(id string, yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lossy[id] = yes
}

// calm ends everything that disturbs it.
func (n *network) calm() {
	n.mu.Lock()
	n.quick = true
	n.mu.Unlock()
	n.bus.Partition()
}
