//go:build !noasm

package kernel

import (
	"math"
	"unsafe"
)

// tileTable has the pixels of a tile.
type tileTable [mixMost * mixMost]*uint16

// tileInputs has the arguments of Input.
type tileInputs struct {
	isa                                      ISA
	limits                                   *tileLimits
	m                                        int
	dst                                      []int16
	step                                     int
	inverse                                  []float32
	src                                      []uint16
	srcRow, srcCol, channels, k0, k1, p0, p1 int
	area                                     tileArea
	pixels                                   tileTable
}

func inputTileAVX512(m int, dst []int16, step int, inverse []float32, src []uint16, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32) {
	tileInputBy(AVX512, tileUnsigned, m, dst, step, inverse, src, srcRow, srcCol, channels, images, k0, k1, p0, p1, scratch)
}

func signedInputTileAVX512(m int, dst []int16, step int, inverse []float32, src []uint16, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32) {
	tileInputBy(AVX512, tileSigned, m, dst, step, inverse, src, srcRow, srcCol, channels, images, k0, k1, p0, p1, scratch)
}

func inputTileAVX2(m int, dst []int16, step int, inverse []float32, src []uint16, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32) {
	tileInputBy(AVX2, tileUnsigned, m, dst, step, inverse, src, srcRow, srcCol, channels, images, k0, k1, p0, p1, scratch)
}

func signedInputTileAVX2(m int, dst []int16, step int, inverse []float32, src []uint16, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32) {
	tileInputBy(AVX2, tileSigned, m, dst, step, inverse, src, srcRow, srcCol, channels, images, k0, k1, p0, p1, scratch)
}

func tileInputBy(isa ISA, l *tileLimits, m int, dst []int16, step int, inverse []float32, src []uint16, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, scratch []float32) {
	if channels%2 == 1 || isa == AVX2 && channels%16 != 0 {
		l.input(m, dst, step, inverse, src, srcRow, srcCol, channels, images, k0, k1, p0, p1)
		return
	}
	t := tileInputs{isa: isa, limits: l, m: m, dst: dst, step: step, inverse: inverse, src: src, srcRow: srcRow, srcCol: srcCol,
		channels: channels, k0: k0, k1: k1, p0: p0, p1: p1, area: newTileArea(scratch)}
	// A run has whole images where they fit.
	most := max(1, tileRun/channels)
	find := t.peaks
	if l.signed {
		most, find = min(most, tileSpill/mixMost), t.rowPeaks
	}
	for n := 0; n < images; n += most {
		now := min(most, images-n)
		find(n, now)
		for from := n * channels; from < (n+now)*channels; from += tileRun {
			t.run(from, min(tileRun, (n+now)*channels-from))
		}
	}
}

// peaks finds the scales of images: the inverse in inverse, and the scales themselves, one
// for every pair of words, in scales. An image that is longer than a run has one scale
// there.
func (t *tileInputs) peaks(first, images int) {
	found := t.inverse[first : first+images]
	clear(found)
	if t.k1 > t.k0 && t.p1 > t.p0 {
		for from, end := first*t.channels, (first+images)*t.channels; from < end; from += tileRun {
			t.magnitudes(found, from, min(tileRun, end-from))
		}
	}
	for n, most := range found {
		scale, inverse := t.limits.scale(most)
		found[n] = inverse
		t.setScale(n, scale)
	}
}

// setScale sets the scale of an image of a run.
func (t *tileInputs) setScale(n int, scale float32) {
	pairs := min(t.channels, tileRun) / 2
	scales := t.area.scales[n*pairs:][:pairs]
	for i := range scales {
		scales[i] = scale
	}
}

