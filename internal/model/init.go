package model

import (
	"strings"

	"github.com/gramme-project/gramme/internal/rng"
)

// Init returns the weights at step 0: normal(0, InitStd) for matrices and
// embeddings, 0 for biases, 1 and 0 for layer norms, and 0 for the embedding
// of padding (arXiv 1810.04805 and Hugging Face's BertPreTrainedModel). Each
// tensor has its own stream, so that its values do not depend on the others.
func Init(c Config, l Layout, seed uint64) []float32 {
	flat := make([]float32, l.Total)
	for k, t := range l.Tensors {
		w := flat[t.Offset : t.Offset+t.Len]
		switch {
		case strings.HasSuffix(t.Name, "LayerNorm.weight"):
			for i := range w {
				w[i] = 1
			}
		case t.Decay:
			src := rng.New(seed, rng.DomainInit, uint64(k))
			for i := range w {
				w[i] = float32(src.Normal() * c.InitStd)
			}
			if t.Name == "bert.embeddings.word_embeddings.weight" {
				clear(w[c.PadID*c.HiddenSize : (c.PadID+1)*c.HiddenSize])
			}
		}
	}
	return flat
}
