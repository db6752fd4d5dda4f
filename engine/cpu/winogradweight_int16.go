package cpu

// bandIntegers is the number of rows whose products are summed as integers, at most.
const bandIntegers = 256

// integerBands reports whether the gradient of a weight is computed by products of 16-bit
// integers, of which a processor with instructions for them does twice as many. Rows are
// multiplied in pairs, and channels in whole panels.
func (b *binder) integerBands(images, cin, cout int) bool {
	return b.set.Int16.Fast && images%2 == 0 && cin%bandLanes == 0 && cout%bandLanes == 0
}

// integersSize is the number of float32 that the integers of a task take: those of all inputs
// and of one panel of gradients, a panel before it is transposed, and their scales.
func (w *bandWeight) integersSize() int {
	return (bandIntegers/2+1)*(w.in+w.set.Cols) + bandIntegers/2*w.set.Cols
}

// transformInputPanels is transformInputs with the layout of transformGradients.
func (w *bandWeight) transformInputPanels(s *bandShare, y, image, images int) {
	cols := w.set.Cols
	pixel, panels := images*cols, ceil(s.in, cols)
	for q := range panels {
		w.x.combine(w.set, s.columns, &w.input[s.band], y, w.columns(), w.padW, image, images, s.ci+q*cols, cols, cols)
		for tile := range w.across {
			w.set.Mix(w.f.input, s.inputs[(q*w.across+tile)*pixel:], s.columns[tile*w.f.m*pixel:], panels*w.across*pixel, pixel, pixel)
		}
	}
}

// multiplyIntegers is multiply with products of 16-bit integers. Every channel of some rows has
// a scale of its own.
func (w *bandWeight) multiplyIntegers(s *bandShare, rows int, accumulate bool) {
	cin, cout, cols := w.x.channels, w.dy.channels, w.set.Cols
	ins, outs := s.in/cols, s.out/cols
	sums := w.sums()[((s.part*w.f.t+s.band)*w.f.t*cin+s.ci)*cout+s.co:]
	rowScale, rest := s.integers[:w.in], s.integers[w.in:]
	scale, rest := rest[:cols], rest[cols:]
	a, rest := rest[:bandIntegers/2*w.in], rest[bandIntegers/2*w.in:]
	panel, pairs := rest[:bandIntegers/2*cols], rest[bandIntegers/2*cols:]
	quantise, ints := w.set.Int16.Tiles.QuantiseColumns, &w.set.Int16
	most := (ceil(rows, ceil(rows, bandIntegers)) + 1) &^ 1
	for j := range w.f.t {
		for lo := 0; lo < rows; lo += most {
			n := min(most, rows-lo)
			for q := range ins {
				quantise(pairs.int16s(), rowScale[q*cols:], s.inputs[((j*ins+q)*rows+lo)*cols:], n)
				w.set.PackTransposed(a[q*cols*n/2:], pairs, n/2, cols, cols, n/2)
			}
			for q := range outs {
				quantise(panel.int16s(), scale, s.gradients[((j*outs+q)*rows+lo)*cols:], n)
				ints.DotRows(sums[j*cin*cout+q*cols:], cout, a.int16s(), n, panel.int16s(), scale, rowScale, n, s.in, cols, accumulate || lo > 0)
			}
		}
	}
}
