package model

import (
	"math"
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
			if t.Name == positions && c.PositionInit == PositionsSinusoid {
				sinusoids(w, c)
				continue
			}
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

const positions = "bert.embeddings.position_embeddings.weight"

// sinusoids are the fixed embeddings of arXiv 1706.03762, with the spread of the
// others: the product of two of them depends on their distance alone, so that what
// a head learns of neighbours at one place it knows at all.
func sinusoids(w []float32, c Config) {
	amplitude := c.InitStd * math.Sqrt2
	for i := range w {
		position, k := i/c.HiddenSize, i%c.HiddenSize
		angle := float64(position) * math.Pow(10000, -float64(k/2*2)/float64(c.HiddenSize))
		if k%2 == 0 {
			w[i] = float32(amplitude * math.Sin(angle))
		} else {
			w[i] = float32(amplitude * math.Cos(angle))
		}
	}
}
