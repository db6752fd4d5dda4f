package kernel

import "math"

// Tiles is the table of the transforms of Winograd's convolution F(m x m, 3 x 3) around
// products of 16-bit integers. In the letters of Mix, with t = m+2, a tile d of the input,
// the filter g and the largest magnitude a of d,
//
//	V  = round(s·f ⊙ (Bᵀ d B))       s = (2^14-1)/a, or half of that if a value of d is negative
//	U  = round(u ⊙ (G g Gᵀ))         u for every point and output channel
//	Y  = Aᵀ [ (Σ V ⊙ U) / (u·f) ] A / s
//
// f is a factor of every point such that no V exceeds 2^14, whatever d is, and u is chosen
// such that the magnitudes of U of TileChannels input channels sum to less than 2^17.
// So the sums of products are exact in int32, and V and U have about as many bits as that
// allows. V is rounded with one scale for each image of a tile: an image has the same bits
// in a batch of any size.
//
// A tile of an image with a magnitude of 2^120 or more, an infinity or a NaN in d becomes
// NaN as a whole; no other tile and no other image changes. Weights that are not finite
// spoil their output channel. Magnitudes below 2^-100 are rounded as if the largest were
// 2^-100.
//
// Transforms are in float32 with fused multiply-adds. All instruction sets give the same
// bits.
type Tiles struct {
	// Cols is the width of panels of weights and products.
	Cols int

	// Input transforms a tile of some images, of channels values each, and writes
	// dst[p*step + n*depth + c] for point p, image n and channel c < depth, which is
	// channels rounded up to an even number; a channel beyond the others is zero.
	// inverse[n] becomes 1/s of an image. Pixels are addressed as in Mix2: src begins
	// with pixel (k0, p0) of the tile, and pixels outside k0 <= k < k1 and p0 <= p < p1
	// count as zero. scratch has TileScratch elements of any content.
	Input func(m int, dst []int16, step int, inverse []float32, src []uint16, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32)

	// Output transforms the products src[p*step + n*pitch + j] of points p, images n and
	// columns j < cols back into pixels i < i1 and j < j1 of a tile. With x the value of
	// a column of an image there, it computes y = x*inverse[n]*scale + shift + res, then
	// max(0, y) if relu is set, rounds it to bfloat16 and writes cols columns to
	// dst[i*dstRow + j*dstCol + n*ld:]. res has the same strides. The product with
	// inverse, x*scale+shift and the sum with res are each rounded. A nil scale means 1;
	// a nil shift or res means 0. dst may be res. scratch has TileScratch elements.
	Output func(m int, dst []uint16, dstRow, dstCol, ld int, src []float32, step, pitch int, inverse, scale, shift []float32, res []uint16, relu bool, images, i1, j1, cols int, scratch []float32)

	// OutputFloat transforms products with a pitch of Cols. It writes x*inverse[n] in
	// float32 instead, all Cols columns, to dst[((i*j1+j)*images + n)*Cols:].
	OutputFloat func(m int, dst, src []float32, step int, inverse []float32, images, i1, j1 int, scratch []float32)

	// Filter is Mix2 for matrices of the filter, with the same bits on all instruction
	// sets.
	Filter func(kind Mix, dst, src []float32, dstRow, dstCol, srcRow, srcCol, n, k0, k1, p0, p1, i1, j1 int, scratch []float32)

	// Quantise rounds the transformed weights u[c*Cols + j] of a point for some, at most
	// TileChannels, input channels c, an even number, and writes them to a panel for
	// Int16.Dot. scale[j] becomes 1/(u·f).
	Quantise func(m, point int, dst []int16, scale, u []float32, channels int)

	// SignedInput and SignedQuantise are Input and Quantise for inputs of either sign,
	// such as gradients: s = (2^15-2)/a, f is such that no V exceeds 2^15 for values of
	// d from -1 to 1, and the magnitudes of U of SignedTileChannels input channels sum
	// to less than 2^16. Of gradients a few are much larger than all others. So a is not
	// the largest magnitude itself, but a mean of the largest ones of the rows of d, the
	// largest of those that the rows of Bᵀ weigh: none of its sums can be larger. V is
	// rounded to two to four times finer steps than by Input, and of gradients to about
	// half of these steps again.
	SignedInput    func(m int, dst []int16, step int, inverse []float32, src []uint16, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32)
	SignedQuantise func(m, point int, dst []int16, scale, u []float32, channels int)

	// QuantiseColumns rounds the columns j < Cols of u[r*Cols + j], for an even number of
	// rows r, to integers, and writes them to a panel for Int16.Dot. scale[j] times these
	// is about u. The root of the sum of the squares of a column's integers is less than
	// 2^15.5: so the products of any two columns sum to less than 2^31 (Cauchy-Schwarz).
	// There may be up to 2^16 rows. A column with a number that is not finite has a scale
	// that is not.
	QuantiseColumns func(dst []int16, scale, u []float32, rows int)

	// Fetch prefetches a line of each of some rows, which lie ld elements apart, into
	// the second-level cache.
	Fetch func(x []uint16, rows, ld int)
}

