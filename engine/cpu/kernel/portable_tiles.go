package kernel

import "math"

// portableTiles is the table of transforms for 16-bit integers in plain Go.
var portableTiles = Tiles{
	Cols:        portableCols,
	Input:       tileInputPortable,
	Output:      tileOutputPortable,
	OutputFloat: tileOutputFloatPortable,
	Filter:      tileFilterPortable,
	Quantise:    tileQuantisePortable,

	SignedInput:    tileSignedInputPortable,
	SignedQuantise: tileSignedQuantisePortable,

	QuantiseColumns: quantiseColumnsPortable,

	Fetch: func([]uint16, int, int) {},
}

// mixOperation computes a value from others: a + c*b, rounded once, or c*b if a is negative.
type mixOperation struct {
	a, b int8
	c    float32
}

// mixSequence is a transform as a sequence of operations. Values 0, 1, ... are its inputs;
// the results of its operations follow. outs has the values that are its outputs.
type mixSequence struct {
	ins  int
	ops  []mixOperation
	outs []int
}

// mixValues has room for the values of a sequence.
type mixValues [32]float32

// run computes the outputs from the inputs, which are the first values.
func (s *mixSequence) run(v *mixValues) {
	for i, op := range s.ops {
		x := v[op.b]
		switch {
		case op.a < 0:
			x *= op.c
		case op.c == 1:
			x = v[op.a] + x
		case op.c == -1:
			x = v[op.a] - x
		default:
			x = fma(x, op.c, v[op.a])
		}
		v[s.ins+i] = x
	}
}

// square applies a sequence to the columns and then the rows of a tile.
func (s *mixSequence) square(tile *[mixMost * mixMost]float32) {
	var v mixValues
	for p := range s.ins {
		for k := range s.ins {
			v[k] = tile[k*mixMost+p]
		}
		s.run(&v)
		for i, o := range s.outs {
			tile[i*mixMost+p] = v[o]
		}
	}
	for i := range s.outs {
		copy(v[:s.ins], tile[i*mixMost:])
		s.run(&v)
		for j, o := range s.outs {
			tile[i*mixMost+j] = v[o]
		}
	}
}

// fma returns x*y + z, rounded once.
func fma(x, y, z float32) float32 {
	p, a := float64(x)*float64(y), float64(z) // p is exact
	sum := float64(p) + a
	bits := math.Float64bits(sum)
	if bits<<35 != 1<<63 && math.Abs(sum) >= 0x1p-126 {
		return float32(sum) // not halfway between two float32
	}
	// Rounded to odd, the sum does not become halfway where it is not.
	part := sum - p
	rest := (p - (sum - part)) + (a - part)
	if rest != 0 && bits&1 == 0 {
		if (rest > 0) == (sum > 0) {
			bits++
		} else {
			bits--
		}
	}
	return float32(math.Float64frombits(bits))
}

// nearestWord returns the lower 16 bits of x*scale rounded to an integer, to nearest, ties to
// even. Adding 1.5 * 2^23 rounds, since it leaves no bits for a fraction.
func nearestWord(x, scale float32) int16 {
	const magic = 3 << 22
	return int16(math.Float32bits(fma(x, scale, magic)))
}

func tileInputPortable(m int, dst []int16, step int, inverse []float32, src []uint16, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, _ []float32) {
	tileUnsigned.input(m, dst, step, inverse, src, srcRow, srcCol, channels, images, k0, k1, p0, p1)
}

func tileSignedInputPortable(m int, dst []int16, step int, inverse []float32, src []uint16, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, _ []float32) {
	tileSigned.input(m, dst, step, inverse, src, srcRow, srcCol, channels, images, k0, k1, p0, p1)
}

// input is Input for some limits.
func (l *tileLimits) input(m int, dst []int16, step int, inverse []float32, src []uint16, srcRow, srcCol, channels, images, k0, k1, p0, p1 int) {
	t, factors, depth := m+2, &l.factors[m-2], (channels+1)&^1
	sequence := &mixSteps[m-2][0]
	for n := range images {
		var scale float32
		if l.signed {
			var rows rowPeaks
			for k := k0; k < k1 && p0 < p1; k++ {
				peak := tilePeak(src[(k-k0)*srcRow:], srcRow, srcCol, n*channels, channels, 1, p1-p0)
				rows[k] = math.Float32frombits(math.Float32bits(peak) &^ (1 << 31))
			}
			scale, inverse[n] = l.rowScale(m, &rows)
		} else {
			scale, inverse[n] = l.scale(tilePeak(src, srcRow, srcCol, n*channels, channels, k1-k0, p1-p0))
		}
		for c := range depth {
			var tile [mixMost * mixMost]float32
			for k := k0; k < k1 && c < channels; k++ {
				for p := p0; p < p1; p++ {
					tile[k*mixMost+p] = widen(src[(k-k0)*srcRow+(p-p0)*srcCol+n*channels+c])
				}
			}
			sequence.square(&tile)
			for i := range t {
				for j := range t {
					dst[(i*t+j)*step+n*depth+c] = nearestWord(tile[i*mixMost+j], scale*factors[i*t+j])
				}
			}
		}
	}
}

