package worker

import (
	"context"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/natslink"
	"github.com/gramme-project/gramme/internal/wire"
)

// Mailboxes connects the members of a ring straight to each other: every worker
// embeds a NATS server, and the neighbours connect to it.
type Mailboxes struct {
	Run string
	Own *natslink.Mailbox
}

// URL is where this worker's mailbox is.
func (m Mailboxes) URL() string { return m.Own.URL() }

// Connect joins the ring of a plan.
func (m Mailboxes) Connect(ctx context.Context, p wire.Plan, rank int) (allreduce.Link, error) {
	n := len(p.Members)
	return m.Own.Connect(ctx, natslink.Session{
		Run: m.Run, Generation: p.Generation, Rank: rank, World: n,
		Previous: p.Members[(rank+n-1)%n].Mailbox, Next: p.Members[(rank+1)%n].Mailbox,
	})
}