// TileChannels is the number of input channels whose products are summed in int32, and
// SignedTileChannels that of inputs of either sign.
const (
	TileChannels       = 128
	SignedTileChannels = 64
)

// The kernels divide the lanes of images into runs, for each of which they make a table of
// pixels, and runs into steps.
const (
	tileLanes = 32
	tileRun   = 1024
)

// TileScratch is the number of scratch elements that the transforms need: values between
// the passes, the scales of a run, copies of input and output of the last, partial step,
// room to begin at a cache line, and copies of results and residuals.
const TileScratch = tileScratch + 2*16*tileBlock/2

const (
	tileSpill   = (2*mixMost*mixMost + mixMost) * tileLanes / 2
	tileScratch = tileSpill + tileRun/2 + 2*mixMost*mixMost*tileLanes/2 + 16
	tileBlock   = 256 // words of a pixel
)

// The limits of the largest weight, and of the magnitudes that are not treated as the text
// of Tiles says.
const (
	tileWeight = 1<<15 - 1
	tileLeast  = 0x1p-100
	tileMost   = 0x1p120
)

// tileLimits says how inputs and weights become integers: the largest value of V, the
// largest sum of U, and factors, which has for every m and point 1 over the largest
// magnitude of Bᵀ d B for the d that V is made for. means has the magnitudes of Bᵀ divided
// by the sums of its rows.
type tileLimits struct {
	value, weights float32
	signed         bool // d is from -1 to 1, not from 0 to 1
	factors        [3][mixMost * mixMost]float32
	means          [3][mixMost][mixMost]float32
}

// rowPeaks has the largest magnitude of every row of a tile.
type rowPeaks [mixMost]float32

var (
	tileUnsigned = newTileLimits(1<<14-1, 130000, false)
	tileSigned   = newTileLimits(1<<15-2, 65000, true)
)

func newTileLimits(value, weights float32, signed bool) *tileLimits {
	l := &tileLimits{value: value, weights: weights, signed: signed}
	for m := range l.factors {
		rows := (Mix(6*m) + Input2).exact()
		positive, negative := make([]float64, len(rows)), make([]float64, len(rows))
		for i, row := range rows {
			for _, c := range row {
				positive[i] += max(0, c.float64())
				negative[i] += max(0, -c.float64())
			}
		}
		for i, row := range rows {
			for k, c := range row {
				l.means[m][i][k] = float32(math.Abs(c.float64()) / (positive[i] + negative[i]))
			}
		}
		for i, p := range positive {
			for j, q := range positive {
				up, down := p*q+negative[i]*negative[j], p*negative[j]+negative[i]*q
				most := max(up, down)
				if signed {
					most = up + down
				}
				l.factors[m][i*len(rows)+j] = float32(1 / most)
			}
		}
	}
	return l
}

// scale returns the scale of an image of a tile and its inverse. most is the largest
// magnitude of its values, negative if one of them is.
func (l *tileLimits) scale(most float32) (scale, inverse float32) {
	value := l.value
	if math.Signbit(float64(most)) {
		most = -most
		if !l.signed {
			value = float32(int(value) / 2)
		}
	}
	if !(most < tileMost) {
		nan := float32(math.NaN())
		return nan, nan
	}
	scale = value / max(most, tileLeast)
	return scale, 1 / scale
}

// rowScale returns the scale of an image of a tile of either sign, and its inverse, by the
// largest magnitudes of its rows.
func (l *tileLimits) rowScale(m int, rows *rowPeaks) (scale, inverse float32) {
	var most, bound float32
	for i := range m + 2 {
		var mean float32
		for k, weight := range l.means[m-2][i][:m+2] {
			mean += float32(weight * rows[k])
		}
		most, bound = max(most, rows[i]), max(bound, mean)
	}
	if !(most < tileMost) {
		bound = most
	}
	return l.scale(bound)
}

// weight returns the scale of a column of weights with a sum and a maximum of magnitudes.
func (l *tileLimits) weight(sum, most float32) float32 {
	return min(l.weights/max(sum, tileLeast), tileWeight/max(most, tileLeast))
}

// columnFactor returns what multiplies a column with a sum of squares and a largest magnitude
// before it is rounded. Squares of very large and very small numbers are not summed exactly;
// for these the bound is that of a column of equal numbers.
func columnFactor(rows int, squares, most float32) float32 {
	const limit, small, large = 46000, 0x1p-40, 0x1p40 // rounding adds up to 128 to a norm, of 2^31 less than 46340
	norm := math.Sqrt(float64(squares))
	if most < small || most > large {
		norm = math.Sqrt(float64(rows)) * float64(most)
	}
	return float32(min(limit/max(norm, tileLeast), tileWeight/float64(max(most, tileLeast))))
}
