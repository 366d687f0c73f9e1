package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// squaresShorts sums squares of words of 16 bits, two words of n at a time, in unsigned
// integers of 64 bits. n is a multiple of 32.
func (s isa) squaresShorts() {
	s.begin("squaresShorts", "sum *[8]uint64, words *int16, n int", "adds squares to the sums, which together are all.")
	sum, words := pointer("sum"), pointer("words")
	n, i := pointer("n"), build.GP64()
	acc, low := s.zero(), s.vec()
	if s.lanes == 16 {
		build.VPTERNLOGD(operand.U8(0xff), low, low, low)
	} else {
		build.VPCMPEQD(low, low, low)
	}
	build.VPSRLQ(operand.U8(32), low, low)
	build.XORQ(i, i)
	build.Label("loop")
	v, high := s.vec(), s.vec()
	at := operand.Mem{Base: words, Index: i, Scale: 2}
	build.PREFETCHT0(operand.Mem{Base: words, Index: i, Scale: 2, Disp: ahead})
	build.VMOVUPS(at, v)
	build.VPMADDWD(v, v, v) // two squares are below 2^32
	build.VPSRLQ(operand.U8(32), v, high)
	if s.lanes == 16 {
		build.VPANDQ(low, v, v)
	} else {
		build.VPAND(low, v, v)
	}
	build.VPADDQ(v, acc, acc)
	build.VPADDQ(high, acc, acc)
	build.ADDQ(operand.U8(2*s.lanes), i)
	build.CMPQ(i, n)
	build.JLT(operand.LabelRef("loop"))
	build.VMOVUPS(acc, operand.Mem{Base: sum})
	end()
}

// Offsets in bytes in the parameters of stochastic, beside those of round.
const (
	offRandom  = offClamped + 64 // two words of the key
	offFirst   = offRandom + 8   // the number of the first element
	offNumbers = offFirst + 4    // of the lanes: 0 to 15
	offMixers  = offNumbers + 64 // the two factors of the hash
	offHalf    = offMixers + 8   // 0.5
	offTwo23   = offHalf + 4     // 2^23
	offOne     = offTwo23 + 4    // the integer 1
)