// rowPeaks is peaks for inputs of either sign, whose scales depend on the largest magnitudes
// of all rows.
func (t *tileInputs) rowPeaks(first, images int) {
	found, peaks := t.inverse[first:first+images], t.area.spill[:images*mixMost]
	clear(peaks)
	for from, end := first*t.channels, (first+images)*t.channels; from < end && t.p1 > t.p0; from += tileRun {
		lanes := min(tileRun, end-from) // of whole images, or a part of one
		for k := t.k0; k < t.k1; k++ {
			for p := range t.p1 - t.p0 {
				t.pixels[p] = &t.src[(k-t.k0)*t.srcRow+p*t.srcCol+from]
			}
			tileMaxima(t.isa, true, &t.area.in[0], &t.pixels[0], t.p1-t.p0, 2*lanes)
			tilePeaks(t.isa, &found[0], &t.area.in[0], 2*lanes/images, images)
			for n, most := range found {
				peaks[n*mixMost+k] = max(peaks[n*mixMost+k], most)
			}
		}
	}
	for n := range found {
		scale, inverse := t.limits.rowScale(t.m, (*rowPeaks)(peaks[n*mixMost:]))
		found[n] = inverse
		t.setScale(n, scale)
	}
}

// magnitudes raises peaks to the largest magnitudes of n lanes, from one on, of all pixels;
// it makes those negative whose images have negative values. The lanes are those of whole
// images, or a part of one.
func (t *tileInputs) magnitudes(peaks []float32, from, n int) {
	count := 0
	for k := range t.k1 - t.k0 {
		for p := range t.p1 - t.p0 {
			t.pixels[count] = &t.src[k*t.srcRow+p*t.srcCol+from]
			count++
		}
	}
	var before float32 // of an image in several parts
	if n == tileRun || len(peaks) == 1 {
		before = peaks[0]
	}
	tileMaxima(t.isa, false, &t.area.in[0], &t.pixels[0], count, 2*n)
	width := n / len(peaks)
	tilePeaks(t.isa, &peaks[0], &t.area.in[0], 2*width, len(peaks))
	negative := false
	for _, p := range peaks {
		negative = negative || math.Signbit(float64(p))
	}
	if negative {
		t.signed(peaks, count, n)
	}
	if before != 0 {
		sum := math.Float32bits(before) | math.Float32bits(peaks[0])
		most := max(math.Float32bits(before)&^(1<<31), math.Float32bits(peaks[0])&^(1<<31))
		peaks[0] = math.Float32frombits(most | sum&(1<<31))
	}
}

// signed replaces the largest words by the largest magnitudes, with a sign where the word
// had one.
func (t *tileInputs) signed(peaks []float32, count, n int) {
	tileMaxima(t.isa, true, &t.area.in[0], &t.pixels[0], count, 2*n)
	most := t.area.spill[:len(peaks)]
	tilePeaks(t.isa, &most[0], &t.area.in[0], 2*n/len(peaks), len(peaks))
	for i, m := range most {
		if math.Signbit(float64(peaks[i])) {
			peaks[i] = math.Float32frombits(math.Float32bits(m) | 1<<31)
		}
	}
}

// run transforms n lanes, from one on.
func (t *tileInputs) run(from, n int) {
	side := t.m + 2
	full := n &^ (tileLanes - 1)
	if full > 0 {
		t.point(t.src, t.srcRow, t.srcCol, from)
		t.call(&t.dst[from], t.step, 0, full/tileLanes)
	}
	if n == full {
		return
	}
	at, lanes := from+full, n-full
	for k := t.k0; k < t.k1; k++ {
		for p := t.p0; p < t.p1; p++ {
			copy(t.area.in[(k*side+p)*tileLanes:][:lanes], t.src[(k-t.k0)*t.srcRow+(p-t.p0)*t.srcCol+at:])
		}
	}
	t.point(t.area.in[(t.k0*side+t.p0)*tileLanes:], side*tileLanes, tileLanes, 0)
	t.call(&t.area.out[0], tileLanes, full, 1)
	for p := range side * side {
		copy(t.dst[p*t.step+at:][:lanes], t.area.out[p*tileLanes:])
	}
}

// point fills the table with the pixels of x, from a lane on.
func (t *tileInputs) point(x []uint16, row, col, from int) {
	side := t.m + 2
	for k := range side {
		for p := range side {
			pixel := &tileZeros[0]
			if k >= t.k0 && k < t.k1 && p >= t.p0 && p < t.p1 {
				pixel = &x[(k-t.k0)*row+(p-t.p0)*col+from]
			}
			t.pixels[k*side+p] = pixel
		}
	}
}

