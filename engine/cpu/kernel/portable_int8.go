package kernel

import "math"

// portableInt8 is the table of kernels on 8-bit integers in plain Go.
var portableInt8 = Int8{
	Unit: "plain Go", Rows: 4, Cols: 16,
	Dot:          dotInt8Portable,
	DotBytes:     dotBytesPortable,
	DotBF16:      dotToBF16Portable,
	DotFloat:     dotToFloatPortable,
	PackQuads:    packQuadsPortable,
	Bytes:        bytesPortable,
	BF16:         toBF16Portable,
	Float:        toFloatPortable,
	BytesOfFloat: bytesOfFloatPortable,
	BytesOfBF16:  bytesOfBF16Portable,
	MaxPool:      maxPoolBytesPortable,
	SumRows:      sumRowsBytesPortable,
	Narrow:       narrowBytesPortable[uint16],
	NarrowFloat:  narrowBytesPortable[float32],
	Widen:        widenBytesPortable[uint16],
	WidenFloat:   widenBytesPortable[float32],
	PeakDot:      peakInt8Portable,
	Tiles:        portableByteTiles,
}

// dotInt8Portable computes 4 columns at a time, whose sums stay in registers.
func dotInt8Portable(c []int32, crs int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, accumulate bool) {
	for r := range rows {
		for j := 0; j < cols; j += 4 {
			n := min(4, cols-j)
			var sum [4]int32
			out := c[r*crs+j:][:n]
			if accumulate {
				copy(sum[:], out)
			}
			dotInt8x4(&sum, a, r*ars, b, j, segs, k)
			copy(out, sum[:n])
		}
	}
}

// dotInt8x4 adds to sum the products of the row of a that begins at the given offset with
// four columns of the panels of b, from column j on.
func dotInt8x4(sum *[4]int32, a []uint8, row int, b []int8, j int, segs []Seg, k int) {
	if k == 0 {
		return
	}
	const quad = 4 * portableCols
	s0, s1, s2, s3 := sum[0], sum[1], sum[2], sum[3]
	for _, s := range segs {
		from := b[s.B+4*j:]
		for i := 0; i < k; i += 4 {
			x := (*[4]uint8)(a[s.A+row+i:])
			x0, x1, x2, x3 := int32(x[0]), int32(x[1]), int32(x[2]), int32(x[3])
			w := (*[16]int8)(from[i/4*quad:])
			s0 += x0*int32(w[0]) + x1*int32(w[1]) + x2*int32(w[2]) + x3*int32(w[3])
			s1 += x0*int32(w[4]) + x1*int32(w[5]) + x2*int32(w[6]) + x3*int32(w[7])
			s2 += x0*int32(w[8]) + x1*int32(w[9]) + x2*int32(w[10]) + x3*int32(w[11])
			s3 += x0*int32(w[12]) + x1*int32(w[13]) + x2*int32(w[14]) + x3*int32(w[15])
		}
	}
	*sum = [4]int32{s0, s1, s2, s3}
}

// dotThen computes 4 columns of a row at a time and passes their sums on.
func dotThen(a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, then func(r, j int, sum int32)) {
	for r := range rows {
		for j := 0; j < cols; j += 4 {
			var sum [4]int32
			dotInt8x4(&sum, a, r*ars, b, j, segs, k)
			for i, s := range sum[:min(4, cols-j)] {
				then(r, j+i, s)
			}
		}
	}
}

func dotBytesPortable(y []uint8, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, _ []uint8, _ int) {
	dotThen(a, ars, b, segs, k, rows, cols, func(r, j int, sum int32) { y[r*ldy+j] = e.byte(float32(sum), j, r*ldy+j) })
}

func dotToBF16Portable(y []uint16, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, _ []uint8, _ int) {
	dotThen(a, ars, b, segs, k, rows, cols, func(r, j int, sum int32) { y[r*ldy+j] = narrow(e.float(sum, j, r*ldy+j)) })
}

func dotToFloatPortable(y []float32, ldy int, a []uint8, ars int, b []int8, segs []Seg, k, rows, cols int, e Epilogue, _ []uint8, _ int) {
	dotThen(a, ars, b, segs, k, rows, cols, func(r, j int, sum int32) { y[r*ldy+j] = e.float(sum, j, r*ldy+j) })
}

