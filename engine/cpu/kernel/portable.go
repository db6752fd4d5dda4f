package kernel

// portable is the table of plain Go kernels: the readable form of each kernel,
// and what machines without assembly run.
var portable = Set{
	ISA: Portable, Rows: 4, Cols: 16,
	Gemm:    gemmPortable,
	PeakFMA: peakPortable,
}
