package allreduce

import "fmt"

// Exchange is what one rank decides in one all-reduce: what it sends when, and whether
// a frame is the expected one. It is a pure core over the vectors: a Ring moves the
// frames.
//
// Partial sums are kept in result: the place of a chunk is free until its final sum
// comes, which it does only after the partial sum was sent.
type Exchange struct {
	Schedule
	place       Place
	step        uint64
	sum         Sum
	own, result []int32
}

// Place is where a rank stands: the ring of one generation of a run.
type Place struct {
	Run         uint64 // RunHash
	Generation  uint64
	Rank, World int
}

// Next returns the rank that gets this rank's frames.
func (p Place) Next() int { return (p.Rank + 1) % p.World }

// Previous returns the rank from which this rank gets frames.
func (p Place) Previous() int { return (p.Rank + p.World - 1) % p.World }

// NewExchange begins the all-reduce of a step. It reads own and writes result.
func NewExchange(p Place, step uint64, sum Sum, chunkWords int, own, result []int32) *Exchange {
	return &Exchange{NewSchedule(p.Rank, p.World, len(own), chunkWords), p, step, sum, own, result}
}

// Needs is how many receives must have been added before a send.
func (x *Exchange) Needs(send int) int { return max(0, send-x.Ready+1) }

// Frame returns the header and the payload of a send. The payload is part of own, or
// of result, which changes when the final sum of the chunk comes.
func (x *Exchange) Frame(send int, sequence uint64) (header [HeaderLen]byte, payload []byte) {
	t, from := x.Sends[send], x.own
	if x.Needs(send) > 0 {
		from = x.result
	}
	payload = wordBytes(from[t.Offset : t.Offset+t.Length])
	return Frame{
		Run: x.place.Run, Generation: x.place.Generation, Step: x.step, Sequence: sequence,
		Rank: x.place.Rank, World: x.place.World, Transfer: t,
	}.Encode(payload), payload
}

// Take adds the frame of a receive, of which the sequence number is known. A frame of
// an older generation is old: it is dropped. Any other unexpected frame is a
// *PeerError.
func (x *Exchange) Take(receive int, sequence uint64, header, payload []byte) (old bool, err error) {
	t := x.Receives[receive]
	f, err := DecodeFrame(header, payload)
	if err == nil {
		if f.Run == x.place.Run && f.Generation < x.place.Generation {
			return true, nil
		}
		err = x.check(f, t, sequence)
	}
	if err != nil {
		return false, &PeerError{x.place.Previous(), err}
	}
	to := x.result[t.Offset : t.Offset+t.Length]
	if t.Phase == ReduceScatter {
		x.sum.add(to, x.own[t.Offset:t.Offset+t.Length], words(payload))
	} else {
		copy(wordBytes(to), payload)
	}
	return false, nil
}

// check compares a frame with the expected one.
func (x *Exchange) check(f Frame, t Transfer, sequence uint64) error {
	p := x.place
	switch {
	case f.Run != p.Run:
		return fmt.Errorf("%w: %v: run %016x, not %016x", ErrForeign, f, f.Run, p.Run)
	case f.Generation != p.Generation:
		return fmt.Errorf("%w: %v: this is generation %d", ErrForeign, f, p.Generation)
	case f.Rank != p.Previous() || f.World != p.World:
		return fmt.Errorf("%w: %v: from rank %d of %d, not rank %d of %d", ErrForeign, f, f.Rank, f.World, p.Previous(), p.World)
	case f.Sequence > sequence:
		return fmt.Errorf("%w: %v: frame %d is missing", ErrSequence, f, sequence)
	case f.Sequence < sequence:
		return fmt.Errorf("%w: %v: came again or late, frame %d is due", ErrSequence, f, sequence)
	case f.Step != x.step || f.Transfer != t:
		return fmt.Errorf("%w: %v: due are step %d, %v hop %d chunk %d (words %d+%d)",
			ErrMismatch, f, x.step, t.Phase, t.Hop, t.Chunk, t.Offset, t.Length)
	}
	return nil
}
