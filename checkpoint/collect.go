package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// repeat is how often the newest checkpoint is announced: an announcement may be
// lost, and a coordinator that takes over has not heard the last.
const repeat = time.Second

// mostDoubts is how many generations of one step are asked to compare their states.
// What then still differs does so on the way here, and no generation mends it.
const mostDoubts = 3

// doubts are the generations of a step whose slices did not make a state.
type doubts struct {
	step        uint64
	generations map[uint64]bool
}

// outcome is how a store ended.
type outcome struct {
	saved saved
	err   error
}

// collect owns the state that is being assembled and the newest checkpoint.
func (s *Service) collect(ctx context.Context, slices <-chan *nats.Msg) error {
	a := newAssembly(s.rule)
	var writing uint64       // step that is being written
	var written chan outcome // nil: nothing is
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
		case <-tick.C:
			s.announce()
		case m := <-slices:
			h, err := readSlice(m)
			switch {
			case err != nil:
			case s.newest != nil && h.Step <= s.newest.step, written != nil && h.Step == writing:
				// It is there already: the sender missed the answer.
			case written != nil:
				err = fmt.Errorf("step %d comes too early: that of step %d is being written", h.Step, writing)
			default:
				err = a.add(h, m.Data)
			}
			s.reply(m, nil, err)
			if written == nil && err == nil && a.whole() && (s.newest == nil || a.step > s.newest.step) {
				if state := s.finish(a); state != nil {
					writing, written = a.step, make(chan outcome, 1)
					go s.write(state, a.about, written) // collect waits for it
				}
			}
		}
	}
}

func readSlice(m *nats.Msg) (wire.SliceHeader, error) {
	var h wire.SliceHeader
	if err := json.Unmarshal([]byte(m.Header.Get(wire.HeaderSlice)), &h); err != nil {
		return h, fmt.Errorf("header of a slice: %w", err)
	}
	return h, transfer.Verify(m)
}

// finish returns a state that checks out; one that does not is noted, once for each
// generation that sends it.
func (s *Service) finish(a *assembly) *replica.State {
	of, first, last := a.about, a.first, a.since
	state, err := a.finish(s.cores)
	if err == nil {
		return state
	}
	s.log.Error("checkpoint refused", zap.Error(err))
	if _, err := s.ledger.Append(ledger.Entry{
		Key: fmt.Sprintf("refused/%d/%s/%d", a.step, of.digest, of.generation),
		Note: &ledger.Note{
			Kind: ledger.NoteDivergence, Step: a.step, Generation: of.generation, Text: "checkpoint refused: " + err.Error(),
		},
	}); err != nil {
		s.log.Error("note it in the ledger", zap.Error(err))
	}
	// Slices that members of several generations sent may differ though the members
	// do not: their next ones tell.
	if errors.Is(err, errDiffer) && first == last {
		s.doubt(a.step, of.generation)
	}
	return nil
}

// doubt tells the coordinator that the members of a generation are not in one state.
// In the next generation they compare, and who differs takes the state of most. A run
// that ends would send the same slices for ever otherwise.
func (s *Service) doubt(step, generation uint64) {
	d := &s.doubts
	if d.generations == nil || d.step != step {
		*d = doubts{step, map[uint64]bool{}}
	}
	if len(d.generations) >= mostDoubts && !d.generations[generation] {
		return
	}
	d.generations[generation] = true
	b, err := wire.Encode(wire.Suspicion{
		Generation: generation, From: wire.RoleCheckpoint, Evidence: fmt.Sprintf("the replicas were not equal after step %d", step),
	})
	if err == nil {
		err = s.cfg.NATS.Publish(s.subjects.Suspect(), b)
	}
	if err != nil {
		s.log.Warn("tell that the replicas are not equal", zap.Error(err))
	}
}

func (s *Service) write(state *replica.State, a about, written chan<- outcome) {
	begun := time.Now()
	c, err := saved{}, s.noteBegun(a.begun)
	if err == nil {
		c, err = s.store.save(state, a)
	}
	if err == nil {
		s.log.Info("stored", zap.Uint64("step", c.step), zap.Duration("took", time.Since(begun)))
		if err := s.store.prune(); err != nil {
			s.log.Warn("old checkpoints stay", zap.Error(err))
		}
	}
	written <- outcome{c, err}
}

// noteBegun writes into the ledger from where a state was trained. The coordinator
// tells it sooner, where there is one and the service is there: what is stored must
// not depend on that.
func (s *Service) noteBegun(b wire.Begun) error {
	if b.Generation == 0 {
		return nil // nothing was trained: all steps were done already
	}
	entry, err := entryOf(b.Event())
	if err != nil {
		return err
	}
	return s.appendEntries([]ledger.Entry{entry})
}

// done makes what was stored the newest checkpoint.
func (s *Service) done(o outcome) error {
	if o.err == nil {
		o.err = s.adopt(o.saved)
	}
	if o.err == nil {
		s.announce()
	}
	return o.err
}

// announce tells everybody of the newest checkpoint.
func (s *Service) announce() {
	if s.newest == nil {
		return
	}
	b, err := wire.Encode(wire.Committed{Step: s.newest.step, Path: s.newest.dir, Manifest: s.newest.manifest, Time: time.Now().UTC()})
	if err == nil {
		err = s.cfg.NATS.Publish(s.subjects.Committed(), b)
	}
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		s.log.Warn("announce the checkpoint", zap.Error(err))
	}
}
