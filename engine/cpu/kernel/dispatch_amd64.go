//go:build !noasm

package kernel

import "golang.org/x/sys/cpu"

// set returns the kernels of an instruction set, or nil if this machine cannot run
// them. It returns nil for Portable, which For handles itself.
func (i ISA) set() *Set {
	switch {
	case i == AMX:
		return setAMX()
	case int(i) < len(sets):
		return sets[i]
	}
	return nil
}

// sets has the tables that this machine can run, except that of AMX; see setAMX.
var sets = func() (s [len(names)]*Set) {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		s[AVX2] = &setAVX2
	}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2 && s[AVX2] != nil {
		s[AVX512] = &setAVX512
	}
	if s[AVX512] != nil && cpu.X86.HasAVX512VNNI {
		s[AVX512VNNI] = &setAVX512VNNI
	}
	if s[AVX512] != nil && cpu.X86.HasAVX512BF16 {
		s[AVX512BF16] = &setAVX512BF16
	}
	return s
}()

// setAVX512VNNI differs from setAVX512 only in the products of integers.
var setAVX512VNNI = func() Set {
	s := setAVX512
	s.ISA, s.Int16, s.Int8 = AVX512VNNI, int16AVX512VNNI, int8AVX512VNNI
	return s
}()

// setAVX512BF16 differs from setAVX512VNNI, or setAVX512 on a processor without VNNI, only
// in the kernels on bfloat16 and in the transforms that round to it.
var setAVX512BF16 = func() Set {
	s := setAVX512
	if cpu.X86.HasAVX512VNNI {
		s = setAVX512VNNI
	}
	s.ISA, s.BF16, s.Int16.Tiles, s.Int16.Lines = AVX512BF16, bf16AVX512BF16, tilesAVX512BF16, linesAVX512BF16
	s.Int16.ForBF16 = false // it has instructions of its own for that
	return s
}()

var setAVX512 = Set{
	ISA: AVX512, Rows: 14, Cols: 32,
	Gemm:           gemmAVX512,
	GemmFetch:      gemmFetchAVX512,
	MeanM2:         meanM2AVX512,
	ScaleShift:     scaleShiftAVX512,
	BNReduce:       bnReduceAVX512,
	BNGrad:         bnGradAVX512,
	SumRows:        sumRowsAVX512,
	MaxPool:        maxPoolAVX512,
	MaxPoolGrad:    maxPoolGradAVX512,
	Add:            addAVX512,
	Mul:            mulAVX512,
	Axpy:           axpyAVX512,
	Scale:          scaleAVX512,
	ReLU:           reluAVX512,
	ReLUGrad:       reluGradAVX512,
	Pack:           packAVX512,
	PackTransposed: packTransposedAVX2,
	Mix:            mixAVX512,
	Mix2:           mix2AVX512,
	PeakFMA:        peakFMAAVX512,
	BF16:           bf16AVX512,
	Int16:          int16AVX512,
	Int8:           int8AVX512,
}

var setAVX2 = Set{
	ISA: AVX2, Rows: 6, Cols: 16,
	Gemm:           gemmAVX2,
	GemmFetch:      gemmFetchAVX2,
	MeanM2:         meanM2AVX2,
	ScaleShift:     scaleShiftAVX2,
	BNReduce:       bnReduceAVX2,
	BNGrad:         bnGradAVX2,
	SumRows:        sumRowsAVX2,
	MaxPool:        maxPoolAVX2,
	MaxPoolGrad:    maxPoolGradAVX2,
	Add:            addAVX2,
	Mul:            mulAVX2,
	Axpy:           axpyAVX2,
	Scale:          scaleAVX2,
	ReLU:           reluAVX2,
	ReLUGrad:       reluGradAVX2,
	Pack:           packAVX2,
	PackTransposed: packTransposedAVX2,
	Mix:            mixAVX2,
	Mix2:           mix2AVX2,
	PeakFMA:        peakFMAAVX2,
	BF16:           bf16AVX2,
	Int16:          int16AVX2,
	Int8:           int8AVX2,
}

