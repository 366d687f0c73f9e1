package assembly

import (
	"errors"
	"fmt"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// mostDoubts is how many generations of one step are asked to compare their states. If the
// slices still differ then, they are damaged on their way here, and another generation
// would not help.
const mostDoubts = 3

// ErrBusy is the answer to a chunk that comes while another state is being written.
var ErrBusy = errors.New("it comes too early")

// Collector decides whether each chunk is taken, dropped or refused. It assembles one state at a time, and
// none while one is being written.
type Collector struct {
	assembly
	stored  *uint64 // newest step that is durable; nil before the first
	writing bool    // the state of step is being written
	doubts  doubts
}

// doubts are the generations of a step whose slices did not make a state.
type doubts struct {
	step        uint64
	generations map[uint64]bool
}

// NewCollector returns a collector of the states that a rule gives.
func NewCollector(r replica.Rule) *Collector { return &Collector{assembly: newAssembly(r)} }

// Stored says that the checkpoint of a step is durable: chunks of it and of older
// steps are not needed any more, and the next state may come.
func (c *Collector) Stored(step uint64) { c.stored, c.writing = &step, false }

// Take takes a chunk and reports whether it completes a state: then Finish comes next. An
// error is the answer to the sender. A chunk that is already here is no error.
func (c *Collector) Take(h wire.SliceHeader, data []byte) (whole bool, err error) {
	switch {
	case c.stored != nil && h.Step <= *c.stored, c.writing && h.Step == c.step:
		return false, nil // the sender missed the answer
	case c.writing:
		return false, fmt.Errorf("step %d: %w: that of step %d is being written", h.Step, ErrBusy, c.step)
	}
	if err := c.add(h, data); err != nil {
		return false, err
	}
	return c.whole(), nil
}

// RefusedError says that slices did not make a state.
type RefusedError struct {
	Metadata
	Step uint64
	// Doubted says that the members of the generation may hold different states: they
	// are to compare them. In the next generation they do, and a member that differs
	// takes the state of most. A run that ends would send the same slices for ever
	// otherwise.
	Doubted bool
	Err     error
}

func (e *RefusedError) Error() string { return fmt.Sprintf("state of step %d: %v", e.Step, e.Err) }
func (e *RefusedError) Unwrap() error { return e.Err }

// Finish compares a whole state with its digest. The state belongs to the caller until
// Stored. If the digest differs, the state is dropped and the error is a *RefusedError.
func (c *Collector) Finish(cores int) (*replica.State, Metadata, error) {
	about := c.about
	if err := c.check(cores); err != nil {
		// Slices from several generations may differ although the members are equal: the
		// next slices show it.
		doubted := errors.Is(err, errDiffer) && c.first == c.since && c.doubt(c.step, about.Generation)
		c.reset(c.step)
		return nil, about, &RefusedError{about, c.step, doubted, err}
	}
	c.writing = true
	return &c.state, about, nil
}

// doubt reports whether a generation is to compare its states.
func (c *Collector) doubt(step, generation uint64) bool {
	d := &c.doubts
	if d.generations == nil || d.step != step {
		*d = doubts{step, map[uint64]bool{}}
	}
	if len(d.generations) >= mostDoubts && !d.generations[generation] {
		return false
	}
	d.generations[generation] = true
	return true
}
