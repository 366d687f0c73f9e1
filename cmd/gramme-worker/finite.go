//go:build cgo

package main

import "math"

// notFinite counts the values that are NaN or an infinity. A model with one such
// weight gives NaN for nearly every question.
func notFinite(values []float32) (n int) {
	for _, v := range values {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			n++
		}
	}
	return n
}