var bf16AVX512BF16 = BF16{
	Native: true, Unit: "VDPBF16PS", Rows: 14, Cols: 32, Depth: 2,
	Dot:                 dotAVX512BF16,
	Fetches:             true,
	DotFetch:            dotFetchAVX512BF16,
	DotRound:            dotRoundAVX512BF16,
	DotRows:             dotRowsAVX512BF16,
	DotStats:            dotStatsAVX512BF16,
	DotReduce:           dotReduceAVX512BF16,
	RoundNarrow:         16,
	PackPairs:           packPairsAVX512,
	PackPairsFloat:      packPairsFloatAVX512BF16,
	PackPairsTransposed: packPairsTransposedAVX512BF16,
	Transpose:           transposeBF16AVX512,
	Patches:             patchesAVX512,
	Narrow:              narrowAVX512BF16,
	NarrowThree:         narrowThreeOfAVX512BF16,
	Widen:               widenAVX512,
	Combine:             combineAVX512,
	Finish:              finishAVX512BF16,
	MeanM2:              meanM2BF16AVX512BF16,
	ScaleShift:          scaleShiftBF16AVX512BF16,
	BNReduce:            bnReduceBF16AVX512BF16,
	BNGrad:              bnGradBF16AVX512BF16,
	SumRows:             sumRowsBF16AVX512BF16,
	MaxPool:             maxPoolBF16AVX512BF16,
	MaxPoolGrad:         maxPoolGradBF16AVX512BF16,
	PeakDot:             peakDotAVX512BF16,
}

var bf16AVX512 = BF16{
	Unit: "AVX-512 FMA on widened bfloat16", Rows: 14, Cols: 32, Depth: 2,
	Dot:                 dotAVX512,
	Fetches:             true,
	DotFetch:            dotFetchAVX512,
	DotRound:            dotRoundAVX512,
	DotRows:             dotRowsAVX512,
	DotStats:            dotStatsAVX512,
	DotReduce:           dotReduceAVX512,
	PackPairs:           packPairsAVX512,
	PackPairsFloat:      packPairsFloatAVX512,
	PackPairsTransposed: packPairsTransposedAVX512,
	Transpose:           transposeBF16AVX512,
	Patches:             patchesAVX512,
	Narrow:              narrowAVX512,
	NarrowThree:         narrowThreeOfAVX512,
	Widen:               widenAVX512,
	Combine:             combineAVX512,
	Finish:              finishAVX512,
	MeanM2:              meanM2BF16AVX512,
	ScaleShift:          scaleShiftBF16AVX512,
	BNReduce:            bnReduceBF16AVX512,
	BNGrad:              bnGradBF16AVX512,
	SumRows:             sumRowsBF16AVX512,
	MaxPool:             maxPoolBF16AVX512,
	MaxPoolGrad:         maxPoolGradBF16AVX512,
	PeakDot:             peakFMAAVX512,
}

var bf16AVX2 = BF16{
	Unit: "AVX2 FMA on widened bfloat16", Rows: 6, Cols: 16, Depth: 2,
	Dot:                 dotAVX2,
	Fetches:             true,
	DotFetch:            dotFetchAVX2,
	DotRound:            dotRoundAVX2,
	DotRows:             dotRowsAVX2,
	DotStats:            dotStatsAVX2,
	DotReduce:           dotReduceAVX2,
	PackPairs:           packPairsAVX2,
	PackPairsFloat:      packPairsFloatAVX2,
	PackPairsTransposed: packPairsTransposedAVX2,
	Transpose:           transposeBF16AVX2,
	Patches:             patchesAVX2,
	Narrow:              narrowAVX2,
	NarrowThree:         narrowThreeOfAVX2,
	Widen:               widenAVX2,
	Combine:             combineAVX2,
	Finish:              finishAVX2,
	MeanM2:              meanM2BF16AVX2,
	ScaleShift:          scaleShiftBF16AVX2,
	BNReduce:            bnReduceBF16AVX2,
	BNGrad:              bnGradBF16AVX2,
	SumRows:             sumRowsBF16AVX2,
	MaxPool:             maxPoolBF16AVX2,
	MaxPoolGrad:         maxPoolGradBF16AVX2,
	PeakDot:             peakFMAAVX2,
}
