package sampler

import "fmt"

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
	// MaskProb is the share of tokens to predict in the first step. It changes linearly to
	// FinalMaskProb in step Steps-1 and stays there; if that is 0, it does not change.
	MaskProb, FinalMaskProb float64
	// Steps is the number of steps over which the share changes.
	Steps uint64
	// MaxPredictions bounds the masked positions of a row.
	MaxPredictions int
	// WholeWord masks all pieces of a word or none.
	WholeWord bool
	// Window is the number of shards that are shuffled together.
	Window int
}

// Validate checks the fields.
func (c Config) Validate() error {
	switch {
	case c.Rows < 1:
		return fmt.Errorf("sampler: %d rows, want at least 1", c.Rows)
	case c.Seq < 8 || c.Seq > 1<<15:
		return fmt.Errorf("sampler: sequence length %d, want 8 to 32768", c.Seq)
	case c.MicroBatches < 1:
		return fmt.Errorf("sampler: %d micro-batches, want at least 1", c.MicroBatches)
	case !(c.MaskProb > 0 && c.MaskProb < 1):
		return fmt.Errorf("sampler: mask probability %v, want it between 0 and 1", c.MaskProb)
	case !(c.FinalMaskProb >= 0 && c.FinalMaskProb < 1):
		return fmt.Errorf("sampler: final mask probability %v, want it below 1, or 0 for none", c.FinalMaskProb)
	case c.MaxPredictions < 1:
		return fmt.Errorf("sampler: max predictions %d, want at least 1", c.MaxPredictions)
	case c.Window < 1:
		return fmt.Errorf("sampler: window of %d shards, want at least 1", c.Window)
	}
	return nil
}

// maskProb returns the share of tokens to predict in a step; the first step is 0.
func (c Config) maskProb(step uint64) float64 {
	if c.FinalMaskProb == 0 || c.Steps < 2 {
		return c.MaskProb
	}
	done := float64(min(step, c.Steps-1)) / float64(c.Steps-1)
	return c.MaskProb + (c.FinalMaskProb-c.MaskProb)*done
}