// stochastic rounds to words of 16 bits as StochasticRounding says.
func (s isa) stochastic(name string, add bool) {
	doc := "rounds grad to the integers of sum, up or down by chance."
	if add {
		doc = "rounds grad to integers, up or down by chance, and adds them to sum."
	}
	s.begin(name, "sum *int16, grad *float32, n int, p *[62]uint32", doc)
	sum, grad, p := pointer("sum"), pointer("grad"), pointer("p")
	constant := func(offset int) func() reg.VecVirtual {
		if s.lanes == 16 { // enough registers to keep them all
			c := s.broadcast(p, offset)
			return func() reg.VecVirtual { return c }
		}
		return func() reg.VecVirtual { return s.broadcast(p, offset) }
	}
	scale, top, abs, infinity := constant(offScale), constant(offTop), constant(offAbs), constant(offInfinity)
	key0, key1, mixer0, mixer1 := constant(offRandom), constant(offRandom+4), constant(offMixers), constant(offMixers+4)
	half, two23, one := constant(offHalf), constant(offTwo23), constant(offOne)
	number, largest, clamped := s.vec(), s.zero(), s.zero()
	build.VMOVUPS(operand.Mem{Base: p, Disp: offNumbers}, number)
	build.VPADDD(s.broadcast(p, offFirst), number, number)
	build.VPADDD(key0(), number, number)
	stride := s.vec() // added to the numbers
	build.VPBROADCASTD(operand.Mem{Base: p, Disp: offNumbers + 4*(s.lanes-1)}, stride)
	build.VPADDD(one(), stride, stride)
	finite, over, allFinite, up := reg.K1, reg.K2, reg.K3, reg.K4
	allFiniteLanes := s.vec()
	if s.lanes == 16 {
		build.KXNORW(allFinite, allFinite, allFinite)
	} else {
		build.VPCMPEQD(allFiniteLanes, allFiniteLanes, allFiniteLanes)
	}
	n, i := pointer("n"), build.GP64()
	build.XORQ(i, i)
	build.Label("loop")
	g, size, x, t := s.vec(), s.vec(), s.vec(), s.vec()
	var xor instruction = func(o ...operand.Op) { build.VPXOR(o[0], o[1], o[2]) }
	if s.lanes == 16 {
		xor = build.VPXORD
	}
	shiftXor := func(bits int) {
		build.VPSRLD(operand.U8(bits), x, t)
		xor(t, x, x)
	}
	// The hash of the element's number.
	build.VPSRLD(operand.U8(16), number, x)
	xor(number, x, x)
	build.VPMULLD(mixer0(), x, x)
	build.VPADDD(key1(), x, x)
	shiftXor(15)
	build.VPMULLD(mixer1(), x, x)
	shiftXor(15)
	build.VPADDD(stride, number, number)
	build.VPSRLD(operand.U8(9), x, x)
	build.VCVTDQ2PS(x, x)
	build.VADDPS(half(), x, x)

	build.VMOVUPS(operand.Mem{Base: grad, Index: i, Scale: 4}, g)
	build.PREFETCHT0(operand.Mem{Base: grad, Index: i, Scale: 4, Disp: ahead})
	down, q := s.vec(), s.vec()
	if s.lanes == 16 {
		build.VPANDD(abs(), g, size)
		build.VPCMPUD(operand.U8(less), infinity(), size, finite)
		build.KANDW(finite, allFinite, allFinite)
		build.VMOVDQA32_Z(size, finite, size)
		build.VPMAXUD(size, largest, largest)
		build.VMULPS(scale(), size, size)
		build.VCMPPS(operand.U8(greater), top(), size, over)
		build.VPADDD(one(), clamped, over, clamped)
		build.VMINPS(top(), size, size)
		build.VRNDSCALEPS(operand.U8(towardsZero), size, down)
		build.VSUBPS(down, size, size)
		build.VMULPS(two23(), size, size)
		build.VCMPPS(operand.U8(greater), x, size, up)
		build.VCVTTPS2DQ(down, q)
		build.VPADDD(one(), q, up, q)
		build.VPSRAD(operand.U8(31), g, g)
		xor(g, q, q)
		build.VPSUBD(g, q, q)
		build.VPMOVDW(q, q.AsY())
		at := operand.Mem{Base: sum, Index: i, Scale: 2}
		if add {
			build.VPADDW(at, q.AsY(), q.AsY())
		}
		build.VMOVDQU(q.AsY(), at)
	} else {
		isFinite, mask := s.vec(), s.vec()
		build.VPAND(abs(), g, size)
		build.VPCMPGTD(size, infinity(), isFinite)
		build.VPAND(isFinite, allFiniteLanes, allFiniteLanes)
		build.VPAND(isFinite, size, size)
		build.VPMAXUD(size, largest, largest)
		build.VMULPS(scale(), size, size)
		build.VCMPPS(operand.U8(greater), top(), size, mask)
		build.VPSUBD(mask, clamped, clamped)
		build.VMINPS(top(), size, size)
		build.VROUNDPS(operand.U8(towardsZero), size, down)
		build.VSUBPS(down, size, size)
		build.VMULPS(two23(), size, size)
		build.VCMPPS(operand.U8(greater), x, size, mask)
		build.VCVTTPS2DQ(down, q)
		build.VPSUBD(mask, q, q)
		build.VPSRAD(operand.U8(31), g, g)
		xor(g, q, q)
		build.VPSUBD(g, q, q)
		build.VEXTRACTI128(operand.U8(1), q, t.AsX())
		build.VPACKSSDW(t.AsX(), q.AsX(), q.AsX())
		at := operand.Mem{Base: sum, Index: i, Scale: 2}
		if add {
			build.VPADDW(at, q.AsX(), q.AsX())
		}
		build.VMOVDQU(q.AsX(), at)
	}
	build.ADDQ(operand.U8(s.lanes), i)
	build.CMPQ(i, n)
	build.JLT(operand.LabelRef("loop"))
	if s.lanes == 16 {
		s.report(p, allFinite, largest, clamped)
	} else {
		s.report(p, allFiniteLanes, largest, clamped)
	}
	end()
}

// towardsZero is the rounding of VROUNDPS and VRNDSCALEPS that cuts, and raises no flag.
const towardsZero = 0x0b
