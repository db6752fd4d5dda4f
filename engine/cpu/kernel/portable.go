package kernel

// portable is the table of kernels in plain Go. They are the readable definition of
// every kernel, and run on machines without assembly.
var portable = Set{
	ISA: Portable, Rows: 4, Cols: portableCols,
	Gemm:           gemmPortable,
	GemmFetch:      gemmFetchPortable,
	MeanM2:         meanM2Portable[float32],
	ScaleShift:     scaleShiftPortable[float32],
	BNReduce:       bnReducePortable[float32],
	BNGrad:         bnGradPortable[float32],
	SumRows:        sumRowsPortable[float32],
	MaxPool:        maxPoolPortable[float32],
	MaxPoolGrad:    maxPoolGradPortable,
	Add:            addPortable,
	Mul:            mulPortable,
	Axpy:           axpyPortable,
	Scale:          scalePortable,
	ReLU:           reluPortable,
	ReLUGrad:       reluGradPortable,
	Pack:           packPortable,
	PackTransposed: packTransposedPortable,
	Mix:            mixPortable,
	Mix2:           mix2Portable,
	PeakFMA:        peakPortable,
	BF16:           portableBF16,
	Int16:          portableInt16,
	Int8:           portableInt8,
}
