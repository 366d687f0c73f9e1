package sampler

import (
	"fmt"
	"math"
)

// Config determines how batches are drawn: two processes with the same Config and corpus
// get the same batches.
type Config struct {
	Seed uint64
	// Split is the part of the corpus: train (default), validation or test.
	Split string
	// Rows and Seq are the shape of a micro-batch; Seq must not be less than the
	// corpus's MaxSeq.
	Rows, Seq int
	// MicroBatches is the number of micro-batches of a step.
	MicroBatches int
	// MaskProb is the share of tokens to predict; 0 means 0.15.
	MaskProb float64
	// MaxPredictions bounds the masked positions of a row; 0 means as many as
	// MaskProb gives a full row.
	MaxPredictions int
	// WholeWord masks all pieces of a word or none.
	WholeWord bool
	// Window is the number of shards that are shuffled together; 0 means 8.
	Window int
}

// DefaultWindow is the number of shards of a window when Config.Window is 0.
const DefaultWindow = 8

// withDefaults fills zero fields.
func (c Config) withDefaults() Config {
	if c.Split == "" {
		c.Split = "train"
	}
	if c.MaskProb == 0 {
		c.MaskProb = 0.15
	}
	if c.MaxPredictions == 0 {
		c.MaxPredictions = max(1, int(math.Ceil(c.MaskProb*float64(c.Seq))))
	}
	if c.Window == 0 {
		c.Window = DefaultWindow
	}
	return c
}

// Validate checks the fields, with defaults filled in.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Rows < 1:
		return fmt.Errorf("sampler: %d rows, want at least 1", c.Rows)
	case c.Seq < 8 || c.Seq > 1<<15:
		return fmt.Errorf("sampler: sequence length %d, want 8 to 32768", c.Seq)
	case c.MicroBatches < 1:
		return fmt.Errorf("sampler: %d micro-batches, want at least 1", c.MicroBatches)
	case !(c.MaskProb > 0 && c.MaskProb < 1):
		return fmt.Errorf("sampler: mask probability %v, want it between 0 and 1", c.MaskProb)
	case c.MaxPredictions < 1:
		return fmt.Errorf("sampler: max predictions %d, want at least 1", c.MaxPredictions)
	case c.Window < 1:
		return fmt.Errorf("sampler: window of %d shards, want at least 1", c.Window)
	}
	return nil
}
