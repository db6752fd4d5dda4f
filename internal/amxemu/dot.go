package amxemu

import (
	"encoding/binary"
	"math"
)

// normal is the least positive normal float32.
const normal = 0x1p-126

// pairs is a tile of bfloat16 as float32, with zeros for subnormals. In a left operand
// the pairs of a row are along k, in a right operand each belongs to a column.
type pairs [maxRows][rowBytes / 2]float32

// unpack fills p from the first rows and columns of pairs of t. It returns the least
// and the greatest magnitude that is not zero; the greatest is infinite or NaN if an
// element is.
func (p *pairs) unpack(t *tile, rows, cols int) (least, most float32) {
	const one = 0x80 // the least normal number
	low, high := uint16(0x7f7f-one), uint16(0)
	for r := range rows {
		from, to := &t[r], &p[r]
		for i := range 2 * cols {
			bits := binary.LittleEndian.Uint16(from[2*i:])
			size := bits &^ 0x8000
			if size < one {
				bits &= 0x8000
			}
			low, high = min(low, size-one), max(high, size) // below one it wraps
			to[i] = math.Float32frombits(uint32(bits) << 16)
		}
	}
	return math.Float32frombits(uint32(low+one) << 16), math.Float32frombits(uint32(high) << 16)
}

// dot adds the product of a and b to c as TDPBF16PS does. For each element it sums the
// products of the first halves of the pairs, and separately those of the second halves,
// from zero, in the order of k and by fused multiply-adds. Then it adds both sums, and
// that to c. Everything rounds to nearest even; subnormal operands and results are zero.
func dot(c, a, b *tile, rows, k, cols int) {
	var left, right pairs
	minLeft, maxLeft := left.unpack(a, rows, k)
	minRight, maxRight := right.unpack(b, k, cols)
	// Products of bfloat16 have 16 digits. If the least of them is far above the
	// subnormals, every product is exact and no sum of them is subnormal, as all
	// are multiples of one number. Then plain float32 gives the same bits.
	least, most := float64(minLeft)*float64(minRight), float64(maxLeft)*float64(maxRight)
	plain := least >= 0x1p-90 && most <= 0x1p100
	for m := range rows {
		var even, odd [maxRows]float32
		if row := &left[m]; plain {
			for n := 0; n < cols; n += 4 {
				four((*[4]float32)(even[n:]), (*[4]float32)(odd[n:]), row, &right, k, 2*n)
			}
		} else {
			for i := range k {
				for n := range cols {
					even[n] = fma(row[2*i], right[i][2*n], even[n])
					odd[n] = fma(row[2*i+1], right[i][2*n+1], odd[n])
				}
			}
		}
		for n := range cols {
			at := c[m][4*n:]
			old := math.Float32frombits(binary.LittleEndian.Uint32(at))
			binary.LittleEndian.PutUint32(at, math.Float32bits(add(old, add(even[n], odd[n]))))
		}
	}
}

// four computes four elements of a product with plain float32 arithmetic.
func four(even, odd *[4]float32, row *[rowBytes / 2]float32, right *pairs, k, first int) {
	var e0, e1, e2, e3, o0, o1, o2, o3 float32
	for i := range k {
		x, y, w := row[2*i], row[2*i+1], (*[8]float32)(right[i][first:])
		e0, o0 = e0+float32(x*w[0]), o0+float32(y*w[1])
		e1, o1 = e1+float32(x*w[2]), o1+float32(y*w[3])
		e2, o2 = e2+float32(x*w[4]), o2+float32(y*w[5])
		e3, o3 = e3+float32(x*w[6]), o3+float32(y*w[7])
	}
	*even, *odd = [4]float32{e0, e1, e2, e3}, [4]float32{o0, o1, o2, o3}
}

// fma returns x*y + z, rounded once. Subnormal operands and results are zero. The
// product of two float32 is exact in float64.
func fma(x, y, z float32) float32 {
	p, w := float64(daz(x))*float64(daz(y)), float64(daz(z))
	s := p + w
	// Rounding to float64 and then to float32 could be wrong at a tie; rounding to odd
	// first cannot. The error of s is itself exact.
	t := s - p
	if lost := (p - (s - t)) + (w - t); (lost > 0 || lost < 0) && math.Float64bits(s)&1 == 0 {
		if (lost > 0) == (s > 0) {
			s = math.Float64frombits(math.Float64bits(s) + 1)
		} else {
			s = math.Float64frombits(math.Float64bits(s) - 1)
		}
	}
	// A result is subnormal if it is when rounded with an unbounded exponent.
	if math.Abs(s) < normal*(1-0x1p-25) {
		return float32(math.Copysign(0, s))
	}
	return float32(s)
}

// add returns x + y with the rounding of fma. Subnormals cannot change a sum that is far
// above them.
func add(x, y float32) float32 {
	if s := x + y; s > 0x1p-90 || s < -0x1p-90 {
		return s
	}
	return fma(1, x, y)
}

// daz returns x, or a zero of its sign if x is subnormal.
func daz(x float32) float32 {
	if bits := math.Float32bits(x); bits&0x7f800000 == 0 {
		return math.Float32frombits(bits & (1 << 31))
	}
	return x
}
