//go:build !noasm

package kernel

import "unsafe"

var byteTilesAVX512 = ByteTiles{
	Cols:  32,
	Input: exactInputAVX512ByRuns,
	Bytes: exactToBytesAVX512,
	BF16:  exactToBF16AVX512,
	Float: exactToFloatAVX512,
	Fetch: fetchByteLines,
}

var byteTilesAVX2 = ByteTiles{
	Cols:  16,
	Input: exactInputAVX2ByRuns,
	Bytes: exactToBytesAVX2,
	BF16:  exactToBF16AVX2,
	Float: exactToFloatAVX2,
	Fetch: fetchByteLines,
}

// byteTileRun is how many lanes have pixels to point to where they lie outside the image.
const byteTileRun = 2 * tileRun

// bytePixels points to the pixels of a tile.
type bytePixels [mixMost * mixMost]*uint8

var tileZeroBytes = (*uint8)(unsafe.Pointer(&tileZeros[0]))

// fill points to the pixels of x that are inside the image, and to zeros for the others.
func (b *bytePixels) fill(m int, x []uint8, row, col, k0, k1, p0, p1 int) {
	side := m + 2
	for i := range side * side {
		b[i] = tileZeroBytes
	}
	for k := k0; k < k1; k++ {
		for p := p0; p < p1; p++ {
			b[k*side+p] = &x[(k-k0)*row+(p-p0)*col]
		}
	}
}

func exactInputAVX512ByRuns(m int, dst []int16, step int, src []uint8, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32) {
	exactInputBy(AVX512, m, dst, step, src, srcRow, srcCol, channels, images, k0, k1, p0, p1, scratch)
}

func exactInputAVX2ByRuns(m int, dst []int16, step int, src []uint8, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32) {
	exactInputBy(AVX2, m, dst, step, src, srcRow, srcCol, channels, images, k0, k1, p0, p1, scratch)
}

// exactInputBy transforms blocks of lanes, and then copies of the lanes that do not fill a
// vector. The pixels of several images usually lie a power of two apart; so blocks of them
// are copied first.
func exactInputBy(isa ISA, m int, dst []int16, step int, src []uint8, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32) {
	width := exactWidth(isa) // which is that of a vector of words, too
	if k0 >= k1 || p0 >= p1 {
		k0, k1, p0, p1 = 0, 0, 0, 0
	}
	var pixels bytePixels
	area, side := newTileArea(scratch), m+2
	lanes := images * channels
	full := lanes &^ (width - 1)
	switch {
	case full > 0 && images > 1 && k0 < k1:
		copies := byteStaging(scratch)
		var far bytePixels
		for i := range pixels {
			pixels[i] = tileZeroBytes
		}
		for k := k0; k < k1; k++ {
			for p := p0; p < p1; p++ {
				far[k*side+p], pixels[k*side+p] = &src[(k-k0)*srcRow+(p-p0)*srcCol], &copies[(k*side+p)*byteBlock]
			}
		}
		for from := 0; from < full; from += byteBlock {
			n := min(byteBlock, full-from)
			gatherLines(isa, &far[0], &copies[0], byteBlock, from, side*side, 1, 0, n)
			exactInput(isa, m, &dst[from], step, &pixels, area.spill, n/width)
		}
	default:
		for from := 0; from < full; from += byteTileRun {
			pixels.fill(m, src[min(from, len(src)):], srcRow, srcCol, k0, k1, p0, p1)
			exactInput(isa, m, &dst[from], step, &pixels, area.spill, min(byteTileRun, full-from)/width)
		}
	}
	rest := lanes - full
	if rest == 0 {
		return
	}
	copied := unsafe.Slice((*uint8)(unsafe.Pointer(&area.in[0])), side*side*tileLanes)
	for k := k0; k < k1; k++ {
		for p := p0; p < p1; p++ {
			copy(copied[(k*side+p)*tileLanes:][:rest], src[(k-k0)*srcRow+(p-p0)*srcCol+full:])
		}
	}
	pixels.fill(m, copied[(k0*side+p0)*tileLanes:], side*tileLanes, tileLanes, k0, k1, p0, p1)
	exactInput(isa, m, &area.out[0], tileLanes, &pixels, area.spill, 1)
	for p := range side * side {
		copy(dst[p*step+full:][:rest], area.out[p*tileLanes:])
	}
}

