package kernel

import "unsafe"

// dotRoundPortable sums a row, panel wide, and then finishes it.
func dotRoundPortable(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, f Finish, _ []uint16, _ int) {
	const wide = 16
	var sums [wide]float32
	for r := range rows {
		clear(sums[:])
		for _, s := range segs {
			addRow(&sums, a[s.A+r*ars:][:k], b[s.B:])
		}
		f.row(y, r*ldy, sums[:cols])
	}
}

func dotRowsPortable(y []uint16, ldy int, table []*uint16, ld, at int, b []uint16, segs, k, rows, cols int, f Finish, _ []uint16, _ int) {
	const wide = 16
	var sums [wide]float32
	for r := range rows {
		clear(sums[:])
		for s := range segs {
			addRow(&sums, unsafe.Slice(table[s*ld+r], at+k)[at:], b[s*k*wide:])
		}
		f.row(y, r*ldy, sums[:cols])
	}
}

// addRow adds to sums the products of a with the columns of a panel. A last term without a
// pair has the second term zero.
func addRow(sums *[16]float32, a, b []uint16) {
	even := len(a) &^ 1
	last := [2]uint16{}
	if even < len(a) {
		last[0] = a[even]
	}
	for j := 0; j < len(sums); j += 4 {
		four := (*[4]float32)(sums[j:])
		dot4(four, a[:even], b[2*j:])
		if even < len(a) {
			dot4(four, last[:], b[even*len(sums)+2*j:])
		}
	}
}

// row finishes one row of sums into y from element to on.
func (f *Finish) row(y []uint16, to int, sums []float32) {
	var res []uint16
	if f.Res != nil {
		res = f.Res[to:]
	}
	finishPortable(y[to:], 0, sums, 0, f.Scale, f.Shift, res, f.ReLU, 1, len(sums))
}

// dot4 adds to sum the products of a with four columns of a panel.
func dot4(sum *[4]float32, a, b []uint16) {
	const pair = 2 * 16
	s0, s1, s2, s3 := sum[0], sum[1], sum[2], sum[3]
	for i := 0; i+1 < len(a); i += 2 {
		x, y := widen(a[i]), widen(a[i+1])
		w := (*[8]uint16)(b[i/2*pair:])
		s0 += float32(y * widen(w[1]))
		s1 += float32(y * widen(w[3]))
		s2 += float32(y * widen(w[5]))
		s3 += float32(y * widen(w[7]))
		s0 += float32(x * widen(w[0]))
		s1 += float32(x * widen(w[2]))
		s2 += float32(x * widen(w[4]))
		s3 += float32(x * widen(w[6]))
	}
	*sum = [4]float32{s0, s1, s2, s3}
}

func finishPortable(y []uint16, ldy int, x []float32, ldx int, scale, shift []float32, res []uint16, relu bool, rows, n int) {
	for r := range rows {
		for c := range n {
			v := x[r*ldx+c]
			if scale != nil {
				v = float32(v * scale[c])
			}
			if shift != nil {
				v += shift[c]
			}
			if res != nil {
				v += widen(res[r*ldy+c])
			}
			if relu && v < 0 {
				v = 0
			}
			y[r*ldy+c] = narrow(v)
		}
	}
}
