package allreduce

import (
	"context"
	"errors"
	"fmt"
)

// Defaults of Config, chosen by measurement over loopback: chunks of 256 KB to
// 1 MB are alike, and so are windows from 16 chunks on.
const (
	DefaultChunkWords = 1 << 17
	DefaultWindow     = 16
)

// MaxWindow is the largest window; a link must be able to hold as many frames.
const MaxWindow = 1024

// MaxWorld is the largest world size that frames can express.
const MaxWorld = 1<<16 - 1

// Config is one rank's place in the ring of one generation. Run, Generation,
// World, Sum, ChunkWords and Window are the same on all ranks.
type Config struct {
	Run        string
	Generation uint64
	Rank       int
	World      int
	Sum        Sum
	ChunkWords int // most words of a frame; 0: DefaultChunkWords
	Window     int // most frames in flight to the next rank; 0: DefaultWindow
	// Begun is called when the first frame of a reduction has come, so the previous rank
	// has begun it; before that, this rank waits for it. Optional.
	Begun func(step uint64)
}

// Ring sums vectors over the ranks of one generation. One goroutine uses it.
type Ring struct {
	cfg     Config
	place   Place
	link    Link
	step    uint64 // of the newest reduction
	started bool
	broken  error

	// Of the sending side.
	sent    uint64
	credits int
	// Of the receiving side.
	received uint64
	pending  int // frames used and not yet acknowledged
}

// New returns the ring of one generation over an open link. In a world of 1 the
// link may be nil. The caller closes the link when the generation ends.
func New(cfg Config, link Link) (*Ring, error) {
	if cfg.ChunkWords == 0 {
		cfg.ChunkWords = DefaultChunkWords
	}
	if cfg.Window == 0 {
		cfg.Window = DefaultWindow
	}
	var err error
	switch {
	case cfg.World < 1 || cfg.World > MaxWorld:
		err = fmt.Errorf("world size %d is not in 1..%d", cfg.World, MaxWorld)
	case cfg.Rank < 0 || cfg.Rank >= cfg.World:
		err = fmt.Errorf("rank %d is not in 0..%d", cfg.Rank, cfg.World-1)
	case cfg.Sum != Int32 && cfg.Sum != Float32 && cfg.Sum != Int16:
		err = fmt.Errorf("sum %d is not int32, float32 or int16", cfg.Sum)
	case cfg.ChunkWords < 1 || cfg.Window < 1 || cfg.Window > MaxWindow:
		err = fmt.Errorf("chunks of %d words, window %d: not in 1.. and 1..%d", cfg.ChunkWords, cfg.Window, MaxWindow)
	case link == nil && cfg.World > 1:
		err = errors.New("no link")
	}
	if err != nil {
		return nil, fmt.Errorf("ring of generation %d: %w", cfg.Generation, err)
	}
	return &Ring{cfg: cfg, place: Place{RunHash(cfg.Run), cfg.Generation, cfg.Rank, cfg.World}, link: link, credits: cfg.Window}, nil
}

// AllReduce sets result to the sum of the own vectors of all ranks. It does not
// write own; the two must not overlap, and have the same length on all ranks. Steps
// must increase from call to call.
//
// After an error the content of result is undefined and this ring is broken: its link
// was aborted, which ends the reduction on the other ranks too. A *PeerError names the
// rank at fault. An error about the arguments changes nothing.
func (r *Ring) AllReduce(ctx context.Context, step uint64, own, result []int32) error {
	fail := func(err error) error { return fmt.Errorf("all-reduce step %d: %w", step, err) }
	switch {
	case r.broken != nil:
		return fail(fmt.Errorf("the ring of generation %d is broken: %w", r.cfg.Generation, r.broken))
	case r.started && step <= r.step:
		return fail(fmt.Errorf("step %d was reduced already", r.step))
	case len(own) != len(result):
		return fail(fmt.Errorf("own has %d words, result %d", len(own), len(result)))
	case overlap(own, result):
		return fail(errors.New("own and result overlap"))
	}
	r.step, r.started = step, true
	if r.cfg.World == 1 {
		copy(result, own)
		return nil
	}
	if err := r.reduce(ctx, own, result); err != nil {
		r.broken = err
		return fail(err)
	}
	return nil
}
