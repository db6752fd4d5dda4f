package kernel

// ByteTiles is the table of the transforms of Winograd's convolutions F(3 x 3, 3 x 3) and
// F(4 x 4, 3 x 3) of 8-bit integers. Their points are integers: 0, 1, -1, 2 and, for
// F(4 x 4, 3 x 3), -2. In the letters of Mix, with a tile d of the input and the filter g,
//
//	V  = Bᵀ d B
//	U  = (D G) g (D G)ᵀ             D is diagonal, such that U has integers only
//	M  = Σ V ⊙ U                    over the channels
//	Y  = S⁻¹ [ (S Aᵀ D⁻¹) M (S Aᵀ D⁻¹)ᵀ ] S⁻¹
//
// V and U fit int16. S is diagonal, too, such that its product with the matrices beside it
// has integers only. Everything in brackets is computed modulo 2^32, so sums may overflow.
// The scales are 3 times powers of two, or 1. Multiplying by the inverse of 9 modulo 2^32 and
// shifting what is left gives Y, if Y has few enough bits (ByteTileLimit). So results are
// exactly those of direct sums, with every instruction set.
type ByteTiles struct {
	// Cols is the width of panels of weights and products, that of Int16.DotSums.
	Cols int

	// Input transforms a tile of some images, of channels values each, and writes
	// dst[p*step + n*channels + c] for point p, image n and channel c. Pixels are
	// addressed as in Tiles.Input. scratch has ByteTileScratch elements of any content.
	Input func(m int, dst []int16, step int, src []uint8, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32)

	// Bytes, BF16 and Float transform the sums src[q*panel + p*step + n*Cols + j] of
	// panels q, points p, images n and columns j < Cols back into pixels i < i1 and
	// j < j1 of a tile, and make results of them as e says. They write cols columns,
	// those of one panel or two, to dst[i*dstRow + j*dstCol + n*ld:]. A residual has the
	// same strides, and dst may be the residual. scratch has ByteTileScratch elements.
	Bytes func(m int, dst []uint8, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32)
	BF16  func(m int, dst []uint16, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32)
	Float func(m int, dst []float32, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32)

	// Fetch prefetches a line of each of some rows, which lie ld bytes apart, into the
	// second-level cache.
	Fetch func(x []uint8, rows, ld int)
}

// ByteTileScratch is the number of scratch elements that the transforms need: those of Tiles
// without its copies, and copies of pixels.
const ByteTileScratch = tileScratch + byteCopies/4

// byteCopies is the size of the copies in bytes: of a block of lanes of every pixel of an input,
// or of some images of every pixel of an output and of the residual.
const (
	byteCopies = 2 * 16 * byteImages * 64
	byteImages = 8
	byteBlock  = 256
)
