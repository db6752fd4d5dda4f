package kernel

// Int8 is the table of kernels on 8-bit integers: activations of 8 bits without a sign,
// weights of 8 bits with one. Sums are exact in int32, and what follows a sum is defined
// operation by operation, so all instruction sets give the same bits.
//
// An activation x of 8 bits stands for (x - zero) * scale, with a scale and a zero
// point of its tensor.
type Int8 struct {
	// Unit names the instructions that multiply. Rows and Cols are the register block
	// of the products; Cols is also the width of their panels. With at most half the
	// columns a block has up to twice the rows.
	Unit       string
	Rows, Cols int

	// Dot computes for r < rows and j < cols, over a k that is a multiple of 4,
	//
	//	c[r*crs+j] = Σ over segs s, over i < k of a[s.A + r*ars + i] * b[s.B + i/4*4*Cols + 4*j + i%4]
	//
	// or, if accumulate is set, adds that to c. b has panels as PackQuads writes them:
	// four rows interleaved, Cols wide. rows is any number, cols at most Cols; beyond
	// cols, b must be readable, and c is not written. The sum, and every part of it,
	// must fit int32. c must not overlap a or b.
	Dot func(c []int32, crs int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, accumulate bool)

	// DotBytes, DotBF16 and DotFloat are Dot and then Bytes, BF16 or Float, without
	// a block of sums in memory: y[r*ldy+j] is computed of the sum and of column j of
	// e. They also prefetch next, the data of a later call, into the second-level
	// cache: next advances by pace bytes at every fourth i of every block of rows,
	// and may run past its end, which is harmless. If next is empty, nothing is
	// prefetched. y may be the residual of e.
	DotBytes func(y []uint8, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int)
	DotBF16  func(y []uint16, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int)
	DotFloat func(y []float32, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, next []uint8, pace int)

	// PackQuads writes a panel for the products: dst[k/4*4*cols + 4*j + k%4] =
	// src[k*ld + j] for k < rows and j < n, and 0 up to cols columns and a multiple of
	// 4 rows.
	PackQuads func(dst, src []int8, rows, n, ld, cols int)

	// Bytes, BF16 and Float compute y of rows of n sums x as e says, and round it to
	// 8 bits, to bfloat16, or not at all. Rows of x lie ldx apart, those of y and of
	// the residual ldy. y may be the residual.
	Bytes func(y []uint8, ldy int, x []int32, ldx int, rows, n int, e Epilogue)
	BF16  func(y []uint16, ldy int, x []int32, ldx int, rows, n int, e Epilogue)
	Float func(y []float32, ldy int, x []int32, ldx int, rows, n int, e Epilogue)

	// BytesOfFloat is Bytes for sums in float32.
	BytesOfFloat func(y []uint8, ldy int, x []float32, ldx int, rows, n int, e Epilogue)

	// BytesOfBF16 rounds rows of n numbers to the nearest integers, ties to even, limited
	// to least..255; a NaN becomes 255. Rows of x lie ldx apart, those of y ldy.
	BytesOfBF16 func(y []uint8, ldy int, x []uint16, ldx int, rows, n int, least uint8)

	// MaxPool computes dst[i] = max over o in offs of x[o+i] for i < n. If offs is
	// empty, the result is 0.
	MaxPool func(dst, x []uint8, offs []int, n int)

	// SumRows overwrites sum with the sum of each column of rows x n activations
	// whose rows lie ld apart.
	SumRows func(sum []int32, x []uint8, rows, n, ld int)

	// Narrow and NarrowFloat compute dst = src*inverse + zero, rounded to the nearest
	// integer, ties to even, and limited to 0..255; inverse is 1/scale. The product
	// and the sum are rounded to float32, and a NaN becomes 255.
	Narrow      func(dst []uint8, src []uint16, inverse, zero float32)
	NarrowFloat func(dst []uint8, src []float32, inverse, zero float32)

	// Widen and WidenFloat compute dst = (src - zero) * scale, rounded to the type of
	// dst. zero must be an integer.
	Widen      func(dst []uint16, src []uint8, scale, zero float32)
	WidenFloat func(dst []float32, src []uint8, scale, zero float32)

	// PeakDot runs independent multiply-adds of 8-bit integers on registers alone,
	// for the given number of iterations, and returns the number of operations.
	PeakDot func(iterations int) (ops float64)

	// Tiles has the transforms of Winograd's convolution.
	Tiles ByteTiles
}

// Epilogue says what follows the sums of a product of 8-bit integers. With x the sum of
// column j, it computes in float32
//
//	v = float32(x)*Scale[j] + Shift[j]
//	v = float32(Bytes[i])*BytesScale + v  unless Bytes is nil
//	v = v + BF16[i]                       unless BF16 is nil
//
// where each multiply-add rounds once, and so does each addition.
//
// A result of 8 bits is v rounded to the nearest integer, ties to even, and limited to
// Least..255; a NaN becomes 255. The caller therefore divides Scale, Shift and BytesScale
// by the scale of the result, adds its zero point to Shift, and subtracts that of the
// residual times BytesScale; a residual in bfloat16 is added as it is. With a ReLU, Least
// is the zero point of the result. A result in floating point is v, or max(0, v) if ReLU is
// set; NaN stays NaN.
type Epilogue struct {
	Scale, Shift []float32 // one a column; neither is nil

	Bytes      []uint8  // a residual of 8 bits, or nil
	BytesScale float32  // its scale, divided by that of a result of 8 bits
	BF16       []uint16 // a residual in bfloat16, or nil

	Least uint8 // the least result of 8 bits

	// Bounded promises that every v is a number below 2^31, so that results of 8 bits may
	// be limited after they have become integers, which is faster and gives the same.
	Bounded bool

	ReLU bool // of results in floating point
}
