package vector

// How SquaresOfInts adds, for what adds on another device.
const (
	Lanes    = lanes
	BlockLen = blockLen
)

// AddLanes adds the partial sums of a block.
func AddLanes(sum [Lanes]float64) float64 { return pairs(&sum) }
