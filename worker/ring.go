package worker

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/step"
)

// session is the ring of one generation: a goroutine that connects it, reduces on
// request, and reports when it breaks.
type session struct {
	reductions chan reduction
	cancel     context.CancelFunc
	ended      chan struct{}
}

// reduction asks for the entry of a step, one at a time. It lends both buffers to the
// ring until Reduced, or until the ring has ended.
type reduction struct {
	step      uint64
	own, into []int32
}

func (w *worker) openRing(ctx context.Context, p wire.Plan, rank int) {
	ringCtx, cancel := context.WithCancel(ctx)
	s := &session{reductions: make(chan reduction, 1), cancel: cancel, ended: make(chan struct{})}
	w.ring = s
	go func() { // joined by endRing
		defer close(s.ended)
		if err := w.runRing(ringCtx, s, p, rank); err != nil && ringCtx.Err() == nil {
			broken, probe := step.BrokenBy(p, err)
			if probe {
				w.probeRoutesAgain(ctx, p)
			}
			w.post(ringCtx, broken)
		}
	}()
}

// endRing stops the ring and waits until nothing uses the lent buffers any more. Leaving
// neighbours that do not read may take longer than a worker may be silent: that goes on in
// the background, until closeLoop.
func (w *worker) endRing() {
	if w.ring == nil {
		return
	}
	w.ring.cancel()
	<-w.ring.ended
	w.ring = nil
}

func (w *worker) runRing(ctx context.Context, s *session, p wire.Plan, rank int) error {
	cfg := allreduce.Config{
		Run: w.cfg.Spec.Run, Generation: p.Generation, Rank: rank, World: len(p.Members), Sum: allreduce.Int32,
	}
	switch w.rule.Reduce {
	case replica.Float:
		cfg.Sum = allreduce.Float32
	case replica.Exact16:
		cfg.Sum = allreduce.Int16
	}
	cfg.Begun = func(number uint64) { w.post(ctx, step.Receiving{Generation: p.Generation, Step: number}) }
	var link allreduce.Link
	var lost <-chan struct{}
	if cfg.World > 1 { // a ring of one has no links
		var err error
		if link, err = w.cfg.Links.Connect(ctx, p, rank); err != nil {
			return err
		}
		w.noteLink(link)
		defer w.link.Store("")
		defer w.leaving.Go(func() { _ = link.Close() }) // its error is of no use any more
		lost = link.Lost()
	}
	ring, err := allreduce.New(cfg, link)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-lost:
			return fmt.Errorf("ring of generation %d: %w", p.Generation, link.Err())
		case r := <-s.reductions:
			started := time.Now()
			if err := ring.AllReduce(ctx, r.step, r.own, r.into); err != nil {
				return err
			}
			w.post(ctx, step.Reduced{Generation: p.Generation, Step: r.step, Took: time.Since(started)})
		}
	}
}

// noteLink notes how frames reach the next member, for heartbeats and the log.
func (w *worker) noteLink(link allreduce.Link) {
	shared, ok := link.(interface{ ThroughMemory() (bool, error) })
	if !ok {
		return
	}
	switch yes, why := shared.ThroughMemory(); {
	case yes:
		w.link.Store(wire.LinkMemory)
		w.log.Info("gradients go through memory to the next member")
	default:
		w.link.Store(wire.LinkNATS)
		w.log.Info("gradients go over NATS to the next member", zap.NamedError("no_memory", why))
	}
}
