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
// c.PositionInit changes the start of positions and of the first layer, c.OutputInit that
// of both products of a layer whose result is added to their input.
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
		case c.OutputInit == OutputsZero && strings.HasSuffix(t.Name, "output.dense.weight"):
		case t.Decay:
			if t.Name == positionTensor && sinusoid {
				fillSinusoids(w, c)
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
		attendToNeighbours(view(firstQueryTensor), view(firstKeyTensor), c)
	}
	return flat
}

const (
	positionTensor   = "bert.embeddings.position_embeddings.weight"
	firstQueryTensor = "bert.encoder.layer.0.attention.self.query.weight"
	firstKeyTensor   = "bert.encoder.layer.0.attention.self.key.weight"
)

// fillSinusoids writes the fixed embeddings of arXiv 1706.03762, with the spread of the
// other weights. The product of two of them depends on their distance alone, so what a
// head learns about neighbours at one position holds at every position.
func fillSinusoids(w []float32, c Config) {
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

// Found by experiment on the tiny model, with sinusoids and wide initial weights: sharp
// enough that a word attends to its neighbours, and soft enough to be changed.
const (
	neighbourPairs = 8    // the fastest pairs of elements of the sinusoids
	neighbourGain  = 2    // of queries and keys in these elements
	neighbourNoise = 0.25 // how much of the random weights is kept, so that heads differ
)

// attendToNeighbours starts the heads of the first layer with what they would have to
// learn first: attention to the previous position (even heads) or the next (odd heads).
// Keys are the fastest sinusoids of their position, and queries those of the neighbouring
// position: turning a pair by the angle of one step gives them. That a start like the
// learned weights saves steps is the idea of mimetic initialization (arXiv 2305.09828).
// query and key are of shape [hidden, hidden].
func attendToNeighbours(query, key []float32, c Config) {
	for i := range query {
		query[i] *= neighbourNoise
		key[i] *= neighbourNoise
	}
	size := c.HiddenSize / c.Heads
	for head := range c.Heads {
		step := 1.0
		if head%2 == 0 {
			step = -1
		}
		for pair := range min(neighbourPairs, size/2) {
			sin, cos := math.Sincos(step * frequency(pair, c))
			row, column := (head*size+2*pair)*c.HiddenSize, 2*pair
			below := row + c.HiddenSize
			key[row+column] += neighbourGain
			key[below+column+1] += neighbourGain
			query[row+column] += float32(neighbourGain * cos)
			query[row+column+1] += float32(neighbourGain * sin)
			query[below+column] -= float32(neighbourGain * sin)
			query[below+column+1] += float32(neighbourGain * cos)
		}
	}
}

// frequency returns the angle between two neighbouring positions in a pair of elements
// of the sinusoids.
func frequency(pair int, c Config) float64 {
	return math.Pow(10000, -float64(2*pair)/float64(c.HiddenSize))
}