// tilePeak returns the largest magnitude of n values, from one on, of all pixels; it is
// negative if one of the values is.
func tilePeak(src []uint16, row, col, from, n, rows, cols int) float32 {
	var most, signs uint16
	for k := range rows {
		for p := range cols {
			for _, v := range src[k*row+p*col+from:][:n] {
				most = max(most, v&0x7fff)
				signs |= v
			}
		}
	}
	return widen(most | signs&0x8000)
}

func tileOutputPortable(m int, dst []uint16, dstRow, dstCol, ld int, src []float32, step, pitch int, inverse, scale, shift []float32, res []uint16, relu bool, images, i1, j1, cols int, _ []float32) {
	tileOutput(m, dst, dstRow, dstCol, ld, src, step, pitch, inverse, scale, shift, res, relu, images, i1, j1, cols)
}

// tileOutput is Output without scratch.
func tileOutput(m int, dst []uint16, dstRow, dstCol, ld int, src []float32, step, pitch int, inverse, scale, shift []float32, res []uint16, relu bool, images, i1, j1, cols int) {
	for n := range images {
		for c := range cols {
			tile := tileProducts(m, src[n*pitch+c:], step)
			a, b := float32(1), float32(math.Copysign(0, -1))
			if scale != nil {
				a = scale[c]
			}
			if shift != nil {
				b = shift[c]
			}
			for i := range i1 {
				for j := range j1 {
					at := i*dstRow + j*dstCol + n*ld + c
					y := fma(tile[i*mixMost+j]*inverse[n], a, b)
					if res != nil {
						y += widen(res[at])
					}
					if relu && y < 0 {
						y = 0
					}
					dst[at] = narrow(y)
				}
			}
		}
	}
}

// tileProducts transforms the products of one column back.
func tileProducts(m int, src []float32, step int) (tile [mixMost * mixMost]float32) {
	t := m + 2
	for k := range t {
		for p := range t {
			tile[k*mixMost+p] = src[(k*t+p)*step]
		}
	}
	mixSteps[m-2][1].square(&tile)
	return tile
}

func tileOutputFloatPortable(m int, dst, src []float32, step int, inverse []float32, images, i1, j1 int, _ []float32) {
	for n := range images {
		for c := range portableCols {
			tile := tileProducts(m, src[n*portableCols+c:], step)
			for i := range i1 {
				for j := range j1 {
					dst[((i*j1+j)*images+n)*portableCols+c] = tile[i*mixMost+j] * inverse[n]
				}
			}
		}
	}
}

func tileFilterPortable(kind Mix, dst, src []float32, dstRow, dstCol, srcRow, srcCol, n, k0, k1, p0, p1, i1, j1 int, _ []float32) {
	flip := kind%6 == FilterFlip2
	sequence := &mixSteps[kind/6][2]
	for l := range n {
		var tile [mixMost * mixMost]float32
		for k := k0; k < k1; k++ {
			for p := p0; p < p1; p++ {
				at := k*mixMost + p
				if flip {
					at = (2-k)*mixMost + 2 - p
				}
				tile[at] = src[(k-k0)*srcRow+(p-p0)*srcCol+l]
			}
		}
		sequence.square(&tile)
		for i := range i1 {
			for j := range j1 {
				dst[i*dstRow+j*dstCol+l] = tile[i*mixMost+j]
			}
		}
	}
}

func tileQuantisePortable(m, point int, dst []int16, scale, u []float32, channels int) {
	tileUnsigned.quantise(m, point, dst, scale, u, channels)
}

func tileSignedQuantisePortable(m, point int, dst []int16, scale, u []float32, channels int) {
	tileSigned.quantise(m, point, dst, scale, u, channels)
}

// quantise is Quantise for some limits.
func (l *tileLimits) quantise(m, point int, dst []int16, scale, u []float32, channels int) {
	const cols = portableCols
	for j := range cols {
		var sum, most float32
		for c := range channels {
			v := math.Float32frombits(math.Float32bits(u[c*cols+j]) &^ (1 << 31))
			sum += v
			most = max(most, v)
		}
		by := l.weight(sum, most)
		for c := range channels {
			dst[c/2*2*cols+2*j+c%2] = nearestWord(u[c*cols+j], by)
		}
		scale[j] = 1 / (by * l.factors[m-2][point])
	}
}

func quantiseColumnsPortable(dst []int16, scale, u []float32, rows int) {
	const cols = portableCols
	for j := range cols {
		var squares, most float32
		for r := range rows {
			v := u[r*cols+j]
			squares += float32(v * v)
			if v = math.Float32frombits(math.Float32bits(v) &^ (1 << 31)); v > most {
				most = v
			}
		}
		by := columnFactor(rows, squares, most)
		for r := range rows {
			dst[r/2*2*cols+2*j+r%2] = nearestWord(u[r*cols+j], by)
		}
		scale[j] = 1 / by
	}
}
