package kernel

// BF16 is the table of kernels for activations stored in bfloat16. A bfloat16 is
// the upper half of a float32, held in a uint16. All arithmetic is in float32, and
// results are rounded to nearest, ties to even, when they are stored. As with the
// conversion instructions of processors, a NaN becomes a quiet NaN, and a result
// below the smallest normal number becomes a zero of its sign.
//
// A product of two bfloat16 is exact in float32, so it does not matter whether it
// is rounded before it is added. All instruction sets therefore give the same bits,
// with two exceptions: AMX adds in another order, and VDPBF16PS and AMX read numbers
// below the smallest normal one as zero.
type BF16 struct {
	// Native says that the processor has instructions that multiply bfloat16.
	// Unit names the instructions that multiply, native or not.
	Native bool
	Unit   string

	// Rows and Cols are the register block of Dot; Cols is also the width of its
	// panels. Dot is fastest if k is a multiple of Depth.
	Rows, Cols, Depth int

	// Dot computes for r < rows and j < cols, over an even k,
	//
	//	c[r*crs+j] = Σ over segs s, over i < k of a[s.A + r*ars + i] * b[s.B + i/2*2*Cols + 2*j + i%2]
	//
	// or, if accumulate is set, adds that to c. b has panels as PackPairs writes
	// them: pairs of rows interleaved, Cols wide. rows is any number, cols at most
	// Cols; beyond cols, b must have finite numbers, and c is not written. Every
	// element is one chain of additions in the order of segs and i, whatever rows
	// and cols are; of a pair the second comes first, as in VDPBF16PS. AMX adds the
	// even and the odd ones of every 32 terms of a seg separately, then their sum;
	// the terms of every seg beyond a multiple of 32 come last. c must not overlap
	// a or b.
	Dot func(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool)

	// DotFetch is Dot that also prefetches next, the data of a later call, into the
	// second-level cache. It advances by pace bytes at every second i of every block
	// of Rows rows, and may run past the end of next, which is harmless. Results are
	// those of Dot. If next is empty, nothing is prefetched.
	DotFetch func(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool, next []uint16, pace int)

	// Fetches says that DotFetch does prefetch; otherwise it is the same as Dot.
	Fetches bool

	// DotRound computes y = x*scale + shift + res with the operands in f, where x is the
	// sum that Dot computes, and rounds it: y[r*ldy+j] for r < rows and j < cols. It gives
	// the same bits as Dot followed by Finish. cols is Cols, or at most RoundNarrow; there
	// is at least one segment. k may be odd; then the last term of each segment has no
	// second in its pair, and b has zeros there. next and pace are those of DotFetch.
	// DotRound is nil where sums cannot stay in registers.
	DotRound func(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, f Finish, next []uint16, pace int)

	// DotRows is DotRound for an even k with rows anywhere in memory: the terms of
	// segment s < segs of row r begin at elements after the address table[s*ld+r], and
	// their weights at b[s*k*Cols]. cols is Cols. DotRows is nil where DotRound is.
	DotRows func(y []uint16, ldy int, table []*uint16, ld, at int, b []uint16, segs, k, rows, cols int, f Finish, next []uint16, pace int)

	// DotStats is DotRound with y = x + shift, which also sums the columns of x. sums has
	// three rows of Cols: pivots, sums of x less its pivot, and sums of the squares of that.
	// If fresh is set, the pivots are the first row of x, and the sums begin with 0; otherwise
	// they go on from what they are. Rows are added in their order. Any pivot that is one of
	// n values makes their variance exact to about n units in the last place, wherever the
	// values lie. A nil shift means 0. DotStats is nil where DotRound is.
	DotStats func(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, shift, sums []float32, fresh bool, next []uint16, pace int)

	// DotReduce is DotRound for the gradient of a batch norm's output: y = x + Res, or 0
	// where Gate, if it is not nil, is 0 or less. It adds to sums, two rows of Cols, y before it is
	// rounded, and its products with X less its mean. It is fastest with at least four
	// segments, in each of which it prefetches one of its operands. DotReduce is nil where
	// DotRound is.
	DotReduce func(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, g Reduction, sums []float32, next []uint16, pace int)

	// RoundNarrow is the most columns of less than a panel that DotRound computes.
	RoundNarrow int

	// PackPairs writes a panel for Dot: dst[k/2*2*cols + 2*j + k%2] = src[k*ld + j]
	// for k < rows and j < n, and 0 up to cols columns and an even number of rows.
	PackPairs func(dst, src []uint16, rows, n, ld, cols int)

	// PackPairsFloat is PackPairs for float32, which it rounds.
	PackPairsFloat func(dst []uint16, src []float32, rows, n, ld, cols int)

	// PackPairsTransposed writes a panel of the transpose of float32, which it rounds:
	// dst[k/2*2*cols + 2*j + k%2] = src[j*ld + k] for k < n and j < rows, and 0
	// up to cols columns and an even number of rows.
	PackPairsTransposed func(dst []uint16, src []float32, rows, n, ld, cols int)

	// Transpose gathers rows of src as columns of dst: for i < len(offs) and j < n,
	// dst[j*dld + i] = src[offs[i] + j], or 0 where offs[i] < 0.
	Transpose func(dst, src []uint16, offs []int, n, dld int)

	// Patches gathers the inputs of rows of outputs: for i < rows, t < len(offs)
	// and j < c, dst[i*dld + t*c + j] = src[offs[t] + i*ld + j], or 0 where
	// offs[t] < 0, and 0 from len(offs)*c up to dld. In most calls ld is c, and 1 or 3.
	Patches func(dst, src []uint16, offs []int, rows, c, ld, dld int)

	Narrow func(dst []uint16, src []float32) // dst = src, rounded

	// NarrowThree rounds three planes, such as the colours of an image, to pixels: for
	// i < n and c < 3, dst[3*i+c] = src[c*ld+i], rounded.
	NarrowThree func(dst []uint16, src []float32, ld, n int)

	Widen func(dst []float32, src []uint16) // dst = src

	// Combine computes weighted sums of blocks, which Winograd's algorithm needs: for
	// r < rows and j < n, a multiple of CombineLanes,
	//
	//	dst[r*dld+j] = Σ over k of factors[k] * src[offs[k] + r*sld + j]
	//
	// It has one to CombineTerms terms, added in their order. rows and n are at least 1.
	Combine func(dst []float32, dld int, src []uint16, sld int, offs []int, factors []float32, rows, n int)

	// Finish computes y = x*scale + shift + res for rows of n values, then
	// max(0, y) if relu is set, and rounds. NaN stays NaN. Rows of x lie ldx
	// apart, those of y and res ldy. A nil scale means 1; a nil shift or res means
	// 0. y may be res.
	Finish func(y []uint16, ldy int, x []float32, ldx int, scale, shift []float32, res []uint16, relu bool, rows, n int)

	// These are the kernels of Set for activations in bfloat16. Sums and vectors
	// with one value a column are float32. BNGrad sums dx before it is rounded.
	// dres and maxima are copies of operands and need no rounding.

	MeanM2     func(mean, m2 []float32, x []uint16, rows, n, ld int)
	ScaleShift func(y, x []uint16, scale, shift []float32, res []uint16, relu bool, rows, n, ld int)
	BNReduce   func(sumDy, sumDyX []float32, dy, y, x []uint16, mean []float32, dres []uint16, rows, n, ld int)
	BNGrad     func(dx, dres []uint16, sumDx []float32, dy, y, x []uint16, a, b, d []float32, rows, n, ld int)
	SumRows    func(sum []float32, x []uint16, rows, n, ld int)

	// MaxPool is that of Set. Of zeros, 0 is larger than -0.
	MaxPool func(dst, x []uint16, offs []int, n int)

	// MaxPoolGrad adds dy[i] to dx[dxOffs[o]+i] for the first o where x[xOffs[o]+i]
	// is y[i], the output of MaxPool, or NaN. dxOffs must be at least n apart.
	MaxPoolGrad func(dx []float32, dy, x, y []uint16, dxOffs, xOffs []int, n int)

	// PeakDot runs independent multiply-adds of bfloat16 on registers alone, for the
	// given number of iterations, and returns the number of floating-point
	// operations.
	PeakDot func(iterations int) (flops float64)
}

// Finish has the operands that turn sums into a result, which are those of BF16.Finish: a nil
// Scale means 1, a nil Shift or Res 0. Res has the distances of rows that the result has.
type Finish struct {
	Scale, Shift []float32
	Res          []uint16
	ReLU         bool
}

// Reduction has the operands of DotReduce. Those in bfloat16 have the distances of rows that
// the result has.
type Reduction struct {
	Res, Gate, X []uint16 // Res and Gate may be nil
	Mean         []float32
}
