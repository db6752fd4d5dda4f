// Package kernel has the inner loops of the CPU device: matrix products and the
// passes over activations between them. Each is written in portable Go and in
// assembly for the instruction sets where that is faster.
//
// For returns the kernels of an instruction set as a Set, a table of functions:
//
//	set := kernel.For(kernel.Best())
//	set.Add(dst, a, b) // dst = a + b
//
// Set has the kernels for float32, its field BF16 those for activations in bfloat16,
// Int16 products of 16-bit integers, and Int8 those of 8-bit integers with what follows. Available lists the instruction sets, of type ISA, that this machine
// and this build can run. Mix names the transforms of Winograd's convolution.
//
// Kernels do not check their arguments: shapes are checked once, when a program
// is compiled. Slices are base pointers; sizes and strides are in elements. The
// order of every sum is fixed, so the results of one instruction set are the same
// bits however the work is divided. AVX2 and AVX-512 give the same bits, too. The
// portable kernels round a product before they add it and give other bits.
//
// The nested module in asm generates the assembly; run "go generate" after a
// change there. The build tag noasm leaves the assembly out.
package kernel

//go:generate go run -C asm . -dir ..

// Set is the table of the kernels of one instruction set. For returns it.
type Set struct {
	ISA ISA

	// Rows and Cols are the register block of Gemm. Cols is also the width of
	// the panels that Pack and PackTransposed write.
	Rows, Cols int

	// Gemm computes for r < rows and j < cols
	//
	//	c[r*crs+j] = Σ over segs s, over i < k of a[s.A + r*ars + i*aks] * b[s.B + i*bks + j]
	//
	// or, if accumulate is set, adds that to c. The sum then begins with c itself,
	// so a long k may be split over calls without changing a bit. rows is any
	// number, cols at most Cols. Every element is one chain of multiply-adds in
	// the order of segs and k, whatever rows and cols are. A single offset may
	// be negative as long as every sum of offsets lies within its slice. c must
	// not overlap a or b.
	Gemm func(c []float32, crs int, a []float32, ars, aks int, b []float32, bks int, segs []Seg, k, rows, cols int, accumulate bool)

	// GemmFetch is Gemm for exactly Cols columns that also prefetches next, the data
	// of a later call, into the cache. It advances by pace bytes at every step in k
	// of every block of Rows rows, and may run past the end of next, which is
	// harmless. Results are those of Gemm. next must not be empty.
	GemmFetch func(c []float32, crs int, a []float32, ars, aks int, b []float32, bks int, segs []Seg, k, rows int, accumulate bool, next []float32, pace int)

	// The kernels of batch normalisation work on a block of rows x n values whose
	// rows lie ld apart, and on vectors with one value a column; n is any number.
	// They may work in place: y may be x or res, dx may be dy or x, dres may be
	// dy. Sums add the rows in order. g is the gradient of a ReLU whose output
	// is y: dy, or 0 where y <= 0. A NaN in y lets dy pass, as in PyTorch.

	// MeanM2 overwrites mean with the mean of each column and m2 with the sum of
	// squared differences from it, in two passes. rows must be at least 1.
	MeanM2 func(mean, m2, x []float32, rows, n, ld int)

	// ScaleShift computes y = x*scale + shift + res, then max(0, y) if relu is
	// set. NaN stays NaN. A nil scale means 1; a nil shift or res means 0.
	ScaleShift func(y, x, scale, shift, res []float32, relu bool, rows, n, ld int)

	// BNReduce overwrites sumDy with Σ g and sumDyX with Σ g*(x-mean), column
	// by column, and computes dres = g unless dres is nil. A nil y means no
	// ReLU: g = dy.
	BNReduce func(sumDy, sumDyX, dy, y, x, mean, dres []float32, rows, n, ld int)

	// BNGrad computes dx = a*g + b*x + d with a, b, d one value a column,
	// dres = g unless dres is nil, and overwrites sumDx with Σ dx unless that
	// is nil. A nil y means no ReLU: g = dy.
	BNGrad func(dx, dres, sumDx, dy, y, x, a, b, d []float32, rows, n, ld int)

	// SumRows overwrites sum with the sum of each column.
	SumRows func(sum, x []float32, rows, n, ld int)

	// MaxPool computes dst[i] = max over o in offs of x[o+i] for i < n. If one
	// of them is NaN, so is the result. If offs is empty, the result is -Inf.
	MaxPool func(dst, x []float32, offs []int, n int)

	// MaxPoolGrad adds dy[i] to dx[o+i] for the first o in offs where x[o+i]
	// is y[i], the output of MaxPool, or NaN. Offsets must be at least n
	// apart, so that only one of them reaches an element of dx.
	MaxPoolGrad func(dx, dy, x, y []float32, offs []int, n int)

	// The flat kernels work on len(dst) values. dst may be one of the operands.

	Add   func(dst, a, b []float32)                       // dst = a + b
	Mul   func(dst, a, b []float32)                       // dst = a * b
	Axpy  func(dst []float32, alpha float32, x []float32) // dst += alpha * x
	Scale func(dst []float32, alpha float32, x []float32) // dst = alpha * x
	ReLU  func(dst, x []float32)                          // dst = max(0, x), NaN stays NaN

	// ReLUGrad computes dx = dy, or 0 where y <= 0.
	ReLUGrad func(dx, dy, y []float32)

	// Pack writes a panel for Gemm: dst[k*cols+j] = src[k*ld+j] for k < rows
	// and j < n, and 0 for n <= j < cols.
	Pack func(dst, src []float32, rows, n, ld, cols int)

	// PackTransposed writes a panel of the transpose, which the gradient of the
	// input needs: dst[k*cols+j] = src[j*ld+k] for k < n and j < rows, and 0
	// for rows <= j < cols.
	PackTransposed func(dst, src []float32, rows, n, ld, cols int)

	// Mix computes for i < outs and l < n, with T the matrix of kind,
	//
	//	dst[i*dstStride + l] = Σ over k < ins of T[i][k] * src[k*srcStride + l]
	//
	// dst must not overlap src. A pixel k with T[i][k] = 0 has no influence,
	// even if it is NaN.
	Mix func(kind Mix, dst, src []float32, dstStride, srcStride, n int)

	// Mix2 applies the matrix to the columns and the rows of a tile of pixels of
	// n lanes each: for i < i1, j < j1 and l < n
	//
	//	dst[i*dstRow + j*dstCol + l] = Σ T[i][k] * T[j][p] * src[(k-k0)*srcRow + (p-p0)*srcCol + l]
	//
	// over k0 <= k < k1 and p0 <= p < p1. These bound the part of the tile that
	// lies inside the image, which may be empty; for a full tile they are 0 and
	// ins. src begins with the first pixel of that part, (k0, p0), and pixels
	// outside it count as zero. i1 and j1, outs at most, bound the part of the
	// output that is written. dst must not overlap src. scratch has MixScratch
	// elements of any content. Short streams cost more per lane, and an n that
	// is no multiple of 16 costs a copy of the last lanes.
	Mix2 func(kind Mix, dst, src []float32, dstRow, dstCol, srcRow, srcCol, n, k0, k1, p0, p1, i1, j1 int, scratch []float32)

	// PeakFMA runs independent multiply-adds on registers alone, for the given
	// number of iterations, and returns the number of floating-point
	// operations. Its speed is the peak that the other kernels are measured by.
	PeakFMA func(iterations int) (flops float64)

	// BF16 has the kernels for activations in bfloat16.
	BF16 BF16

	// Int16 has the kernels on 16-bit integers.
	Int16 Int16

	// Int8 has the kernels on 8-bit integers, for quantised activations and weights.
	Int8 Int8
}
