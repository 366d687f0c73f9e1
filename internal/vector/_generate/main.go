// Command _generate writes the kernels of package vector in assembly, by avo. It is a
// module of its own, so that the software itself does not depend on avo:
//
//	cd internal/vector/_generate && go run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg vector
//
// Each kernel works on n elements, a multiple of 16; the rest is the caller's. No kernel
// uses fused multiply-add.
package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is an instruction set with the width of its registers.
type isa struct {
	name    string
	lanes   int // words of 32 bits in a register
	streams int // of squares that have enough registers
	vec     func() reg.VecVirtual
}

var (
	avx2   = isa{"AVX2", 8, 2, build.YMM}
	avx512 = isa{"AVX512", 16, 4, build.ZMM}
)

func main() {
	for _, s := range []isa{avx2, avx512} {
		s.add("addInts", build.VPADDD)
		s.add("addFloats", build.VADDPS)
		s.add("addShorts", build.VPADDW)
		s.squares("squaresInts", 1, build.VCVTDQ2PD)
		s.squares("squaresFloats", 1, build.VCVTPS2PD)
		s.squares("squaresIntsStreams", s.streams, build.VCVTDQ2PD)
		s.squares("squaresFloatsStreams", s.streams, build.VCVTPS2PD)
		s.squaresShorts()
		s.adamw("adamwInts", "*int32", func(at address, low, high reg.VecVirtual) {
			build.VCVTDQ2PD(at(4, 0), low)
			build.VCVTDQ2PD(at(4, 2*s.lanes), high)
		})
		s.adamw("adamwFloats", "*int32", func(at address, low, high reg.VecVirtual) {
			build.VCVTPS2PD(at(4, 0), low)
			build.VCVTPS2PD(at(4, 2*s.lanes), high)
		})
		s.adamw("adamwShorts", "*int16", func(at address, low, high reg.VecVirtual) {
			build.VPMOVSXWD(at(2, 0), s.halfOf(low))
			build.VPMOVSXWD(at(2, s.lanes), s.halfOf(high))
			build.VCVTDQ2PD(s.halfOf(low), low)
			build.VCVTDQ2PD(s.halfOf(high), high)
		})
		s.stochastic("stochastic", false)
		s.stochastic("stochasticAndAdd", true)
	}
	roundAVX2("round", false)
	roundAVX2("roundAndAdd", true)
	roundAVX512("round", false)
	roundAVX512("roundAndAdd", true)
	build.Generate()
}

// begin starts a kernel with the given parameters.
func (s isa) begin(name, params, doc string) {
	build.TEXT(name+s.name, build.NOSPLIT, "func("+params+")")
	build.Pragma("noescape")
	build.Doc(doc)
}

func pointer(name string) reg.Register { return build.Load(build.Param(name), build.GP64()) }

// loop repeats body for every register's width of the n elements; at addresses the
// current words behind a pointer, from a byte on.
func (s isa) loop(body func(at func(p reg.Register, bytes int) operand.Mem)) {
	n, i := pointer("n"), build.GP64()
	build.XORQ(i, i)
	build.Label("loop")
	body(func(p reg.Register, bytes int) operand.Mem {
		return operand.Mem{Base: p, Index: i, Scale: 4, Disp: bytes}
	})
	build.ADDQ(operand.U8(s.lanes), i)
	build.CMPQ(i, n)
	build.JLT(operand.LabelRef("loop"))
}

func end() {
	build.VZEROUPPER()
	build.RET()
}

// zero clears a register.
func (s isa) zero() reg.VecVirtual {
	v := s.vec()
	if s.lanes == 16 {
		build.VPXORD(v, v, v)
	} else {
		build.VPXOR(v, v, v)
	}
	return v
}

// blockBytes is the size of a block of squares.
const blockBytes = 4 * 4096

// ahead is how many bytes beyond the current word loops ask for memory: the processor does
// so by itself, but only within a page.
const ahead = 2048

// address is a place of the current words, of a size in bytes, and bytes beyond it.
type address = func(size, bytes int) operand.Mem

// halfOf is the lower half of a register.
func (s isa) halfOf(v reg.VecVirtual) reg.Register {
	if s.lanes == 16 {
		return v.AsY()
	}
	return v.AsX()
}

type instruction = func(...operand.Op)

// add is dst = a + b.
func (s isa) add(name string, plus instruction) {
	s.begin(name, "dst, a, b *int32, n int", "sets dst = a + b.")
	dst, a, b := pointer("dst"), pointer("a"), pointer("b")
	s.loop(func(at func(reg.Register, int) operand.Mem) {
		v := s.vec()
		build.VMOVUPS(at(a, 0), v)
		plus(at(b, 0), v, v)
		build.VMOVUPS(v, at(dst, 0))
	})
	end()
}

