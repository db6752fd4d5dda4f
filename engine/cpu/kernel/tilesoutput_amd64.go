//go:build !noasm

package kernel

import (
	"math"
	"unsafe"
)

// tileOnes and tileNothing stand for a scale of 1 and a shift that adds nothing.
var tileOnes, tileNothing = func() (ones, nothing [32]float32) {
	for i := range ones {
		ones[i], nothing[i] = 1, float32(math.Copysign(0, -1))
	}
	return ones, nothing
}()

// tileOutputs has the arguments of Output, and tables of the pixels of results and residuals.
type tileOutputs struct {
	isa                       ISA
	m, step, pitch, gap, wide int
	dst, res                  [16]*uint16
	scale, shift              *float32
	floor                     float32
	residual                  bool
	spill                     *float32
	i1, j1                    int
}

func tileOutputBy(isa ISA, m int, dst []uint16, dstRow, dstCol, ld int, src []float32, step, pitch int, inverse, scale, shift []float32, res []uint16, relu bool, images, i1, j1, cols int, scratch []float32) {
	width := 32
	if isa == AVX2 {
		width = 16
	}
	if cols%(width/2) != 0 {
		tileOutput(m, dst, dstRow, dstCol, ld, src, step, pitch, inverse, scale, shift, res, relu, images, i1, j1, cols)
		return
	}
	t := tileOutputs{isa: isa, m: m, step: 4 * step, pitch: 4 * pitch, gap: 2 * (ld - cols), wide: 4 * cols, scale: &tileOnes[0], shift: &tileNothing[0],
		floor: float32(math.Inf(-1)), residual: res != nil, spill: &newTileArea(scratch).spill[0], i1: i1, j1: j1}
	if scale != nil {
		t.scale = &scale[0]
	}
	if shift != nil {
		t.shift = &shift[0]
	}
	if relu {
		t.floor = 0
	}
	for i := range i1 {
		for j := range j1 {
			at := i*dstRow + j*dstCol
			t.dst[i*m+j] = &dst[at]
			if res != nil {
				t.res[i*m+j] = &res[at]
			}
		}
	}
	if images > 1 && compete(dstRow, dstCol, i1, j1) {
		t.staged(src, pitch, inverse, images, ld, cols, scratch)
	} else {
		t.call(&src[0], &inverse[0], images)
	}
}

// compete reports whether too many pixels of a tile lie at the same place of a page, so that
// their cache lines compete for the same ways of a first-level cache: the images of a pixel
// usually take a power of two of bytes.
func compete(row, col, rows, cols int) bool {
	const page, ways = 2048, 4 // a page in words, and half of the ways; residuals need the others
	same := 0
	for i := range rows {
		for j := range cols {
			if (i*row+j*col)%page == 0 {
				same++
			}
		}
	}
	return same > ways
}

// staged computes some images at a time in one place and copies residuals and results, so that
// each of their cache lines is visited once.
func (t *tileOutputs) staged(src []float32, pitch int, inverse []float32, images, ld, cols int, scratch []float32) {
	const pixel = tileBlock // of results and residuals of some images
	copies := tileCopies(scratch)
	var far, added [16]*uint8
	for p := range t.m * t.m {
		far[p], added[p] = (*uint8)(unsafe.Pointer(t.dst[p])), (*uint8)(unsafe.Pointer(t.res[p]))
		t.dst[p], t.res[p] = &copies[p*pixel], &copies[(16+p)*pixel]
	}
	t.gap = 0
	most := pixel / cols
	for n := 0; n < images; n += most {
		now := min(most, images-n)
		rows, size := now, 2*cols
		if ld == cols {
			rows, size = 1, 2*cols*now
		}
		if t.residual {
			gatherLines(t.isa, &added[0], (*uint8)(unsafe.Pointer(t.res[0])), 2*pixel, 2*n*ld, t.m*t.m, rows, 2*ld, size)
		}
		t.call(&src[n*pitch], &inverse[n], now)
		spreadLines(t.isa, &far[0], (*uint8)(unsafe.Pointer(t.dst[0])), 2*pixel, 2*n*ld, t.m*t.m, rows, 2*ld, size)
	}
}

func (t *tileOutputs) call(src, inverse *float32, images int) {
	switch {
	case t.isa == AVX512BF16 && !t.residual:
		tileOutputAVX512BF16(t.m, &t.dst[0], nil, t.gap, src, t.step, t.pitch, inverse, t.scale, t.shift, t.floor, t.spill, t.wide, images, t.i1, t.j1)
	case t.isa == AVX512BF16:
		tileOutputResidualAVX512BF16(t.m, &t.dst[0], &t.res[0], t.gap, src, t.step, t.pitch, inverse, t.scale, t.shift, t.floor, t.spill, t.wide, images, t.i1, t.j1)
	case t.isa == AVX512 && !t.residual:
		tileOutputAVX512(t.m, &t.dst[0], nil, t.gap, src, t.step, t.pitch, inverse, t.scale, t.shift, t.floor, t.spill, t.wide, images, t.i1, t.j1)
	case t.isa == AVX512:
		tileOutputResidualAVX512(t.m, &t.dst[0], &t.res[0], t.gap, src, t.step, t.pitch, inverse, t.scale, t.shift, t.floor, t.spill, t.wide, images, t.i1, t.j1)
	case !t.residual:
		tileOutputAVX2(t.m, &t.dst[0], nil, t.gap, src, t.step, t.pitch, inverse, t.scale, t.shift, t.floor, t.spill, t.wide, images, t.i1, t.j1)
	default:
		tileOutputResidualAVX2(t.m, &t.dst[0], &t.res[0], t.gap, src, t.step, t.pitch, inverse, t.scale, t.shift, t.floor, t.spill, t.wide, images, t.i1, t.j1)
	}
}

// tileCopies is the part of the scratch for copies, beginning at a cache line.
func tileCopies(scratch []float32) []uint16 {
	scratch = scratch[-int(uintptr(unsafe.Pointer(&scratch[0]))/4)&15:]
	return unsafe.Slice((*uint16)(unsafe.Pointer(&scratch[tileScratch-16])), 2*16*tileBlock)
}
