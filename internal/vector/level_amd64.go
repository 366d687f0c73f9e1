package vector

import "golang.org/x/sys/cpu"

func detect() level {
	x := cpu.X86
	switch {
	case x.HasAVX2 && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL:
		return avx512
	case x.HasAVX2:
		return avx2
	}
	return portable
}
