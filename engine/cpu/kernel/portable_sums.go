package kernel

// dotStatsPortable sums a row, panel wide, and then adds it to the sums of columns.
func dotStatsPortable(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, shift, sums []float32, fresh bool, _ []uint16, _ int) {
	const wide = 16
	var x [wide]float32
	pivots, sum, squares := sums[:wide], sums[wide:2*wide], sums[2*wide:3*wide]
	f := Finish{Shift: shift}
	for r := range rows {
		clear(x[:])
		for _, s := range segs {
			addRow(&x, a[s.A+r*ars:][:k], b[s.B:])
		}
		if fresh && r == 0 {
			copy(pivots, x[:])
			clear(sum)
			clear(squares)
		}
		f.row(y, r*ldy, x[:cols])
		for j, v := range x {
			d := v - pivots[j]
			sum[j] += d
			squares[j] = fma(d, d, squares[j])
		}
	}
}

func dotReducePortable(y []uint16, ldy int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, g Reduction, sums []float32, _ []uint16, _ int) {
	const wide = 16
	var x [wide]float32
	sum, products := sums[:wide], sums[wide:2*wide]
	for r := range rows {
		clear(x[:])
		for _, s := range segs {
			addRow(&x, a[s.A+r*ars:][:k], b[s.B:])
		}
		for j := range cols {
			at, v := r*ldy+j, x[j]
			if g.Res != nil {
				v += load(g.Res[at])
			}
			if g.Gate != nil && load(g.Gate[at]) <= 0 {
				v = 0
			}
			store(&y[at], v)
			sum[j] += v
			products[j] = fma(load(g.X[at])-g.Mean[j], v, products[j])
		}
	}
}
