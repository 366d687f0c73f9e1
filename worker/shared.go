package worker

import (
	"sync"

	"github.com/gramme-project/gramme/worker/pin"
)

// shared is the replica, read by peers while the loop changes it. Spare is the ring's
// while it reduces, and a fetch's while it lasts; the loop waits for both.
type shared struct {
	*pin.Replica
	mu sync.RWMutex
}

// change does something while no peer reads.
func (s *shared) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

func (s *shared) step() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.State.Step
}
