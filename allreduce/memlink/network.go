package memlink

import (
	"context"
	"fmt"
	"sync"
)

// Network is where ranks find each other: it holds the rings of all generations.
type Network struct {
	mu    sync.Mutex
	rings map[string]*ring
}

type ring struct {
	mesh   []*Link
	joined []chan struct{} // by rank, closed
}

// Join returns the link of a rank in the ring of a name, once both neighbours have
// joined. A rank joins a ring once.
func (n *Network) Join(ctx context.Context, name string, rank, world int) (*Link, error) {
	r := n.ring(name, world)
	close(r.joined[rank])
	for _, neighbour := range []int{(rank + world - 1) % world, (rank + 1) % world} {
		select {
		case <-r.joined[neighbour]:
		case <-ctx.Done():
			r.mesh[rank].Abort(nil)
			return nil, fmt.Errorf("join ring %s: rank %d does not come: %w", name, neighbour, context.Cause(ctx))
		}
	}
	return r.mesh[rank], nil
}

func (n *Network) ring(name string, world int) *ring {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rings[name]
	if r == nil {
		r = &ring{mesh: NewMesh(world)}
		for range world {
			r.joined = append(r.joined, make(chan struct{}))
		}
		if n.rings == nil {
			n.rings = map[string]*ring{}
		}
		n.rings[name] = r
	}
	return r
}
