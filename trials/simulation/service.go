package simulation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/checkpoint/assembly"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/pin"
)

// folder is what the checkpoint service has made durable: it outlives the process.
type folder struct {
	newest *replica.State // nil before the first
	info   wire.SnapshotInfo
}

// service is the shell around assembly.Collector, as package checkpoint is: it writes
// what is whole, and announces it once it is durable.
type service struct {
	w          *world
	p          *process
	newest     *replica.State // served and announced
	info       wire.SnapshotInfo
	states     *assembly.Collector
	generation uint64 // newest of a chunk
	writes     uint64 // newest step that was whole
}

var errRefused = errors.New("the service does not want it")

func (w *world) newService(p *process) role {
	s := &service{w: w, p: p, states: assembly.NewCollector(w.rule)}
	p.after(w.between(time.Millisecond, 100*time.Millisecond), func() {
		s.stored(w.folder.newest, w.folder.info)
		p.listen(topicSlice, "")
		p.listen(topicEvents, "")
		p.listen(topicInfo, wire.IDCheckpoint)
		p.listen(topicSnapshot, wire.IDCheckpoint)
		s.announce()
		p.every(time.Second, s.announce)
	})
	return s
}

// ended implements role.
func (s *service) ended() {}

func (s *service) adopt(state *replica.State, info wire.SnapshotInfo) {
	s.newest, s.info = state, info
	s.info.Elements = s.w.rule.Layout.Total
	if state != nil {
		s.w.oracle.offer(state.Step)
	}
}

// stored says that a state is durable.
func (s *service) stored(state *replica.State, info wire.SnapshotInfo) {
	s.adopt(state, info)
	if state != nil {
		s.states.Stored(state.Step)
	}
}

func (s *service) announce() {
	if s.newest != nil {
		s.p.publish(topicCommitted, "", wire.Committed{Step: s.newest.Step})
	}
}

// receive implements role.
func (s *service) receive(e envelope) {
	switch e.subject.topic {
	case topicSlice:
		s.take(e)
	case topicEvents:
		s.w.oracle.recorded(e.body.([]wire.Event))
		s.p.answer(e, nil, nil)
	case topicInfo:
		s.p.answer(e, s.info, nil)
	case topicSnapshot:
		r := e.body.(wire.Range)
		if s.newest == nil || r.Step != s.newest.Step && s.w.bug != MixedSnapshot {
			s.p.answer(e, nil, errNotHeld)
			return
		}
		s.p.answer(e, slices.Clone(*pin.Part(s.newest, r.Name)), nil)
	}
}

// take takes a chunk of a state.
func (s *service) take(e envelope) {
	c := e.body.(chunk)
	h, data := c.header, replica.Bytes(c.data)
	s.generation = max(s.generation, h.Generation)
	switch s.w.bug {
	case OldChunks:
		h.Generation = s.generation
	case LostChunks:
		if h.Part == wire.PartMoment2 {
			data = make([]byte, len(data))
		}
	}
	whole, err := s.states.Take(h, data)
	if err != nil {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	s.p.answer(e, nil, err)
	if err == nil && h.Step > s.writes {
		s.w.oracle.collects(s, c.header)
	}
	if !whole {
		return
	}
	state, about, err := s.states.Finish(1)
	if err != nil {
		s.w.say("the checkpoint of step %d is refused: %v", h.Step, err)
		s.w.oracle.refused(h.Step, err)
		return
	}
	s.write(state.Clone(), about)
}

// write makes a state durable, which takes a while.
func (s *service) write(state *replica.State, about assembly.Metadata) {
	info := infoOf(s.w, state)
	s.writes = state.Step
	s.w.oracle.lineages.record(about.Lineage)
	switch s.w.bug {
	case AckEarly:
		s.adopt(state, info)
		s.announce()
	case WriteOutOfOrder:
		s.states.Stored(state.Step)
	}
	s.p.after(s.w.between(2*time.Millisecond, 400*time.Millisecond), func() {
		s.w.say("the checkpoint of step %d stands", state.Step)
		s.w.folder = folder{state, info}
		s.w.oracle.durable(state)
		s.p.after(s.w.between(0, 20*time.Millisecond), func() {
			s.stored(state, info)
			s.announce()
		})
	})
}