func (t *tileInputs) call(dst *int16, step, lane, steps int) {
	factors, scale, spill := &t.limits.factors[t.m-2][0], &t.area.scales[lane/2], &t.area.spill[0]
	if t.isa == AVX512 {
		tileInputAVX512(t.m, dst, 2*step, &t.pixels[0], factors, scale, spill, steps)
	} else {
		tileInputAVX2(t.m, dst, 2*step, &t.pixels[0], factors, scale, spill, steps)
	}
}

func tileMaxima(isa ISA, signed bool, dst *uint16, pixels **uint16, count, size int) {
	switch {
	case isa == AVX512 && signed:
		tileMagnitudesAVX512(dst, pixels, count, size)
	case isa == AVX512:
		tileWordsAVX512(dst, pixels, count, size)
	case signed:
		tileMagnitudesAVX2(dst, pixels, count, size)
	default:
		tileWordsAVX2(dst, pixels, count, size)
	}
}

func tilePeaks(isa ISA, peaks *float32, words *uint16, size, images int) {
	bits := (*uint32)(unsafe.Pointer(peaks))
	if isa == AVX512 {
		tilePeaksAVX512(bits, words, size, images)
	} else {
		tilePeaksAVX2(bits, words, size, images)
	}
}

func outputTileAVX512BF16(m int, dst []uint16, dstRow, dstCol, ld int, src []float32, step, pitch int, inverse, scale, shift []float32, res []uint16, relu bool, images, i1, j1, cols int, scratch []float32) {
	tileOutputBy(AVX512BF16, m, dst, dstRow, dstCol, ld, src, step, pitch, inverse, scale, shift, res, relu, images, i1, j1, cols, scratch)
}

func outputTileAVX512(m int, dst []uint16, dstRow, dstCol, ld int, src []float32, step, pitch int, inverse, scale, shift []float32, res []uint16, relu bool, images, i1, j1, cols int, scratch []float32) {
	tileOutputBy(AVX512, m, dst, dstRow, dstCol, ld, src, step, pitch, inverse, scale, shift, res, relu, images, i1, j1, cols, scratch)
}

func outputTileAVX2(m int, dst []uint16, dstRow, dstCol, ld int, src []float32, step, pitch int, inverse, scale, shift []float32, res []uint16, relu bool, images, i1, j1, cols int, scratch []float32) {
	tileOutputBy(AVX2, m, dst, dstRow, dstCol, ld, src, step, pitch, inverse, scale, shift, res, relu, images, i1, j1, cols, scratch)
}

func outputTileFloatAVX512(m int, dst, src []float32, step int, inverse []float32, images, i1, j1 int, scratch []float32) {
	tileOutputFloatBy(AVX512, 32, m, dst, src, step, inverse, images, i1, j1, scratch)
}

func outputTileFloatAVX2(m int, dst, src []float32, step int, inverse []float32, images, i1, j1 int, scratch []float32) {
	tileOutputFloatBy(AVX2, 16, m, dst, src, step, inverse, images, i1, j1, scratch)
}

func tileOutputFloatBy(isa ISA, width, m int, dst, src []float32, step int, inverse []float32, images, i1, j1 int, scratch []float32) {
	var pixels [16]*float32
	for i := range i1 {
		for j := range j1 {
			pixels[i*m+j] = &dst[(i*j1+j)*images*width]
		}
	}
	spill := &newTileArea(scratch).spill[0]
	if isa == AVX512 {
		tileOutputFloatAVX512(m, &pixels[0], &src[0], 4*step, &inverse[0], spill, 4*width, images, i1, j1)
	} else {
		tileOutputFloatAVX2(m, &pixels[0], &src[0], 4*step, &inverse[0], spill, 4*width, images, i1, j1)
	}
}

func quantiseTileAVX512(m, point int, dst []int16, scale, u []float32, channels int) {
	quantiseTileByAVX512(tileUnsigned, m, point, dst, scale, u, channels)
}