// value computes v of the sum x in column j, whose residual is at offset i.
func (e *Epilogue) value(x float32, j, i int) float32 {
	v := fma(x, e.Scale[j], e.Shift[j])
	if e.Bytes != nil {
		v = fma(float32(e.Bytes[i]), e.BytesScale, v)
	}
	if e.BF16 != nil {
		v += widen(e.BF16[i])
	}
	return v
}

func (e *Epilogue) byte(x float32, j, i int) uint8 {
	return max(e.Least, uint8(nearest(e.value(x, j, i), 0, math.MaxUint8)))
}

func (e *Epilogue) float(x int32, j, i int) float32 {
	v := e.value(float32(x), j, i)
	if e.ReLU && v < 0 {
		return 0
	}
	return v
}

func bytesPortable(y []uint8, ldy int, x []int32, ldx int, rows, n int, e Epilogue) {
	for r := range rows {
		for j := range n {
			y[r*ldy+j] = e.byte(float32(x[r*ldx+j]), j, r*ldy+j)
		}
	}
}

func bytesOfFloatPortable(y []uint8, ldy int, x []float32, ldx int, rows, n int, e Epilogue) {
	for r := range rows {
		for j := range n {
			y[r*ldy+j] = e.byte(x[r*ldx+j], j, r*ldy+j)
		}
	}
}

func bytesOfBF16Portable(y []uint8, ldy int, x []uint16, ldx int, rows, n int, least uint8) {
	for r := range rows {
		for j := range n {
			y[r*ldy+j] = max(least, uint8(nearest(widen(x[r*ldx+j]), 0, math.MaxUint8)))
		}
	}
}

func toBF16Portable(y []uint16, ldy int, x []int32, ldx int, rows, n int, e Epilogue) {
	for r := range rows {
		for j := range n {
			y[r*ldy+j] = narrow(e.float(x[r*ldx+j], j, r*ldy+j))
		}
	}
}

func toFloatPortable(y []float32, ldy int, x []int32, ldx int, rows, n int, e Epilogue) {
	for r := range rows {
		for j := range n {
			y[r*ldy+j] = e.float(x[r*ldx+j], j, r*ldy+j)
		}
	}
}

func packQuadsPortable(dst, src []int8, rows, n, ld, cols int) {
	for k := 0; k < rows; k += 4 {
		quad := dst[k*cols:][:4*cols]
		clear(quad)
		for i := k; i < min(k+4, rows); i++ {
			for j, v := range src[i*ld:][:n] {
				quad[4*j+i-k] = v
			}
		}
	}
}

func maxPoolBytesPortable(dst, x []uint8, offs []int, n int) {
	dst = dst[:n]
	clear(dst)
	for _, o := range offs {
		for i, v := range x[o:][:n] {
			dst[i] = max(dst[i], v)
		}
	}
}

func sumRowsBytesPortable(sum []int32, x []uint8, rows, n, ld int) {
	sum = sum[:n]
	clear(sum)
	for r := range rows {
		for j, v := range x[r*ld:][:n] {
			sum[j] += int32(v)
		}
	}
}

func narrowBytesPortable[T stored](dst []uint8, src []T, inverse, zero float32) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = uint8(nearest(float32(load(v)*inverse)+zero, 0, math.MaxUint8))
	}
}

func widenBytesPortable[T stored](dst []T, src []uint8, scale, zero float32) {
	dst = dst[:len(src)]
	for i, v := range src {
		store(&dst[i], float32((float32(v)-zero)*scale))
	}
}

// peakInt8Portable multiplies and adds on four independent sums.
func peakInt8Portable(iterations int) float64 {
	iterations = max(iterations, 1)
	a := [4]uint8{uint8(iterations & 1), 1, 2, 3}
	var b [16]int8
	var sum [4]int32
	segs := [1]Seg{}
	for range iterations {
		dotInt8x4(&sum, a[:], 0, b[:], 0, segs[:], 4)
	}
	if sum != [4]int32{} {
		return 0 // never, but the compiler must keep the sums
	}
	return float64(iterations) * 32
}
