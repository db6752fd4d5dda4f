package kernel

// Int16 is the table of kernels on 16-bit integers. Sums are exact in int32, so all
// instruction sets give the same bits; the caller chooses scales such that no sum
// overflows. A sum becomes float32 in separate steps, each rounded to nearest.
type Int16 struct {
	// Unit names the instructions that multiply. Rows and Cols are the register block
	// of Dot; Cols is also the width of its panels.
	Unit       string
	Rows, Cols int

	// Dot computes for r < rows and j < cols, over an even k,
	//
	//	c[r*crs+j] = float32(Σ over i < k of a[r*ars + i] * b[i/2*2*Cols + 2*j + i%2]) * scale[j]
	//
	// or, if accumulate is set, adds that to c. b is a panel as PackPairs writes it:
	// pairs of rows interleaved, Cols wide. rows is any number, cols at most Cols;
	// beyond cols, b must be readable, and c is not written. The sum, and every part
	// of it, must fit int32. The sum, its product with the scale and the sum with c
	// are rounded one after the other. c must not overlap a or b.
	Dot func(c []float32, crs int, a []int16, ars int, b []int16, scale []float32, k, rows, cols int, accumulate bool)

	// DotFetch is Dot that also prefetches next, the data of a later call, into the
	// second-level cache. It advances by pace bytes at every second i of every block
	// of Rows rows, and may run past the end of next, which is harmless. Results are
	// those of Dot. If next is empty, nothing is prefetched.
	DotFetch func(c []float32, crs int, a []int16, ars int, b []int16, scale []float32, k, rows, cols int, accumulate bool, next []int16, pace int)

	// DotSegs is Dot of sums of several parts: Σ over segs s, over i < k of
	// a[s.A + r*ars + i] * b[s.B + i/2*2*Cols + 2*j + i%2]. There is at least one seg.
	DotSegs func(c []float32, crs int, a []int16, ars int, b []int16, segs []Seg, scale []float32, k, rows, cols int)

	// DotSums computes the sums alone, in c[r*crs+j], modulo 2^32: they need not fit
	// int32. It prefetches as DotFetch does.
	DotSums func(c []int32, crs int, a []int16, ars int, b []int16, k, rows, cols int, next []int16, pace int)

	// DotRows is Dot with a scale for each row besides: before c is added, element
	// r, j is also multiplied by rowScale[r].
	DotRows func(c []float32, crs int, a []int16, ars int, b []int16, scale, rowScale []float32, k, rows, cols int, accumulate bool)

	// ScaleRows converts rows of n bfloat16, ld apart, to integers, with a scale for
	// each row such that the largest absolute value of row r becomes limit:
	// src[r*ld + i] is about dst[r*n + i] * rowScale[r], with the products rounded to
	// the nearest integer, ties to even. A row of zeros has the scale 0. If a number of
	// the row is NaN or infinite, its integers are 0 and the scale is NaN.
	ScaleRows func(dst []int16, rowScale []float32, src []uint16, rows, n, ld int, limit float32)

	// ForBF16 says that DotRows is the fastest way to multiply bfloat16: the processor
	// multiplies 16-bit integers in half the time of float32 and has no instructions
	// for bfloat16.
	ForBF16 bool

	// Fast says that the processor multiplies pairs of 16-bit integers in the time of one
	// float32.
	Fast bool

	// Fetches says that DotFetch does prefetch; otherwise it is the same as Dot.
	Fetches bool

	// PackPairs writes a panel for Dot: dst[k/2*2*cols + 2*j + k%2] = src[k*ld + j]
	// for k < rows and j < n, and 0 up to cols columns and an even number of rows.
	PackPairs func(dst, src []int16, rows, n, ld, cols int)

	// PackPairsFloat is PackPairs for src[k*ld + j] * scale[j] in float32, rounded to
	// the nearest integer, ties to even, and limited to the range of int16. A NaN
	// becomes 32767.
	PackPairsFloat func(dst []int16, src, scale []float32, rows, n, ld, cols int)

	// PeakDot runs independent multiply-adds of 16-bit integers on registers alone,
	// for the given number of iterations, and returns the number of operations.
	PeakDot func(iterations int) (ops float64)

	// Tiles has the transforms of Winograd's convolution around the products.
	Tiles Tiles

	// Lines has those for convolutions of few channels with stride 2.
	Lines Lines
}
