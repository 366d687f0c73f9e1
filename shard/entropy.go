package shard

import "math"

// entropies returns, in nats a token, the cross entropy of held under the
// unigram distribution of base with add-one smoothing, and the entropy of base.
// The arguments are counts by token id, of the same length.
func entropies(base, held []int64) (cross, own float64) {
	var nBase, nHeld float64
	for i := range base {
		nBase += float64(base[i])
		nHeld += float64(held[i])
	}
	size := float64(len(base))
	for i := range base {
		if held[i] > 0 {
			cross -= float64(held[i]) / nHeld * math.Log((float64(base[i])+1)/(nBase+size))
		}
		if base[i] > 0 {
			own -= float64(base[i]) / nBase * math.Log(float64(base[i])/nBase)
		}
	}
	return cross, own
}
