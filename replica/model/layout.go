package model

import (
	"fmt"
	"slices"
	"strings"
)

// Alignment of every tensor in the flat buffer, in elements: 64 bytes of
// float32, a cache line and the widest vector register.
const Alignment = 16

// Tensor is one named piece of the flat buffer.
type Tensor struct {
	Name   string // Hugging Face's key
	Shape  []int
	Offset int  // first element, a multiple of Alignment
	Len    int  // number of elements, without padding
	Decay  bool // whether weight decay applies: matrices yes, biases and layer norms no
}

// Layout places every tensor of a model in one flat buffer. The gaps between
// tensors and after the last are zero and stay zero.
type Layout struct {
	Tensors []Tensor // sorted by name
	Total   int      // elements of the flat buffer, padding included
}

// NewLayout lays out BertForPreTraining without the tied decoder, whose
// weights are the word embeddings'.
func NewLayout(c Config) Layout {
	h, i := c.HiddenSize, c.IntermediateSize
	var ts []Tensor
	add := func(name string, shape ...int) { ts = append(ts, Tensor{Name: name, Shape: shape}) }
	dense := func(name string, out, in int) {
		add(name+".weight", out, in)
		add(name+".bias", out)
	}
	norm := func(name string) {
		add(name+".weight", h)
		add(name+".bias", h)
	}
	add("bert.embeddings.word_embeddings.weight", c.VocabSize, h)
	add("bert.embeddings.position_embeddings.weight", c.MaxPositions, h)
	add("bert.embeddings.token_type_embeddings.weight", c.TypeVocabSize, h)
	norm("bert.embeddings.LayerNorm")
	for n := range c.Layers {
		layer := fmt.Sprintf("bert.encoder.layer.%d.", n)
		for _, p := range []string{"query", "key", "value"} {
			dense(layer+"attention.self."+p, h, h)
		}
		dense(layer+"attention.output.dense", h, h)
		norm(layer + "attention.output.LayerNorm")
		dense(layer+"intermediate.dense", i, h)
		dense(layer+"output.dense", h, i)
		norm(layer + "output.LayerNorm")
	}
	dense("bert.pooler.dense", h, h)
	add("cls.predictions.bias", c.VocabSize)
	dense("cls.predictions.transform.dense", h, h)
	norm("cls.predictions.transform.LayerNorm")
	dense("cls.seq_relationship", 2, h)

	slices.SortFunc(ts, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	total := 0
	for k := range ts {
		n := 1
		for _, d := range ts[k].Shape {
			n *= d
		}
		ts[k].Offset, ts[k].Len = total, n
		ts[k].Decay = strings.HasSuffix(ts[k].Name, ".weight") && !strings.Contains(ts[k].Name, "LayerNorm")
		total += (n + Alignment - 1) / Alignment * Alignment
	}
	return Layout{Tensors: ts, Total: total}
}

// Find returns the tensor of a name.
func (l Layout) Find(name string) (Tensor, bool) {
	k, found := slices.BinarySearchFunc(l.Tensors, name, func(t Tensor, name string) int { return strings.Compare(t.Name, name) })
	if !found {
		return Tensor{}, false
	}
	return l.Tensors[k], true
}

// Parameters counts the elements that are trained, without padding.
func (l Layout) Parameters() int {
	n := 0
	for _, t := range l.Tensors {
		n += t.Len
	}
	return n
}
