package simulation

import (
	"errors"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/pin"
	"github.com/gramme-project/gramme/worker/step"
)

// chunk is a part of a slice of a state, on its way to the checkpoint service.
type chunk struct {
	header wire.SliceHeader
	data   []float32
}

// saver sends slices of the state in the background, one after the other.
type saver struct {
	k    *worker
	jobs [][]chunk
	busy bool
}

// mostSaves is how many slices wait; more are left out, but for the last.
const mostSaves = 4

func (s *saver) add(f step.Save) {
	if !f.Final && len(s.jobs) >= mostSaves {
		return
	}
	h, parts, err := pin.Slice(s.k.State, f.Header(s.k.id), 1)
	if err != nil {
		s.k.w.fail("%s: %v", s.k.id, err)
		return
	}
	h.Offset, h.Count = h.First, h.End-h.First
	var job []chunk
	for _, name := range []string{wire.PartWeights, wire.PartMoment1, wire.PartMoment2} {
		c := chunk{header: h, data: parts[name]}
		c.header.Part = name
		if name != wire.PartWeights {
			c.header.Meta, c.header.Digest = nil, ""
		} else if f.Rank == 0 {
			c.header.Lineage = s.k.machine.Lineage()
		}
		job = append(job, c)
	}
	s.jobs = append(s.jobs, job)
	s.next()
}

func (s *saver) next() {
	if !s.busy && len(s.jobs) > 0 {
		s.busy = true
		s.send(0)
	}
}

// done ends the job.
func (s *saver) done() {
	s.jobs, s.busy = s.jobs[1:], false
	s.next()
}

// send brings the chunks of the job, from one on, to the service.
func (s *saver) send(at int) {
	job := s.jobs[0]
	if at == len(job) {
		if job[0].header.Final {
			s.await(20)
		} else {
			s.done()
		}
		return
	}
	s.k.p.ask(topicSlice, "", job[at], 2*answerWithin, func(_ any, err error) {
		if err != nil {
			s.again(err)
			return
		}
		s.send(at + 1)
	})
}

// again begins the job anew, unless the service does not want it or another waits.
func (s *saver) again(err error) {
	if len(s.jobs) > 1 && s.k.w.bug != KeepOldSlices {
		s.done()
		return
	}
	if errors.Is(err, errRefused) && !s.jobs[0][0].header.Final {
		s.done()
		return
	}
	s.k.p.after(200*time.Millisecond, func() { s.send(0) })
}

// await asks whether the last checkpoint stands. It gives up after a while, so
// that a service that was restarted gets the slices again.
func (s *saver) await(times int) {
	if times == 0 || len(s.jobs) > 1 && s.k.w.bug != KeepOldSlices {
		s.again(errTimeout)
		return
	}
	number := s.jobs[0][0].header.Step
	s.k.p.after(250*time.Millisecond, func() {
		s.k.p.ask(topicInfo, wire.IDCheckpoint, nil, answerWithin, func(body any, err error) {
			if err != nil {
				s.again(err)
				return
			}
			if info := body.(wire.SnapshotInfo); info.Found && info.Step >= number {
				s.k.post(step.Stored{Step: info.Step})
				s.done()
				return
			}
			s.await(times - 1)
		})
	})
}
