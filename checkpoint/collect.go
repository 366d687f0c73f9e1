package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/checkpoint/assembly"
	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// repeat is the interval at which the newest checkpoint is announced: an announcement may
// be lost, and a coordinator that takes over has not received the last one.
const repeat = time.Second

// outcome is the result of storing a state.
type outcome struct {
	saved saved
	err   error
}

// collect owns the state that is being assembled and the newest checkpoint.
func (s *Service) collect(ctx context.Context, slices <-chan *bus.Message) error {
	states := assembly.NewCollector(s.rule)
	if s.newest != nil {
		states.Stored(s.newest.step)
	}
	var written chan outcome // nil: nothing is being written
	tick := time.NewTicker(repeat)
	defer tick.Stop()
	s.announce()
	for {
		select {
		case <-ctx.Done():
			if written != nil {
				return s.done(<-written)
			}
			return nil
		case o := <-written:
			written = nil
			if err := s.done(o); err != nil {
				return err
			}
			states.Stored(o.saved.step)
		case <-tick.C:
			s.announce()
		case m := <-slices:
			var whole bool
			h, err := readSlice(m)
			if err == nil {
				whole, err = states.Take(h, m.Data)
			}
			s.reply(m, nil, err)
			if !whole {
				continue
			}
			state, about, err := states.Finish(s.cores)
			if err != nil {
				s.refuse(err)
				continue
			}
			written = make(chan outcome, 1)
			go s.write(state, about, written) // collect waits for it
		}
	}
}

func readSlice(m *bus.Message) (wire.SliceHeader, error) {
	var h wire.SliceHeader
	if err := json.Unmarshal([]byte(m.Header[wire.HeaderSlice]), &h); err != nil {
		return h, fmt.Errorf("header of a slice: %w", err)
	}
	return h, transfer.Verify(m)
}

// refuse records in the ledger that slices did not form a state, once for each generation
// that sends them. It tells the coordinator if the members may hold different states.
func (s *Service) refuse(err error) {
	s.log.Error("checkpoint refused", zap.Error(err))
	var r *assembly.RefusedError
	if !errors.As(err, &r) {
		return
	}
	if _, err := s.ledger.Append(ledger.Entry{
		Key: fmt.Sprintf("refused/%d/%s/%d", r.Step, r.Digest, r.Generation),
		Note: &ledger.Note{
			Kind: ledger.NoteDivergence, Step: r.Step, Generation: r.Generation, Text: "checkpoint refused: " + err.Error(),
		},
	}); err != nil {
		s.log.Error("note it in the ledger", zap.Error(err))
	}
	if !r.Doubted {
		return
	}
	if err := bus.Publish(s.cfg.Bus, s.subjects.Suspect(), wire.Suspicion{
		Generation: r.Generation, From: wire.IDCheckpoint, Evidence: wire.Evidence(fmt.Sprintf("the replicas were not equal after step %d", r.Step)),
	}); err != nil {
		s.log.Warn("tell that the replicas are not equal", zap.Error(err))
	}
}

func (s *Service) write(state *replica.State, a assembly.Metadata, written chan<- outcome) {
	started := time.Now()
	c, err := saved{}, s.noteLineage(a.Lineage)
	if err == nil {
		c, err = s.store.save(state, a)
	}
	if err == nil {
		s.log.Info("stored", zap.Uint64("step", c.step), zap.Duration("took", time.Since(started)))
		if err := s.store.prune(); err != nil {
			s.log.Warn("old checkpoints stay", zap.Error(err))
		}
	}
	written <- outcome{c, err}
}

// noteLineage writes the lineage of a state into the ledger. The coordinator reports it
// sooner if both are up, but the stored ledger must not depend on that.
func (s *Service) noteLineage(b wire.Lineage) error {
	if b.Generation == 0 {
		return nil // nothing was trained: all steps were done already
	}
	entry, err := entryOf(b.Event())
	if err != nil {
		return err
	}
	return s.appendEntries([]ledger.Entry{entry})
}

// done makes the stored state the newest checkpoint.
func (s *Service) done(o outcome) error {
	if o.err == nil {
		o.err = s.adopt(o.saved)
	}
	if o.err == nil {
		s.announce()
	}
	return o.err
}

// announce publishes which checkpoint is the newest.
func (s *Service) announce() {
	if s.newest == nil {
		return
	}
	c := wire.Committed{Step: s.newest.step, Path: s.newest.dir, Manifest: s.newest.manifest, Time: time.Now().UTC()}
	if err := bus.Publish(s.cfg.Bus, s.subjects.Committed(), c); err != nil && !errors.Is(err, bus.ErrClosed) {
		s.log.Warn("announce the checkpoint", zap.Error(err))
	}
}
