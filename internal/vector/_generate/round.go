package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	roundParams = "sum *int32, grad *float32, n int, p *[38]uint32"
	roundDoc    = "rounds grad to the integers of sum."
	roundAddDoc = "rounds grad to integers and adds them to sum."

	greater = 0x1e // the predicate GT_OQ of VCMPPS: false for a NaN
	less    = 1    // of VPCMPUD
)

// Offsets in bytes in the parameters, of which the last three are results.
const (
	offScale    = 0
	offTop      = 4
	offLimit    = 8
	offInfinity = 12
	offAbs      = 16
	offFinite   = 20
	offLargest  = 24
	offClamped  = 24 + 64
)

func docOf(add bool) string {
	if add {
		return roundAddDoc
	}
	return roundDoc
}

// broadcast loads a word of the parameters into all lanes.
func (s isa) broadcast(p reg.Register, offset int) reg.VecVirtual {
	v := s.vec()
	build.VBROADCASTSS(operand.Mem{Base: p, Disp: offset}, v)
	return v
}

// report stores what a kernel saw of the gradients: whether all were finite, which is a mask
// register with AVX-512, and the largest and the number of clamps of each lane.
func (s isa) report(p, allFinite, largest, clamped reg.Register) {
	bits := build.GP32()
	if s.lanes == 16 {
		build.KMOVW(allFinite, bits)
	} else {
		build.VMOVMSKPS(allFinite, bits)
	}
	build.CMPL(bits, operand.U32(1<<s.lanes-1))
	build.SETEQ(operand.Mem{Base: p, Disp: offFinite})
	build.VMOVUPS(largest, operand.Mem{Base: p, Disp: offLargest})
	build.VMOVUPS(clamped, operand.Mem{Base: p, Disp: offClamped})
}

// roundAVX2 keeps masks in vectors: all bits of a lane are set, or none.
func roundAVX2(name string, add bool) {
	s := avx2
	s.begin(name, roundParams, docOf(add))
	sum, grad, p := pointer("sum"), pointer("grad"), pointer("p")
	scale, top, limit := s.broadcast(p, offScale), s.broadcast(p, offTop), s.broadcast(p, offLimit)
	infinity, abs := s.broadcast(p, offInfinity), s.broadcast(p, offAbs)
	largest, clamped, allFinite := s.zero(), s.zero(), s.vec()
	build.VPCMPEQD(allFinite, allFinite, allFinite)
	s.loop(func(at func(reg.Register, int) operand.Mem) {
		g, size, finite, over, q, edge := s.vec(), s.vec(), s.vec(), s.vec(), s.vec(), s.vec()
		build.PREFETCHT0(at(grad, ahead))
		build.PREFETCHT0(at(sum, ahead))
		build.VMOVUPS(at(grad, 0), g)
		build.VPAND(abs, g, size)
		build.VPCMPGTD(size, infinity, finite)
		build.VPAND(finite, allFinite, allFinite)
		build.VPAND(finite, size, size)
		build.VPMAXUD(size, largest, largest)
		build.VMULPS(scale, size, over)
		build.VCMPPS(operand.U8(greater), top, over, over)
		build.VPSUBD(over, clamped, clamped)
		build.VMULPS(scale, g, q)
		build.VCVTPS2DQ(q, q)
		build.VPSRAD(operand.U8(31), g, g) // ±limit by two's complement
		build.VPXOR(limit, g, edge)
		build.VPSUBD(g, edge, edge)
		build.VPBLENDVB(over, edge, q, q)
		build.VPAND(finite, q, q)
		if add {
			build.VPADDD(at(sum, 0), q, q)
		}
		build.VMOVDQU(q, at(sum, 0))
	})
	s.report(p, allFinite, largest, clamped)
	end()
}

// roundAVX512 keeps masks in mask registers.
func roundAVX512(name string, add bool) {
	s := avx512
	s.begin(name, roundParams, docOf(add))
	sum, grad, p := pointer("sum"), pointer("grad"), pointer("p")
	scale, top, limit := s.broadcast(p, offScale), s.broadcast(p, offTop), s.broadcast(p, offLimit)
	infinity, abs := s.broadcast(p, offInfinity), s.broadcast(p, offAbs)
	largest, clamped, minusOne := s.zero(), s.zero(), s.vec()
	build.VPTERNLOGD(operand.U8(0xff), minusOne, minusOne, minusOne)
	finite, over, allFinite := reg.K1, reg.K2, reg.K3
	build.KXNORW(allFinite, allFinite, allFinite)
	s.loop(func(at func(reg.Register, int) operand.Mem) {
		g, size, q, edge := s.vec(), s.vec(), s.vec(), s.vec()
		build.PREFETCHT0(at(grad, ahead))
		build.PREFETCHT0(at(sum, ahead))
		build.VMOVUPS(at(grad, 0), g)
		build.VPANDD(abs, g, size)
		build.VPCMPUD(operand.U8(less), infinity, size, finite)
		build.KANDW(finite, allFinite, allFinite)
		build.VPMAXUD(size, largest, finite, largest)
		build.VMULPS(scale, size, size)
		build.VCMPPS(operand.U8(greater), top, size, finite, over)
		build.VPSUBD(minusOne, clamped, over, clamped)
		build.VMULPS(scale, g, q)
		build.VCVTPS2DQ(q, q)
		build.VPSRAD(operand.U8(31), g, g) // ±limit by two's complement
		build.VPXORD(limit, g, edge)
		build.VPSUBD(g, edge, over, q)
		if add {
			old := s.vec()
			build.VMOVDQU32(at(sum, 0), old)
			build.VPADDD(q, old, finite, old)
			build.VMOVDQU32(old, at(sum, 0))
		} else {
			build.VMOVDQA32_Z(q, finite, q)
			build.VMOVDQU32(q, at(sum, 0))
		}
	})
	s.report(p, allFinite, largest, clamped)
	end()
}
