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
// c.PositionInit gives another start to positions, and to the first layer.
func Init(c Config, l Layout, seed uint64) []float32 {
	flat := make([]float32, l.Total)
	sinusoid := c.PositionInit == PositionsSinusoid || c.PositionInit == PositionsNeighbours
	for k, t := range l.Tensors {
		w := flat[t.Offset : t.Offset+t.Len]
		switch {
		case strings.HasSuffix(t.Name, "LayerNorm.weight"):
			for i := range w {
				w[i] = 1
			}
		case t.Decay:
			if t.Name == positions && sinusoid {
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
	if c.PositionInit == PositionsNeighbours {
		view := func(name string) []float32 {
			t, _ := l.Find(name)
			return flat[t.Offset : t.Offset+t.Len]
		}
		lookBeside(view(firstQuery), view(firstKey), c)
	}
	return flat
}

const (
	positions  = "bert.embeddings.position_embeddings.weight"
	firstQuery = "bert.encoder.layer.0.attention.self.query.weight"
	firstKey   = "bert.encoder.layer.0.attention.self.key.weight"
)

// sinusoids are the fixed embeddings of arXiv 1706.03762, with the spread of the
// others: the product of two of them depends on their distance alone, so that what
// a head learns of neighbours at one place it knows at all.
func sinusoids(w []float32, c Config) {
	amplitude := c.InitStd * math.Sqrt2
	for i := range w {
		position, k := i/c.HiddenSize, i%c.HiddenSize
		angle := float64(position) * frequency(k/2, c)
		if k%2 == 0 {
			w[i] = float32(amplitude * math.Sin(angle))
		} else {
			w[i] = float32(amplitude * math.Cos(angle))
		}
	}
}

// Found by trying on the tiny model, with sinusoids and wide initial weights:
// sharp enough that a word sees the words beside it, and soft enough to be changed.
const (
	besidePairs = 8    // of elements of the sinusoids, those that change fastest
	besideGain  = 2    // of queries and keys in these elements
	besideNoise = 0.25 // of the weights that were drawn, so that heads differ
)

// lookBeside lets the heads of the first layer begin with what they would have to
// find first: attention to the place before (even heads) or after (odd heads).
// Keys are the fastest sinusoids of their place, and queries are those of the
// place beside theirs: turning a pair by the angle of one step gives them. That a
// start like what is learned anyway saves steps is the idea of mimetic
// initialization (arXiv 2305.09828). query and key are of shape [hidden, hidden].
func lookBeside(query, key []float32, c Config) {
	for i := range query {
		query[i] *= besideNoise
		key[i] *= besideNoise
	}
	size := c.HiddenSize / c.Heads
	for head := range c.Heads {
		step := 1.0
		if head%2 == 0 {
			step = -1
		}
		for pair := range min(besidePairs, size/2) {
			sin, cos := math.Sincos(step * frequency(pair, c))
			row, column := (head*size+2*pair)*c.HiddenSize, 2*pair
			below := row + c.HiddenSize
			key[row+column] += besideGain
			key[below+column+1] += besideGain
			query[row+column] += float32(besideGain * cos)
			query[row+column+1] += float32(besideGain * sin)
			query[below+column] -= float32(besideGain * sin)
			query[below+column+1] += float32(besideGain * cos)
		}
	}
}

// frequency is the angle between two neighbours in a pair of elements of the
// sinusoids.
func frequency(pair int, c Config) float64 {
	return math.Pow(10000, -float64(2*pair)/float64(c.HiddenSize))
}
