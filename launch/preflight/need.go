package preflight

// Need is what a run is going to be.
type Need struct {
	Least, Most int  // workers
	Threads     int  // that compute, of a worker
	Shared      bool // etcd and NATS are elsewhere

	// Parameters of the model at most, and at least: a corpus may give fewer pieces
	// of vocabulary than were asked for.
	Parameters, FewestParameters int64
	Activations                  int64 // values that a micro-batch leaves between forward and backward
	Checkpoints                  int   // that are kept
	Input                        int64 // bytes of text to prepare; 0: nothing, or not known
}

// Shape are the sizes that decide how much a micro-batch leaves in memory.
type Shape struct {
	Rows, Seq, Masked                          int // of a micro-batch; Masked in a sequence
	Layers, Hidden, Intermediate, Heads, Vocab int
}

// Activations estimates the values that forward keeps for backward, and what
// backward takes at once besides: of each layer the inputs and outputs of its
// matrices and norms and what attention looks at, and the logits of the masked
// tokens, three times: as such, as probabilities, as gradient.
func (s Shape) Activations() int64 {
	tokens := int64(s.Rows) * int64(s.Seq)
	layer := tokens*(int64(s.Hidden)*14+int64(s.Intermediate)*3) + 3*int64(s.Rows)*int64(s.Heads)*int64(s.Seq)*int64(s.Seq)
	return int64(s.Layers)*layer + 3*int64(s.Rows)*int64(s.Masked)*int64(s.Vocab)
}
