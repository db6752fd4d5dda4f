//go:build !noasm

package kernel

import "golang.org/x/sys/cpu"

// sets holds what this machine can run; Portable stands for itself.
var sets = func() (s [AVX512 + 1]*Set) {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		s[AVX2] = &setAVX2
	}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
		s[AVX512] = &setAVX512
	}
	return s
}()

var setAVX512 = Set{
	ISA: AVX512, Rows: 14, Cols: 32,
	Gemm:    gemmAVX512,
	PeakFMA: peakFMAAVX512,
}

var setAVX2 = Set{
	ISA: AVX2, Rows: 6, Cols: 16,
	Gemm:    gemmAVX2,
	PeakFMA: peakFMAAVX2,
}
