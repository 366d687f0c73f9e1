package replica

import (
	"fmt"
	"math"
	"strconv"
)

// The words of an entry after the gradient. All are sums over micro-batches.
const (
	wordNonFinite  = iota // micro-batches with a NaN or an infinity
	wordCount             // micro-batches
	wordSquares           // sum of (index+1)²: with the count, each index exactly once
	wordMLMLoss           // fixed point, lossScale
	wordNSPLoss           // fixed point, lossScale
	wordMLMCorrect        //
	wordMLMCount          // masked positions
	wordNSPCorrect        //
	wordNSPCount          // pairs
	wordTokens            // without padding
	wordStop              // workers that ask the run to stop after this step
	wordHold              // workers that ask all to wait for the next plan after this step
	wordSave              // workers that ask for a checkpoint after this step
	wordDigests           // workers that give the digest of the state before this step
	wordDigest            // its pieces, summed; digestPieces words
	_
	_
	wordMLMLarge // what of the losses does not fit the words above; largeWords words each
	_
	_
	_
	wordNSPLarge
	_
	_
	_
	fixedWords // then, for each tensor, clamped elements and the largest absolute value, rounded up
)

// lossScale is the fixed point of a loss: 2^12 keeps three decimals. A loss is cut
// into digits of lossDigit bits, so that the sum of each over MaxMicroBatches
// micro-batches fits a word: a usual loss has only the lowest, whatever has more than
// lossDigits of them counts as infinite.
const (
	lossScale  = 1 << 12
	lossDigit  = 20 // bits
	lossDigits = 3
	maxLoss    = 1 << (lossDigit*lossDigits - 12) // excluded
)

// Words of what is large: the higher digits, then how many micro-batches had an
// infinite loss, and how many one that was no number.
const (
	largeInfinite = lossDigits - 1
	largeNaN      = lossDigits
)

// EntryLen is the number of words of an entry.
func (r Rule) EntryLen() int { return r.Layout.Total + fixedWords + 2*len(r.Layout.Tensors) }

// Measured is what a micro-batch tells beside its gradient.
type Measured struct {
	MLMLoss, NSPLoss     float64 // means over its masked positions and its pairs
	MLMCorrect, MLMCount int
	NSPCorrect, NSPCount int
	Tokens               int
}

// Votes are what a worker asks of the run, decided alike by all replicas
// because they travel in the entry.
type Votes struct {
	Stop, Hold, Save bool
	// Digest of the state that the step starts from, which Agree compares; empty
	// where it is not due.
	Digest string
}

// A digest travels as pieces of 16 bits, of which float mode can sum 256 too.
const (
	digestPieces = 3
	pieceDigits  = 4 // hex digits
)

// pieces cuts the beginning of a digest; a malformed one has none.
func pieces(digest string) (p [digestPieces]int64, ok bool) {
	if len(digest) < digestPieces*pieceDigits {
		return p, false
	}
	for i := range p {
		v, err := strconv.ParseUint(digest[i*pieceDigits:(i+1)*pieceDigits], 16, 64)
		if err != nil {
			return p, false
		}
		p[i] = int64(v)
	}
	return p, true
}

// Agree reports whether all workers that gave a digest with an entry gave the one
// that own, this worker's part of it, holds. Without one of its own it cannot tell,
// and reports true. Two states that differ pass with a probability of 2^-48.
func (r Rule) Agree(entry, own []int32) bool {
	all, mine := r.counters(entry), r.counters(own)
	if mine.get(wordDigests) != 1 {
		return true
	}
	for i := range digestPieces {
		if all.get(wordDigest+i) != all.get(wordDigests)*mine.get(wordDigest+i) {
			return false
		}
	}
	return true
}

// words reads and writes the counters of an entry, which are integers in exact
// mode and float32 in float mode, since one ring sums both parts.
type words struct {
	w     []int32
	float bool
}

func (x words) get(i int) int64 {
	if x.float {
		return int64(math.Float32frombits(uint32(x.w[i])))
	}
	return int64(x.w[i])
}

func (x words) set(i int, v int64) {
	if x.float {
		x.w[i] = int32(math.Float32bits(float32(v)))
		return
	}
	x.w[i] = int32(v)
}

func (x words) add(i int, v int64) { x.set(i, x.get(i)+v) }

func (r Rule) counters(entry []int32) words {
	return words{entry[r.Layout.Total:], r.Reduce == Float}
}

// complete reports an entry that does not hold every micro-batch exactly once.
// That cannot happen unless the protocol is broken, and must then stop the run
// rather than change the weights.
func (r Rule) complete(entry []int32) error {
	c := r.counters(entry)
	m := int64(r.MicroBatches)
	if n, q := c.get(wordCount), c.get(wordSquares); n != m || q != m*(m+1)*(2*m+1)/6 {
		return fmt.Errorf("entry holds %d micro-batches (check sum %d), not each of %d once", n, q, m)
	}
	return nil
}

// addLoss adds the loss of a micro-batch: its lowest digit to the word low, the rest
// to those from large on.
func (x words) addLoss(low, large int, loss float64) {
	switch {
	case math.IsNaN(loss):
		x.add(large+largeNaN, 1)
		return
	case loss >= maxLoss:
		x.add(large+largeInfinite, 1)
		return
	}
	fixed := int64(math.Round(max(loss, 0) * lossScale))
	x.add(low, fixed&(1<<lossDigit-1))
	for i := range lossDigits - 1 {
		fixed >>= lossDigit
		x.add(large+i, fixed&(1<<lossDigit-1))
	}
}

// loss is the sum over micro-batches.
func (x words) loss(low, large int) float64 {
	if x.get(large+largeNaN) > 0 {
		return math.NaN()
	}
	if x.get(large+largeInfinite) > 0 {
		return math.Inf(1)
	}
	sum := 0.0
	for i := lossDigits - 2; i >= 0; i-- {
		sum = float64((sum + float64(x.get(large+i))) * (1 << lossDigit))
	}
	return (sum + float64(x.get(low))) / lossScale
}
