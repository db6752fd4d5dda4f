//go:build !noasm

package kernel

import (
	"sync"

	"golang.org/x/sys/cpu"
)

// setAMX returns the table of AMX, or nil. It differs from AVX512BF16 only in
// products. The operating system is asked for tiles when the table is first used,
// not at the start of every program that has this package: the permission is for
// the entire process and makes every signal frame larger.
var setAMX = sync.OnceValue(func() *Set {
	if sets[AVX512BF16] == nil || !cpu.X86.HasAMXTile || !cpu.X86.HasAMXBF16 || !permitTiles() {
		return nil
	}
	s := *sets[AVX512BF16]
	s.ISA = AMX
	h := &s.BF16
	h.Native, h.Unit = true, "AMX TDPBF16PS"
	h.Rows, h.Cols, h.Depth = 2*tileRows, 2*tileCols, tileDepth
	h.Dot, h.Fetches, h.DotFetch, h.PeakDot = dotAMX, false, dotFetchAMX, peakDotAMX
	h.DotRound, h.DotRows, h.DotStats, h.DotReduce = nil, nil, nil, nil
	return &s
})

// A tile of c has 16 x 16 elements, a tile of a 16 rows of 32, and a tile of b 16
// rows of 16 pairs.
const (
	tileRows  = 16
	tileCols  = 16
	tileDepth = 32
)

// A tileConfig is the operand of LDTILECFG: palette 1, then from byte 16 the
// bytes of a row of every tile, 16 bits each, and from byte 48 their rows, 8
// bits each.
type tileConfig [8]uint64

// A tileDot has the arguments of a call of dotTiles, which overwrites them.
type tileDot struct {
	c                *float32
	a, b             *uint16
	segs             *Seg
	nsegs            int
	cStride, aStride int // bytes between rows
	nparts           int
	parts            [4]tilePart
}

// A tilePart is a part of a product that needs one configuration of the tiles: some
// blocks of 32 rows, or one smaller block, and in every segment some steps of 32
// terms, or one smaller step.
type tilePart struct {
	config  tileConfig
	c, a, b int // offsets at which it begins, in bytes
	blocks  int
	steps   int
	add     int // 1 if the part is added to c
	tiles   int // bit set of the tiles of a block besides its first
}

// The bits of tilePart.tiles.
const (
	tileSecondCol = 1
	tileSecondRow = 2
)

// dotTiles computes the parts of a product in order. Assembly is not preempted, so
// the goroutine stays on one thread; tiles belong to the thread.
//
//go:noescape
func dotTiles(p *tileDot)

//go:noescape
func peakTiles(config *tileConfig, iterations int)

// dotAMX is Dot. The terms of k beyond a multiple of 32 need tiles of another shape.
// Loading another configuration clears all tiles, so these terms of all segments are
// added to c after the others.
func dotAMX(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool) {
	if k <= 0 || len(segs) == 0 {
		gemmNothing(c, crs, rows, cols, accumulate)
		return
	}
	p := tileDot{c: &c[0], a: &a[0], b: &b[0], segs: &segs[0], nsegs: len(segs), cStride: 4 * crs, aStride: 2 * ars}
	if steps := k / tileDepth; steps > 0 {
		p.add(0, tileDepth, steps, rows, cols, accumulate)
		accumulate = true
	}
	if left := k % tileDepth; left > 0 {
		p.add(k-left, left, 1, rows, cols, accumulate)
	}
	dotTiles(&p)
}

// dotFetchAMX is dotAMX; it leaves prefetching to the processor.
func dotFetchAMX(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool, _ []uint16, _ int) {
	dotAMX(c, crs, a, ars, b, segs, k, rows, cols, accumulate)
}

// add appends the parts for steps of that many terms each, beginning with term k.
func (p *tileDot) add(k, terms, steps, rows, cols int, accumulate bool) {
	const block = 2 * tileRows
	part := tilePart{a: 2 * k, b: 2 * k * 2 * tileCols, steps: steps}
	if accumulate {
		part.add = 1
	}
	if cols > tileCols {
		part.tiles = tileSecondCol
	}
	if fullBlocks := rows / block; fullBlocks > 0 {
		full := part
		full.blocks, full.tiles = fullBlocks, part.tiles|tileSecondRow
		full.config.set(block, cols, terms)
		p.parts[p.nparts] = full
		p.nparts++
	}
	if left := rows % block; left > 0 {
		first := rows - left
		part.c, part.a = first*p.cStride, part.a+first*p.aStride
		if part.blocks = 1; left > tileRows {
			part.tiles |= tileSecondRow
		}
		part.config.set(left, cols, terms)
		p.parts[p.nparts] = part
		p.nparts++
	}
}

// set configures the tiles of dotTiles for a block of rows x cols and steps of that
// many terms. Tiles that the block does not have stay unconfigured.
func (t *tileConfig) set(rows, cols, terms int) {
	r0, c0, a, b := min(rows, tileRows), 4*min(cols, tileCols), 2*terms, terms/2
	r1, c1 := rows-r0, 4*cols-c0
	*t = tileConfig{1} // the palette
	for n, s := range [8]struct{ rows, bytes int }{{r0, c0}, {r0, c1}, {r1, c0}, {r1, c1}, {r0, a}, {r1, a}, {b, c0}, {b, c1}} {
		if s.rows > 0 && s.bytes > 0 {
			t[2+n/4] |= uint64(s.bytes) << (16 * (n % 4))
			t[6] |= uint64(s.rows) << (8 * n)
		}
	}
}

// peakDotAMX multiplies tiles of zeros, which take as long as any others.
func peakDotAMX(iterations int) float64 {
	var config tileConfig
	config.set(2*tileRows, 2*tileCols, tileDepth)
	peakTiles(&config, max(iterations, 1))
	return float64(max(iterations, 1)) * 6 * 2 * tileRows * tileCols * tileDepth
}
