//go:build !noasm

package kernel

import "unsafe"

// mixZeros stands for the pixels outside the image. Nothing writes to it.
var mixZeros [mixRun]float32

// tile is one call of a transform of a tile.
type tile struct {
	kind                           Mix
	dst, src                       []float32
	dstRow, dstCol, srcRow, srcCol int
	k0, k1, p0, p1, i1, j1         int

	// Parts of scratch: what lies between the passes, pixels of the output that
	// nobody asked for, and both ends of the last, partial step.
	spill, nowhere, in, out []float32

	pixels [2][mixMost * mixMost]*float32 // of the output and of the input
}

// divide hands out the scratch, from a line of the cache on.
func (t *tile) divide(scratch []float32) {
	const all = mixMost * mixMost * mixLanes
	lead := -int(uintptr(unsafe.Pointer(&scratch[0]))/4) & (mixLanes - 1)
	scratch = scratch[lead:]
	t.in, t.out = scratch[:all], scratch[all:2*all]
	t.spill, t.nowhere = scratch[2*all:][:mixBlock*all], scratch[(2+mixBlock)*all:][:mixRun]
}

// point fills the tables for the lanes from the given one on. Pixel r of the
// filter turned about is the last but r.
func (t *tile) point(outs, ins, from int) {
	for i := range outs {
		for j := range outs {
			p := &t.nowhere[0]
			if i < t.i1 && j < t.j1 {
				p = &t.dst[i*t.dstRow+j*t.dstCol+from]
			}
			t.pixels[0][i*outs+j] = p
		}
	}
	for k := range ins {
		for p := range ins {
			x := &mixZeros[0]
			if k >= t.k0 && k < t.k1 && p >= t.p0 && p < t.p1 {
				x = &t.src[(k-t.k0)*t.srcRow+(p-t.p0)*t.srcCol+from]
			}
			t.pixels[1][t.place(k*ins+p, ins*ins)] = x
		}
	}
}

// flips says that the kernel is that of another matrix with columns reversed.
func (m Mix) flips() bool { return m%6 == FilterFlip2 }

// place is where in a table of n inputs the kernel looks for input i.
func (t *tile) place(i, n int) int {
	if t.kind.flips() {
		return n - 1 - i
	}
	return i
}

// part copies the last lanes of the input to scratch and points the tables
// there; last copies the output back.
func (t *tile) part(outs, ins, from, lanes int) {
	for k := t.k0; k < t.k1; k++ {
		for p := t.p0; p < t.p1; p++ {
			copy(t.in[(k*ins+p)*mixLanes:][:lanes], t.src[(k-t.k0)*t.srcRow+(p-t.p0)*t.srcCol+from:])
		}
	}
	whole := *t
	whole.dst, whole.dstRow, whole.dstCol = t.out, outs*mixLanes, mixLanes
	if t.k0 < t.k1 && t.p0 < t.p1 {
		whole.src = t.in[(t.k0*ins+t.p0)*mixLanes:]
	}
	whole.srcRow, whole.srcCol = ins*mixLanes, mixLanes
	whole.point(outs, ins, 0)
	t.pixels = whole.pixels
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

// run transforms n lanes: in runs of whole steps, then the rest as one step.
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
	whole := n &^ (mixLanes - 1)
	if whole > 0 {
		for i := range outs {
			t.pixels[0][i] = &dst[i*dstStride]
		}
		for k := range ins {
			t.pixels[1][t.place(k, ins)] = &src[k*srcStride]
		}
		call(whole / mixLanes)
	}
	if whole == n {
		return
	}
	var in, out [mixMost][mixLanes]float32
	for i := range outs {
		t.pixels[0][i] = &out[i][0]
	}
	for k := range ins {
		copy(in[k][:n-whole], src[k*srcStride+whole:])
		t.pixels[1][t.place(k, ins)] = &in[k][0]
	}
	call(1)
	for i := range outs {
		copy(dst[i*dstStride+whole:][:n-whole], out[i][:])
	}
}
