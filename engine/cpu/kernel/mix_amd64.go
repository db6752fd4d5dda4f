//go:build !noasm

package kernel

import (
	"slices"
	"unsafe"
)

// mixZeros stands for the pixels outside the image. Nothing writes to it.
var mixZeros [mixRun]float32

// tile has the arguments and tables of one call of Mix2.
type tile struct {
	kind                           Mix
	dst, src                       []float32
	dstRow, dstCol, srcRow, srcCol int
	k0, k1, p0, p1, i1, j1         int

	// Parts of scratch: values between the passes, output pixels outside the image,
	// and the input and output of the last, partial step.
	spill, nowhere, in, out []float32

	pixels [2][mixMost * mixMost]*float32 // of the output and of the input
}

// divide divides the scratch, beginning at a cache line.
func (t *tile) divide(scratch []float32) {
	const all = mixMost * mixMost * mixLanes
	lead := -int(uintptr(unsafe.Pointer(&scratch[0]))/4) & (mixLanes - 1)
	scratch = scratch[lead:]
	t.in, t.out = scratch[:all], scratch[all:2*all]
	t.spill, t.nowhere = scratch[2*all:][:mixBlock*all], scratch[(2+mixBlock)*all:][:mixRun]
}

// point fills the tables of pixels for the lanes from the given one on.
func (t *tile) point(outs, ins, from int) {
	for i := range outs {
		cols := t.j1
		if i >= t.i1 {
			cols = 0
		}
		pointRow(t.pixels[0][i*outs:][:outs], t.dst, i*t.dstRow+from, t.dstCol, 0, cols, &t.nowhere[0])
	}
	table := t.pixels[1][:ins*ins]
	for k := range ins {
		p0, p1 := t.p0, t.p1
		if k < t.k0 || k >= t.k1 {
			p0, p1 = 0, 0
		}
		pointRow(table[k*ins:][:ins], t.src, (k-t.k0)*t.srcRow+from, t.srcCol, p0, p1, &mixZeros[0])
	}
	if t.kind.flips() {
		slices.Reverse(table)
	}
}

// pointRow points entries first to last of a row of a table to pixels of x, which
// begin at an offset and lie step apart, and the others to the pixel absent.
func pointRow(row []*float32, x []float32, at, step, first, last int, absent *float32) {
	for p := range row {
		if p < first || p >= last {
			row[p] = absent
			continue
		}
		row[p] = &x[at]
		at += step
	}
}

// flips says that m uses the assembly of Filter, and with the pixels reversed.
func (m Mix) flips() bool { return m%6 == FilterFlip2 }

// part copies the last lanes of the input to scratch and points the tables there.
// After the call last copies the output back.
func (t *tile) part(outs, ins, from, lanes int) {
	for k := t.k0; k < t.k1; k++ {
		for p := t.p0; p < t.p1; p++ {
			copy(t.in[(k*ins+p)*mixLanes:][:lanes], t.src[(k-t.k0)*t.srcRow+(p-t.p0)*t.srcCol+from:])
		}
	}
	copied := *t
	copied.dst, copied.dstRow, copied.dstCol = t.out, outs*mixLanes, mixLanes
	if t.k0 < t.k1 && t.p0 < t.p1 {
		copied.src = t.in[(t.k0*ins+t.p0)*mixLanes:]
	}
	copied.srcRow, copied.srcCol = ins*mixLanes, mixLanes
	copied.point(outs, ins, 0)
	t.pixels = copied.pixels
}

func (t *tile) last(outs, from, lanes int) {
	for i := range t.i1 {
		for j := range t.j1 {
			copy(t.dst[i*t.dstRow+j*t.dstCol+from:][:lanes], t.out[(i*outs+j)*mixLanes:])
		}
	}
}

func mix2AVX512(kind Mix, dst, src []float32, dstRow, dstCol, srcRow, srcCol, n, k0, k1, p0, p1, i1, j1 int, scratch []float32) {
	t := tile{kind: kind, dst: dst, src: src, dstRow: dstRow, dstCol: dstCol, srcRow: srcRow, srcCol: srcCol,
		k0: k0, k1: k1, p0: p0, p1: p1, i1: i1, j1: j1}
	t.run(AVX512, n, scratch)
}

func mix2AVX2(kind Mix, dst, src []float32, dstRow, dstCol, srcRow, srcCol, n, k0, k1, p0, p1, i1, j1 int, scratch []float32) {
	t := tile{kind: kind, dst: dst, src: src, dstRow: dstRow, dstCol: dstCol, srcRow: srcRow, srcCol: srcCol,
		k0: k0, k1: k1, p0: p0, p1: p1, i1: i1, j1: j1}
	t.run(AVX2, n, scratch)
}

// run transforms n lanes in runs of full steps, and the remaining lanes as one step.
func (t *tile) run(isa ISA, n int, scratch []float32) {
	if t.i1 <= 0 || t.j1 <= 0 {
		return
	}
	t.divide(scratch)
	outs, ins := t.kind.Size()
	for from := 0; from < n; {
		lanes := min(mixRun, (n-from)&^(mixLanes-1))
		if lanes == 0 {
			t.part(outs, ins, from, n-from)
			t.call(isa, 1)
			t.last(outs, from, n-from)
			return
		}
		t.point(outs, ins, from)
		t.call(isa, lanes/mixLanes)
		from += lanes
	}
}

func (t *tile) call(isa ISA, steps int) {
	if isa == AVX512 {
		mixSquareAVX512(t.kind, &t.pixels[0][0], &t.pixels[1][0], &t.spill[0], steps)
	} else {
		mixSquareAVX2(t.kind, &t.pixels[0][0], &t.pixels[1][0], &t.spill[0], steps)
	}
}

func mixAVX512(kind Mix, dst, src []float32, dstStride, srcStride, n int) {
	mixLine(AVX512, kind, dst, src, dstStride, srcStride, n)
}

func mixAVX2(kind Mix, dst, src []float32, dstStride, srcStride, n int) {
	mixLine(AVX2, kind, dst, src, dstStride, srcStride, n)
}

func mixLine(isa ISA, kind Mix, dst, src []float32, dstStride, srcStride, n int) {
	t := tile{kind: kind}
	outs, ins := kind.Size()
	call := func(steps int) {
		if isa == AVX512 {
			mixLineAVX512(kind, &t.pixels[0][0], &t.pixels[1][0], steps)
		} else {
			mixLineAVX2(kind, &t.pixels[0][0], &t.pixels[1][0], steps)
		}
	}
	full := n &^ (mixLanes - 1)
	if full > 0 {
		pointRow(t.pixels[0][:outs], dst, 0, dstStride, 0, outs, nil)
		pointRow(t.pixels[1][:ins], src, 0, srcStride, 0, ins, nil)
		if kind.flips() {
			slices.Reverse(t.pixels[1][:ins])
		}
		call(full / mixLanes)
	}
	if full == n {
		return
	}
	var in, out [mixMost][mixLanes]float32
	for i := range outs {
		t.pixels[0][i] = &out[i][0]
	}
	for k := range ins {
		copy(in[k][:n-full], src[k*srcStride+full:])
		t.pixels[1][k] = &in[k][0]
	}
	if kind.flips() {
		slices.Reverse(t.pixels[1][:ins])
	}
	call(1)
	for i := range outs {
		copy(dst[i*dstStride+full:][:n-full], out[i][:])
	}
}