// squares adds the square of word k of a block to sum[k mod 16] of the block, for some
// blocks at once: a processor reads several places ahead faster than one. n is the length
// of a block if there are several.
func (s isa) squares(name string, streams int, widen instruction) {
	s.begin(name, "sum *[16]float64, words *int32, n int", "adds the square of word k to sum[k mod 16], for each block.")
	sum, words := pointer("sum"), pointer("words")
	n, i := pointer("n"), build.GP64()
	half := s.lanes / 2    // float64 of a register
	registers := 16 / half // of a block
	acc := make([]reg.VecVirtual, registers*streams)
	for k := range acc {
		acc[k] = s.vec()
		build.VMOVUPD(operand.Mem{Base: sum, Disp: 8 * half * k}, acc[k])
	}
	build.XORQ(i, i)
	build.Label("loop")
	for k := range acc {
		v := s.vec()
		at := blockBytes*(k/registers) + 4*half*(k%registers)
		widen(operand.Mem{Base: words, Index: i, Scale: 4, Disp: at}, v)
		build.VMULPD(v, v, v)
		build.VADDPD(v, acc[k], acc[k])
	}
	build.ADDQ(operand.U8(16), i)
	build.CMPQ(i, n)
	build.JLT(operand.LabelRef("loop"))
	for k := range acc {
		build.VMOVUPD(acc[k], operand.Mem{Base: sum, Disp: 8 * half * k})
	}
	end()
}

// adamw is one step of AdamW; p holds its numbers in the order of AdamW.numbers.
// load reads words of a type as float64.
func (s isa) adamw(name, words string, load func(at address, low, high reg.VecVirtual)) {
	s.begin(name, "w, m, v *float32, words "+words+", n int, quantum float64, p *[10]float32",
		"changes w, m and v by the gradient words * quantum.")
	w, m, v, from, p := pointer("w"), pointer("m"), pointer("v"), pointer("words"), pointer("p")
	quantum := s.vec()
	build.VBROADCASTSD(build.Load(build.Param("quantum"), build.XMM()), quantum)
	constants := map[string]func() reg.VecVirtual{}
	for k, name := range []string{"b1", "b2", "r1", "r2", "c1", "c2", "eps", "rate", "decay", "clip"} {
		load := func() reg.VecVirtual {
			c := s.vec()
			build.VBROADCASTSS(operand.Mem{Base: p, Disp: 4 * k}, c)
			return c
		}
		constants[name] = load
		if s.lanes == 16 { // enough registers to keep them all
			c := load()
			constants[name] = func() reg.VecVirtual { return c }
		}
	}
	times := func(constant string, x reg.VecVirtual) reg.VecVirtual {
		product := s.vec()
		build.VMULPS(constants[constant](), x, product)
		return product
	}
	s.loop(func(at func(reg.Register, int) operand.Mem) {
		word := func(size, bytes int) operand.Mem {
			a := at(from, bytes)
			a.Scale = uint8(size)
			return a
		}
		low, high := s.vec(), s.vec()
		load(word, low, high)
		for _, p := range []reg.Register{from, w, m, v} {
			build.PREFETCHT0(at(p, ahead))
		}
		build.VMULPD(quantum, low, low)
		build.VMULPD(quantum, high, high)
		g := s.vec()
		if s.lanes == 16 {
			build.VCVTPD2PS(low, low.AsY())
			build.VCVTPD2PS(high, high.AsY())
			build.VINSERTF64X4(operand.U8(1), high.AsY(), low, g)
		} else {
			build.VCVTPD2PSY(low, low.AsX())
			build.VCVTPD2PSY(high, high.AsX())
			build.VINSERTF128(operand.U8(1), high.AsX(), low, g)
		}
		g = times("clip", g)

		mk := s.vec()
		build.VMULPS(at(m, 0), constants["b1"](), mk)
		build.VADDPS(times("r1", g), mk, mk)
		build.VMOVUPS(mk, at(m, 0))

		vk := s.vec()
		build.VMULPS(g, g, g)
		build.VMULPS(at(v, 0), constants["b2"](), vk)
		build.VADDPS(times("r2", g), vk, vk)
		build.VMOVUPS(vk, at(v, 0))

		root := times("c2", vk)
		build.VSQRTPS(root, root)
		build.VADDPS(constants["eps"](), root, root)
		u := times("c1", mk)
		build.VDIVPS(root, u, u)
		wk := s.vec()
		build.VMOVUPS(at(w, 0), wk)
		build.VADDPS(times("decay", wk), u, u)
		build.VMULPS(constants["rate"](), u, u)
		build.VSUBPS(u, wk, wk)
		build.VMOVUPS(wk, at(w, 0))
	})
	end()
}
