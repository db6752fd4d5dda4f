package kernel

// BF16 is the table of kernels for activations stored in bfloat16, the upper
// half of a float32, here as uint16. All arithmetic is in float32; results are
// rounded to nearest, ties to even, when they are stored. As in the processors'
// own conversion a NaN stays a (quiet) NaN, and a result below the smallest
// normal number becomes a zero of its sign.
//
// A product of two bfloat16 is exact in float32, so it does not matter whether
// it is rounded before it is added: all instruction sets but AMX, which adds up
// in another order, give the same bits, unless a number below the smallest
// normal one is among them, which VDPBF16PS and AMX take for zero.
type BF16 struct {
	// Native says that the processor multiplies bfloat16 itself, by the
	// instructions that Unit names.
	Native bool
	Unit   string

	// Rows and Cols are the register block of Dot, and Cols the width of its
	// panels. A k that is a multiple of Depth suits it best.
	Rows, Cols, Depth int

	// Dot computes for r < rows and j < cols, over an even k,
	//
	//	c[r*crs+j] = Σ over segs s, over i < k of a[s.A + r*ars + i] * b[s.B + i/2*2*Cols + 2*j + i%2]
	//
	// or, where accumulate is set, adds that to c. b holds panels as PackPairs
	// writes them: pairs of rows interleaved, Cols wide. Any rows; cols at most
	// Cols, beyond which b must hold finite numbers, and c is left alone. Every
	// element is one chain of sums in the order of segs and i, of a pair the
	// second first as VDPBF16PS has it, whatever rows and cols are. AMX adds for
	// every 32 terms of a seg the even and the odd ones apart, then their sum, and
	// what is left over of k in each seg after all of these. c must not overlap a or b.
	Dot func(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool)

	// DotFetch is Dot, and meanwhile fetches next into the second cache, so that what a
	// later call reads is on its way while this one computes: pace bytes further at
	// every second i of every block of Rows rows, past the end of next if need be. Its
	// results are Dot's. Where next is empty nothing is fetched.
	DotFetch func(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool, next []uint16, pace int)

	// Fetches says that DotFetch does so. Elsewhere it is Dot.
	Fetches bool

	// PackPairs writes a panel for Dot: dst[k/2*2*cols + 2*j + k%2] = src[k*ld + j]
	// for k < rows and j < n, and 0 up to cols columns and an even number of rows.
	PackPairs func(dst, src []uint16, rows, n, ld, cols int)

	// PackPairsFloat is PackPairs for float32, rounded.
	PackPairsFloat func(dst []uint16, src []float32, rows, n, ld, cols int)

	// PackPairsTransposed writes a panel of the transpose of float32, rounded:
	// dst[k/2*2*cols + 2*j + k%2] = src[j*ld + k] for k < n and j < rows, and 0
	// up to cols columns and an even number of rows.
	PackPairsTransposed func(dst []uint16, src []float32, rows, n, ld, cols int)

	// Transpose gathers rows of src as columns of dst: for i < len(offs) and j < n,
	// dst[j*dld + i] = src[offs[i] + j], or 0 where offs[i] < 0.
	Transpose func(dst, src []uint16, offs []int, n, dld int)

	// Patches gathers the inputs of rows of outputs: for i < rows, t < len(offs)
	// and j < c, dst[i*dld + t*c + j] = src[offs[t] + i*ld + j], or 0 where
	// offs[t] < 0, and 0 from len(offs)*c up to dld. Mostly ld is c, and 1 or 3.
	Patches func(dst, src []uint16, offs []int, rows, c, ld, dld int)

	Narrow func(dst []uint16, src []float32) // dst = src, rounded
	Widen  func(dst []float32, src []uint16) // dst = src

	// Finish computes y = x*scale + shift + res for rows of n values, then
	// max(0, y) if relu is set, and rounds; NaN stays NaN. Rows of x lie ldx
	// apart, those of y and res ldy. A nil scale is 1, a nil shift 0, a nil res 0.
	// y may be res.
	Finish func(y []uint16, ldy int, x []float32, ldx int, scale, shift []float32, res []uint16, relu bool, rows, n int)

	// These are the kernels of Set on activations in bfloat16; columns have
	// float32, and so have sums. BNGrad sums dx before it is rounded. dres and
	// maxima are numbers read before, and are not rounded.

	MeanM2     func(mean, m2 []float32, x []uint16, rows, n, ld int)
	ScaleShift func(y, x []uint16, scale, shift []float32, res []uint16, relu bool, rows, n, ld int)
	BNReduce   func(sumDy, sumDyX []float32, dy, y, x []uint16, mean []float32, rows, n, ld int)
	BNGrad     func(dx, dres []uint16, sumDx []float32, dy, y, x []uint16, a, b, d []float32, rows, n, ld int)
	SumRows    func(sum []float32, x []uint16, rows, n, ld int)
	MaxPool    func(dst, x []uint16, offs []int, n int)

	// MaxPoolGrad adds dy[i] to dx[dxOffs[o]+i] for the first o where x[xOffs[o]+i]
	// is y[i], the output of MaxPool, or NaN. dxOffs must be at least n apart.
	MaxPoolGrad func(dx []float32, dy, x, y []uint16, dxOffs, xOffs []int, n int)

	// PeakDot runs rounds of independent multiply-adds of bfloat16 on registers
	// alone and returns how many floating-point operations these were.
	PeakDot func(iterations int) (flops float64)
}
