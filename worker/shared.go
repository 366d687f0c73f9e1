package worker

import (
	"sync"

	"github.com/gramme-project/gramme/worker/pin"
)

// shared is the replica, which peers read while the loop changes it. Only the loop uses
// Spare: it lends the buffer to a reduction or a fetch, and waits for the end of either
// before it uses it again.
type shared struct {
	*pin.Replica
	mu sync.RWMutex
}

// change runs do while no peer reads.
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