// byteStaging is the part of the scratch for copies, beginning at a cache line.
func byteStaging(scratch []float32) []uint8 {
	scratch = scratch[-int(uintptr(unsafe.Pointer(&scratch[0]))/4)&15:]
	return unsafe.Slice((*uint8)(unsafe.Pointer(&scratch[tileScratch-16])), byteCopies)
}

func exactInput(isa ISA, m int, dst *int16, step int, pixels *bytePixels, spill []float32, steps int) {
	if isa == AVX2 {
		exactInputAVX2(m, dst, 2*step, &pixels[0], &spill[0], steps)
	} else {
		exactInputAVX512(m, dst, 2*step, &pixels[0], &spill[0], steps)
	}
}

// exactOutputs has the tables of an output's pixels: of results, whose type differs, and of
// residuals.
type exactOutputs struct {
	dst    [16]unsafe.Pointer
	res    [16]*uint8
	halves [16]*uint16
}

// exactOutputBy makes results of sums, panel by panel. It returns false if columns do not fill
// vectors.
func exactOutputBy[T uint8 | uint16 | float32](isa ISA, m int, dst []T, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32) bool {
	width := exactWidth(isa)
	for q := 0; q*width < cols; q++ {
		lo := q * width
		part := e.from(lo)
		part.Scale, part.Shift = e.Scale[lo:], e.Shift[lo:]
		if !exactPanel(isa, m, dst[lo:], dstRow, dstCol, ld, src[q*panel:], step, part, images, i1, j1, min(width, cols-lo), scratch) {
			return false
		}
	}
	return true
}

// exactStaged is exactOutputBy for results of 8 bits of several images. The pixels usually lie
// a power of two apart; so some images are computed in one place and then copied to their own.
func exactStaged(isa ISA, m int, dst []uint8, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32) bool {
	width := exactWidth(isa)
	if images == 1 || e.BF16 != nil || cols%16 != 0 || cols > 2*width {
		return exactOutputBy(isa, m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols, scratch)
	}
	copies := byteStaging(scratch)
	const residual = byteCopies / 2
	var far, res [16]*uint8
	var near [2]exactOutputs
	pixel := byteImages * cols
	for i := range i1 {
		for j := range j1 {
			at, p := i*dstRow+j*dstCol, i*m+j
			far[p] = &dst[at]
			for q := range near {
				near[q].dst[p], near[q].res[p] = unsafe.Pointer(&copies[p*pixel+q*width]), &copies[residual+p*pixel+q*width]
			}
			if e.Bytes != nil {
				res[p] = &e.Bytes[at]
			}
		}
	}
	spill := &newTileArea(scratch).spill[0]
	for n := 0; n < images; n += byteImages {
		now := min(byteImages, images-n)
		if e.Bytes != nil {
			gatherLines(isa, &res[0], &copies[residual], pixel, n*ld, m*m, now, ld, cols)
		}
		for q := 0; q*width < cols; q++ {
			t, lo := &near[q], q*width
			some := min(width, cols-lo)
			var from **uint8
			if e.Bytes != nil {
				from = &t.res[0]
			}
			to, sums := (**uint8)(unsafe.Pointer(&t.dst[0])), &src[q*panel+n*width]
			if isa == AVX2 {
				exactOutputBytesAVX2(m, to, from, nil, cols-some, sums, 4*step, &e.Scale[lo], &e.Shift[lo], e.BytesScale, uint32(e.Least), spill, 4*some, now, i1, j1)
			} else {
				exactOutputBytesAVX512(m, to, from, nil, cols-some, sums, 4*step, &e.Scale[lo], &e.Shift[lo], e.BytesScale, uint32(e.Least), spill, 4*some, now, i1, j1)
			}
		}
		spreadLines(isa, &far[0], &copies[0], pixel, n*ld, m*m, now, ld, cols)
	}
	return true
}

