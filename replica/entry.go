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
	wordPause             // workers that ask all to wait for the next plan after this step
	wordSave              // workers that ask for a checkpoint after this step
	wordDigests           // workers that give the digest of the state before this step
	wordDigest            // its pieces, summed; digestPieces words
	_
	_
	wordMLMHigh // higher digits of the losses and their infinite and NaN counts; lossDigits+1 words each
	_
	_
	_
	wordNSPHigh
	_
	_
	_
	fixedWords // then, for each tensor, clamped elements and the largest absolute value, rounded up
)

// lossScale is the fixed point of a loss: 2^12 keeps three decimals. A loss is cut
// into digits of lossDigit bits, so that the sum of each digit over MaxMicroBatches
// micro-batches fits a word. A usual loss has only the lowest digit; a loss with more
// than lossDigits of them counts as infinite.
const (
	lossScale  = 1 << 12
	lossDigit  = 20 // bits
	lossDigits = 3
	maxLoss    = 1 << (lossDigit*lossDigits - 12) // excluded
)

// Words after the higher digits: how many micro-batches had an infinite loss, and how
// many a NaN.
const (
	highInfinite = lossDigits - 1
	highNaN      = lossDigits
)

// EntryLen is the number of words of an entry.
func (r Rule) EntryLen() int {
	n := fixedWords + 2*len(r.Layout.Tensors)
	if r.Reduce == Exact16 {
		n *= counterDigits / 2
	}
	return r.gradientWords() + n
}

// gradientWords is the number of words of the gradient, with which an entry begins. In
// Exact16 a word holds two elements.
func (r Rule) gradientWords() int {
	if r.Reduce == Exact16 {
		return r.Layout.Total / 2 // the alignment is even
	}
	return r.Layout.Total
}

// Measured is what a micro-batch yields beside its gradient.
type Measured struct {
	MLMLoss, NSPLoss     float64 // means over its masked positions and its pairs
	MLMCorrect, MLMCount int
	NSPCorrect, NSPCount int
	Tokens               int
}

// Votes are what a worker asks of the run. They travel in the entry, so all replicas
// decide alike.
type Votes struct {
	Stop, Pause, Save bool
	// Digest of the state from which the step starts, for SameStates; empty where it is
	// not due.
	Digest string
}

// A digest travels as pieces of 16 bits, of which float mode can sum 256 too.
const (
	digestPieces = 3
	pieceDigits  = 4 // hex digits
)

// digestPiecesOf cuts the beginning of a digest into pieces; ok is false if it is
// malformed.
func digestPiecesOf(digest string) (p [digestPieces]int64, ok bool) {
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

// SameStates reports whether all workers that put a digest into an entry put the one of
// own, this worker's part of it. Without a digest in own it reports true. Two states that
// differ pass with a probability of 2^-48.
func (r Rule) SameStates(entry, own []int32) bool {
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

// counters reads and writes the counters of an entry. One ring sums both parts of it, so
// they are of the type of the gradient: integers, float32, or integers of 16 bits. Of the
// latter a counter has several, the digits of a number to the base of 2^counterDigit. Sums
// of digits have no carry and fit, as long as no more than 256 members and micro-batches
// add to them.
type counters struct {
	words  []int32
	reduce Reduce
}

const (
	counterDigit  = 7 // bits
	counterDigits = 4
)

func (x counters) get(i int) int64 {
	switch x.reduce {
	case Float:
		return int64(math.Float32frombits(uint32(x.words[i])))
	case Exact16:
		v := int64(0)
		for k, digit := range x.digits(i) {
			v += int64(digit) << (counterDigit * k)
		}
		return v
	}
	return int64(x.words[i])
}

func (x counters) set(i int, v int64) {
	switch x.reduce {
	case Float:
		x.words[i] = int32(math.Float32bits(float32(v)))
	case Exact16:
		clear(x.digits(i))
		x.add(i, v)
	default:
		x.words[i] = int32(v)
	}
}

func (x counters) add(i int, v int64) {
	if x.reduce != Exact16 {
		x.set(i, x.get(i)+v)
		return
	}
	for k := range x.digits(i) {
		x.digits(i)[k] += int16(v >> (counterDigit * k) & (1<<counterDigit - 1))
	}
}

func (x counters) digits(i int) []int16 {
	return shorts(x.words)[i*counterDigits:][:counterDigits]
}

// most is the largest value of a counter that a micro-batch may add, if limit is that of an
// element.
func (x counters) most(limit int32) int64 {
	if x.reduce == Exact16 {
		return 1<<(counterDigit*counterDigits) - 1
	}
	return int64(limit)
}

func (r Rule) counters(entry []int32) counters {
	return counters{entry[r.gradientWords():], r.Reduce}
}

// checkComplete reports an entry that does not hold every micro-batch exactly once.
// That cannot happen unless the protocol is broken; then it must stop the run rather than
// change the weights.
func (r Rule) checkComplete(entry []int32) error {
	c := r.counters(entry)
	m := int64(r.MicroBatches)
	if n, q := c.get(wordCount), c.get(wordSquares); n != m || q != m*(m+1)*(2*m+1)/6 {
		return fmt.Errorf("entry holds %d micro-batches (check sum %d), not each of %d once", n, q, m)
	}
	return nil
}

// addLoss adds the loss of a micro-batch: its lowest digit to word low, the others to the
// words from high on.
func (x counters) addLoss(low, high int, loss float64) {
	switch {
	case math.IsNaN(loss):
		x.add(high+highNaN, 1)
		return
	case loss >= maxLoss:
		x.add(high+highInfinite, 1)
		return
	}
	fixed := int64(math.Round(max(loss, 0) * lossScale))
	x.add(low, fixed&(1<<lossDigit-1))
	for i := range lossDigits - 1 {
		fixed >>= lossDigit
		x.add(high+i, fixed&(1<<lossDigit-1))
	}
}

// loss returns the sum over micro-batches.
func (x counters) loss(low, high int) float64 {
	if x.get(high+highNaN) > 0 {
		return math.NaN()
	}
	if x.get(high+highInfinite) > 0 {
		return math.Inf(1)
	}
	sum := 0.0
	for i := lossDigits - 2; i >= 0; i-- {
		sum = float64((sum + float64(x.get(high+i))) * (1 << lossDigit))
	}
	return (sum + float64(x.get(low))) / lossScale
}
