package vector

// level is the set of instructions that a call uses. A higher one includes the lower.
type level int

const (
	portable level = iota // plain Go
	avx2
	avx512
)

func (l level) String() string { return [...]string{"portable", "AVX2", "AVX-512"}[l] }

// best is the highest level of this machine.
var best = detect()

// step is the number of elements that kernels process at a time at least. What remains of a
// slice is left to plain Go.
const step = 16

// whole returns the part of a length that a kernel of this level processes.
func (l level) whole(n int) int {
	if l == portable {
		return 0
	}
	return n &^ (step - 1)
}
