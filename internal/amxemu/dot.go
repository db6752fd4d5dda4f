package amxemu

import (
	"encoding/binary"
	"math"
)

// normal is the least positive normal float32.
const normal = 0x1p-126

// pairs is a tile of bfloat16 as float32, subnormals zero. In a left operand a
// row's pairs are those of k, in a right one those of a column.
type pairs [maxRows][rowBytes / 2]float32

// unpack fills p from the first rows and columns of pairs of t, and returns the
// least and the greatest magnitude in it that is not zero. A NaN or an infinity
// makes the greatest infinite.
func (p *pairs) unpack(t *tile, rows, cols int) (least, most float32) {
	least = math.MaxFloat32
	for r := range rows {
		row := &t[r]
		for i := range 2 * cols {
			bits := uint32(binary.LittleEndian.Uint16(row[2*i:])) << 16
			v := math.Float32frombits(bits)
			switch size := math.Float32frombits(bits &^ (1 << 31)); {
			case size < normal:
				v = 0
			case !(size <= math.MaxFloat32):
				most = float32(math.Inf(1))
			default:
				least, most = min(least, size), max(most, size)
			}
			p[r][i] = v
		}
	}
	return least, most
}

// dot adds to c the product of a and b, as TDPBF16PS does: for each element the
// products of the pairs' first halves and those of their second halves are
// summed apart from zero, in the order of k and by fused multiply-adds, then
// their sum is added to c. Everything rounds to nearest even, and subnormals are
// zero coming and going.
func dot(c, a, b *tile, rows, k, cols int) {
	var left, right pairs
	leastLeft, mostLeft := left.unpack(a, rows, k)
	leastRight, mostRight := right.unpack(b, k, cols)
	// Products of bfloat16 have 16 digits. If the least of them is far above the
	// subnormals, every product is exact and no sum of them is subnormal, as all
	// are multiples of one number. Then plain float32 gives the same bits.
	least, most := float64(leastLeft)*float64(leastRight), float64(mostLeft)*float64(mostRight)
	plain := least >= 0x1p-90 && most <= 0x1p100
	for m := range rows {
		var even, odd [maxRows]float32
		for i := range k {
			x, y, w := left[m][2*i], left[m][2*i+1], &right[i]
			if !plain {
				for n := range cols {
					even[n], odd[n] = fma(x, w[2*n], even[n]), fma(y, w[2*n+1], odd[n])
				}
				continue
			}
			for n := range cols {
				even[n] += float32(x * w[2*n])
				odd[n] += float32(y * w[2*n+1])
			}
		}
		for n := range cols {
			at := c[m][4*n:]
			old := math.Float32frombits(binary.LittleEndian.Uint32(at))
			binary.LittleEndian.PutUint32(at, math.Float32bits(fma(1, old, fma(1, even[n], odd[n]))))
		}
	}
}

// fma is x*y + z, rounded once; subnormals are zero coming and going. x and y
// have products that are exact in float64, as all float32 have.
func fma(x, y, z float32) float32 {
	p, w := float64(daz(x))*float64(daz(y)), float64(daz(z))
	s := p + w
	// Rounding to float64 and then to float32 could go wrong at a tie; rounding
	// to odd first does not. What s lacks of the exact sum is exact itself.
	t := s - p
	if lost := (p - (s - t)) + (w - t); (lost > 0 || lost < 0) && math.Float64bits(s)&1 == 0 {
		if (lost > 0) == (s > 0) {
			s = math.Float64frombits(math.Float64bits(s) + 1)
		} else {
			s = math.Float64frombits(math.Float64bits(s) - 1)
		}
	}
	// A result is subnormal if it is so when rounded with an unbounded exponent.
	if math.Abs(s) < normal*(1-0x1p-25) {
		return float32(math.Copysign(0, s))
	}
	return float32(s)
}

// daz is x, or a zero of its sign if it is subnormal.
func daz(x float32) float32 {
	if bits := math.Float32bits(x); bits&0x7f800000 == 0 {
		return math.Float32frombits(bits & (1 << 31))
	}
	return x
}
