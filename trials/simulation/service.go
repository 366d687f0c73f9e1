package simulation

import (
	"errors"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// folder is what the checkpoint service has made durable: it outlives the process.
type folder struct {
	newest *replica.State // nil before the first
	info   wire.SnapshotInfo
}

// service is the checkpoint service: it assembles slices as package checkpoint
// does, writes one state at a time, and announces it once it is durable.
type service struct {
	w       *world
	p       *process
	newest  *replica.State // served and announced
	info    wire.SnapshotInfo
	at      *assembly
	writing uint64 // step that is being written; 0: none
}

var (
	errRefused = errors.New("the service does not want it")
	errNewer   = errors.New("a newer state is being collected")
)

func (w *world) newService(p *process) role {
	s := &service{w: w, p: p, at: newAssembly(w.rule)}
	p.after(w.between(time.Millisecond, 100*time.Millisecond), func() {
		s.adopt(w.folder.newest, w.folder.info)
		p.listen(topicSlice, "")
		p.listen(topicInfo, wire.RoleCheckpoint)
		p.listen(topicSnapshot, wire.RoleCheckpoint)
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

func (s *service) announce() {
	if s.newest != nil {
		s.p.publish(topicCommitted, "", wire.Committed{Step: s.newest.Step})
	}
}

// hear implements role.
func (s *service) hear(e envelope) {
	switch e.subject.topic {
	case topicSlice:
		s.take(e)
	case topicInfo:
		s.p.answer(e, s.info, nil)
	case topicSnapshot:
		r := e.body.(wire.Range)
		if s.newest == nil || r.Step != s.newest.Step && s.w.bug != MixedSnapshot {
			s.p.answer(e, nil, errNotHeld)
			return
		}
		s.p.answer(e, append([]float32(nil), partOf(s.newest, r.Name)...), nil)
	}
}

// take takes a chunk of a state.
func (s *service) take(e envelope) {
	c := e.body.(chunk)
	have := s.newest != nil && c.header.Step <= s.newest.Step
	var err error
	switch {
	case have, s.writing == c.header.Step && s.writing > 0:
		// It is there already: the sender missed the answer.
	case s.writing > 0:
		err = errRefused
	default:
		err = s.at.add(c)
	}
	s.p.answer(e, nil, err)
	if have || s.writing > 0 || err != nil || !s.at.whole() {
		return
	}
	state, err := s.at.finish()
	if err != nil {
		s.w.say("the checkpoint of step %d is refused: %v", c.header.Step, err)
		s.w.oracle.refused(c.header.Step, err)
		return
	}
	s.write(state.Clone())
}

// write makes a state durable, which takes a while.
func (s *service) write(state *replica.State) {
	s.writing = state.Step
	info := infoOf(s.w, state)
	s.w.oracle.begun.hears(s.at.begun)
	if s.w.bug == AckEarly {
		s.adopt(state, info)
		s.announce()
	}
	s.p.after(s.w.between(2*time.Millisecond, 400*time.Millisecond), func() {
		s.w.say("the checkpoint of step %d stands", state.Step)
		s.w.folder = folder{state, info}
		s.w.oracle.durable(state)
		s.p.after(s.w.between(0, 20*time.Millisecond), func() {
			s.writing = 0
			s.adopt(state, info)
			s.announce()
		})
	})
}
