package simulation

import (
	"errors"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
	"github.com/gramme-project/gramme/worker/upload"
)

// chunk is a part of a slice of a state, on its way to the checkpoint service.
type chunk struct {
	header wire.SliceHeader
	data   []float32
}

// sliceWords cuts parts of slices into several chunks.
const sliceWords = 40

// saver sends slices of the state in the background.
type saver struct {
	k     *worker
	queue *upload.Queue
	busy  bool
	held  []upload.Slice // a mistake: they wait until what is sent has arrived
}

func (s *saver) add(f step.Save) {
	if !s.queue.Accepts(f.Final) {
		return
	}
	h := f.Header(s.k.id)
	if f.Rank == 0 {
		h.Lineage = s.k.machine.Lineage()
	}
	slice, err := upload.NewSlice(s.k.State, h, 1)
	switch {
	case err != nil:
		s.k.w.fail("%s: %v", s.k.id, err)
	case s.busy && s.k.w.bug == KeepOldSlices:
		s.held = append(s.held, slice)
	default:
		s.queue.Add(slice)
		if !s.busy {
			s.next(upload.Answer{})
		}
	}
}

// next carries out what is to do after an answer.
func (s *saver) next(a upload.Answer) {
	p, next := s.k.p, s.queue.Next(a)
	s.busy = next != nil
	switch do := next.(type) {
	case upload.Send:
		var chunks []chunk
		for h, data := range do.Slice.Chunks(sliceWords) {
			chunks = append(chunks, chunk{h, data})
		}
		s.send(chunks)
	case upload.AskStored:
		p.ask(topicInfo, wire.IDCheckpoint, nil, answerWithin, func(body any, err error) {
			info, _ := body.(wire.SnapshotInfo)
			s.next(upload.Answer{Info: info, Err: err})
		})
	case upload.Wait:
		p.after(do.For, func() { s.next(upload.Answer{}) })
	case upload.Stored:
		s.k.post(step.Stored{Step: do.Step})
		s.next(upload.Answer{})
	case nil:
		if held := s.held; len(held) > 0 {
			s.held = nil
			for _, slice := range held {
				s.queue.Add(slice)
			}
			s.next(upload.Answer{})
		}
	}
}

// send sends chunks, one after the other.
func (s *saver) send(chunks []chunk) {
	if len(chunks) == 0 {
		s.next(upload.Answer{})
		return
	}
	s.k.p.ask(topicSlice, "", chunks[0], 2*answerWithin, func(_ any, err error) {
		if err != nil {
			s.next(upload.Answer{Err: err, Refused: errors.Is(err, errRefused)})
			return
		}
		s.send(chunks[1:])
	})
}