func signedQuantiseTileAVX512(m, point int, dst []int16, scale, u []float32, channels int) {
	quantiseTileByAVX512(tileSigned, m, point, dst, scale, u, channels)
}

func quantiseTileByAVX512(l *tileLimits, m, point int, dst []int16, scale, u []float32, channels int) {
	var sum, most, by [32]float32
	tileSizesAVX512(&sum[0], &most[0], &u[0], channels)
	l.quantiseScales(m, point, scale[:32], sum[:], most[:], by[:])
	tileQuantiseAVX512(&dst[0], &u[0], &by[0], channels/2)
}

func quantiseTileAVX2(m, point int, dst []int16, scale, u []float32, channels int) {
	quantiseTileByAVX2(tileUnsigned, m, point, dst, scale, u, channels)
}

func signedQuantiseTileAVX2(m, point int, dst []int16, scale, u []float32, channels int) {
	quantiseTileByAVX2(tileSigned, m, point, dst, scale, u, channels)
}

func quantiseTileByAVX2(l *tileLimits, m, point int, dst []int16, scale, u []float32, channels int) {
	var sum, most, by [16]float32
	tileSizesAVX2(&sum[0], &most[0], &u[0], channels)
	l.quantiseScales(m, point, scale[:16], sum[:], most[:], by[:])
	tileQuantiseAVX2(&dst[0], &u[0], &by[0], channels/2)
}

func quantiseColumnsAVX512(dst []int16, scale, u []float32, rows int) {
	var squares, most, by [32]float32
	tileSquaresAVX512(&squares[0], &most[0], &u[0], rows)
	columnScales(rows, scale[:32], squares[:], most[:], by[:])
	tileQuantiseAVX512(&dst[0], &u[0], &by[0], rows/2)
}

func quantiseColumnsAVX2(dst []int16, scale, u []float32, rows int) {
	var squares, most, by [16]float32
	tileSquaresAVX2(&squares[0], &most[0], &u[0], rows)
	columnScales(rows, scale[:16], squares[:], most[:], by[:])
	tileQuantiseAVX2(&dst[0], &u[0], &by[0], rows/2)
}

// columnScales computes the scales of columns and their inverses.
func columnScales(rows int, scale, squares, most, by []float32) {
	for j := range scale {
		by[j] = columnFactor(rows, squares[j], most[j])
		scale[j] = 1 / by[j]
	}
}

// quantiseScales computes the scales of columns and what multiplies their products.
func (l *tileLimits) quantiseScales(m, point int, scale, sum, most, by []float32) {
	for j := range scale {
		by[j] = l.weight(sum[j], most[j])
		scale[j] = 1 / (by[j] * l.factors[m-2][point])
	}
}

func fetchLinesAVX512(x []uint16, rows, ld int) {
	if rows > 0 {
		tileFetchAVX512(&x[0], rows, 2*ld)
	}
}

var tilesAVX512BF16 = func() Tiles {
	t := tilesAVX512
	t.Output = outputTileAVX512BF16
	return t
}()

var tilesAVX512 = Tiles{
	Cols:        32,
	Input:       inputTileAVX512,
	Output:      outputTileAVX512,
	OutputFloat: outputTileFloatAVX512,
	Filter:      mix2AVX512,
	Quantise:    quantiseTileAVX512,

	SignedInput:    signedInputTileAVX512,
	SignedQuantise: signedQuantiseTileAVX512,

	QuantiseColumns: quantiseColumnsAVX512,

	Fetch: fetchLinesAVX512,
}

var tilesAVX2 = Tiles{
	Cols:        16,
	Input:       inputTileAVX2,
	Output:      outputTileAVX2,
	OutputFloat: outputTileFloatAVX2,
	Filter:      mix2AVX2,
	Quantise:    quantiseTileAVX2,

	SignedInput:    signedInputTileAVX2,
	SignedQuantise: signedQuantiseTileAVX2,

	QuantiseColumns: quantiseColumnsAVX2,

	Fetch: fetchLinesAVX512,
}