// exactPanel makes results of the sums of one panel.
func exactPanel[T uint8 | uint16 | float32](isa ISA, m int, dst []T, dstRow, dstCol, ld int, src []int32, step int, e Epilogue, images, i1, j1, cols int, scratch []float32) bool {
	if cols%(exactWidth(isa)/2) != 0 {
		return false
	}
	if images == 0 {
		return true
	}
	var t exactOutputs
	var res **uint8
	var halves **uint16
	for i := range i1 {
		for j := range j1 {
			at := i*dstRow + j*dstCol
			t.dst[i*m+j] = unsafe.Pointer(&dst[at])
			if e.Bytes != nil {
				t.res[i*m+j], res = &e.Bytes[at], &t.res[0]
			}
			if e.BF16 != nil {
				t.halves[i*m+j], halves = &e.BF16[at], &t.halves[0]
			}
		}
	}
	to, gap, spill, wide := unsafe.Pointer(&t.dst[0]), ld-cols, &newTileArea(scratch).spill[0], 4*cols
	switch size := unsafe.Sizeof(dst[0]); {
	case size == 1 && isa == AVX2:
		exactOutputBytesAVX2(m, (**uint8)(to), res, halves, gap, &src[0], 4*step, &e.Scale[0], &e.Shift[0], e.BytesScale, uint32(e.Least), spill, wide, images, i1, j1)
	case size == 1:
		exactOutputBytesAVX512(m, (**uint8)(to), res, halves, gap, &src[0], 4*step, &e.Scale[0], &e.Shift[0], e.BytesScale, uint32(e.Least), spill, wide, images, i1, j1)
	case size == 2 && isa == AVX2:
		exactOutputBF16AVX2(m, (**uint16)(to), res, halves, gap, &src[0], 4*step, &e.Scale[0], &e.Shift[0], e.BytesScale, e.floor(), spill, wide, images, i1, j1)
	case size == 2:
		exactOutputBF16AVX512(m, (**uint16)(to), res, halves, gap, &src[0], 4*step, &e.Scale[0], &e.Shift[0], e.BytesScale, e.floor(), spill, wide, images, i1, j1)
	case isa == AVX2:
		exactOutputFloatAVX2(m, (**float32)(to), res, halves, gap, &src[0], 4*step, &e.Scale[0], &e.Shift[0], e.BytesScale, e.floor(), spill, wide, images, i1, j1)
	default:
		exactOutputFloatAVX512(m, (**float32)(to), res, halves, gap, &src[0], 4*step, &e.Scale[0], &e.Shift[0], e.BytesScale, e.floor(), spill, wide, images, i1, j1)
	}
	return true
}

// exactWidth is the number of columns of a panel.
func exactWidth(isa ISA) int {
	if isa == AVX2 {
		return 16
	}
	return 32
}

func exactToBytesAVX512(m int, dst []uint8, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32) {
	if !exactStaged(AVX512, m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols, scratch) {
		exactToBytes(exactWidth(AVX512), m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols)
	}
}

func exactToBF16AVX512(m int, dst []uint16, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32) {
	if !exactOutputBy(AVX512, m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols, scratch) {
		exactToBF16(exactWidth(AVX512), m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols)
	}
}

func exactToFloatAVX512(m int, dst []float32, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32) {
	if !exactOutputBy(AVX512, m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols, scratch) {
		exactToFloat(exactWidth(AVX512), m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols)
	}
}

func exactToBytesAVX2(m int, dst []uint8, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32) {
	if !exactStaged(AVX2, m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols, scratch) {
		exactToBytes(exactWidth(AVX2), m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols)
	}
}

func exactToBF16AVX2(m int, dst []uint16, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32) {
	if !exactOutputBy(AVX2, m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols, scratch) {
		exactToBF16(exactWidth(AVX2), m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols)
	}
}

func exactToFloatAVX2(m int, dst []float32, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, scratch []float32) {
	if !exactOutputBy(AVX2, m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols, scratch) {
		exactToFloat(exactWidth(AVX2), m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols)
	}
}

func fetchByteLines(x []uint8, rows, ld int) {
	if rows > 0 {
		tileFetchAVX512((*uint16)(unsafe.Pointer(&x[0])), rows, ld)
	}
}
