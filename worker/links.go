package worker

import (
	"context"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/natslink"
	"github.com/gramme-project/gramme/internal/wire"
)

// DirectLinks connects the members of a ring directly: every worker embeds a NATS server, to
// which its neighbours connect.
type DirectLinks struct {
	Run string
	Own *natslink.Mailbox
}

// URL returns the URL of this worker's mailbox.
func (m DirectLinks) URL() string { return m.Own.URL() }

// Connect joins the ring of a plan.
func (m DirectLinks) Connect(ctx context.Context, p wire.Plan, rank int) (allreduce.Link, error) {
	return m.Own.Connect(ctx, sessionOf(m.Run, p, rank))
}

// ringSilenceFactor is how many times longer a neighbour in the ring may be silent than a
// worker may be for the coordinator: the frames themselves may fill a slow network.
const ringSilenceFactor = 4

func sessionOf(run string, p wire.Plan, rank int) natslink.Session {
	n := len(p.Members)
	return natslink.Session{
		Run: run, Generation: p.Generation, Rank: rank, World: n,
		Previous: p.Members[(rank+n-1)%n].Mailbox, Next: p.Members[(rank+1)%n].Mailbox,
		Silence: ringSilenceFactor * p.SilenceLimit(),
	}
}

// RoutedLinks connects the members of a ring by the route that their plan names: directly,
// or through the NATS of the run. Close it after its links.
type RoutedLinks struct {
	DirectLinks
	// Relay joins rings through the NATS of the run. Frames have a connection of their own,
	// so that messages of the control plane do not wait behind them.
	Relay *natslink.Relay
}

// Connect joins the ring of a plan.
func (r *RoutedLinks) Connect(ctx context.Context, p wire.Plan, rank int) (allreduce.Link, error) {
	if p.Ring != wire.RingBroker {
		return r.DirectLinks.Connect(ctx, p, rank)
	}
	return r.Relay.Connect(ctx, sessionOf(r.Run, p, rank))
}

// Close ends the connection to the NATS of the run.
func (r *RoutedLinks) Close() { r.Relay.Close() }
