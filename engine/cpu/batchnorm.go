package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// moments holds, per channel, the mean and the sum of squared differences from it for
// every part of an activation, until combine merges the parts.
type moments struct {
	channels int
	rows     []int  // of each part
	growing  bool   // a part arrives in several pieces, not in one
	mean, m2 memory // [part][channel]
	piece    memory // [part][2][channel]: mean and m2 of the latest piece, when growing
	mu, s    []float64
}

// initMoments allocates the moments of len(rows) parts. rows has the number of rows of
// each part, or zeros where growing is set.
func (b *binder) initMoments(m *moments, rows []int, growing bool) {
	n := len(rows) * m.channels
	m.rows, m.growing = rows, growing
	m.mean, m.m2 = alloc(n), alloc(n)
	m.mu, m.s = make([]float64, m.channels), make([]float64, m.channels)
	b.private += 2*n + 4*m.channels
	if growing {
		m.piece = alloc(2 * n)
		b.private += 2 * n
	}
}

// take adds a block of rows by n columns, from column lo on, to a part. A growing part
// must be filled by one task, with all columns at once. Rows of the block lie ld
// elements apart.
func (m *moments) take(set *kernel.Set, part int, block activation, ld, rows, lo, n int) {
	at := part*m.channels + lo
	mean, m2 := m.mean[at:at+n], m.m2[at:at+n]
	if !m.growing || m.rows[part] == 0 {
		meanM2(set, mean, m2, block, rows, n, ld)
	} else {
		piece := m.piece[2*part*m.channels:]
		pm, p2 := piece[:n], piece[n:2*n]
		meanM2(set, pm, p2, block, rows, n, ld)
		merge(mean, m2, m.rows[part], pm, p2, rows)
	}
	if m.growing {
		m.rows[part] += rows
	}
}

// move adds to the means of columns from lo on. The part must not be a growing one.
func (m *moments) move(part, lo int, by []float32) {
	mean := m.mean[part*m.channels+lo:]
	for c, v := range by {
		mean[c] += v
	}
}

// merge adds the moments of b rows to those of a rows by the formula that combine names.
func merge(mean, m2 []float32, a int, bMean, bM2 []float32, b int) {
	share := float32(b) / float32(a+b)
	cross := float32(a) * share
	for c, v := range bMean {
		d := v - mean[c]
		mean[c] += float32(d * share)
		m2[c] += bM2[c] + float32(float32(d*d)*cross)
	}
}

// combine merges the parts in their order and writes mean and biased variance,
// [2, C], to stats (Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise
// algorithm for computing sample variances", equation 2.1).
func (m *moments) combine(stats memory) {
	count := 0.0
	clear(m.mu)
	clear(m.s)
	for b, rows := range m.rows {
		add := float64(rows)
		total := count + add
		share, cross := add/total, count*add/total
		mean, m2 := m.mean[b*m.channels:(b+1)*m.channels], m.m2[b*m.channels:(b+1)*m.channels]
		for c := range m.channels {
			d := float64(mean[c]) - m.mu[c]
			m.mu[c] += float64(d * share)
			m.s[c] += float64(m2[c]) + float64(float64(d*d)*cross)
		}
		count = total
	}
	for c := range m.channels {
		stats[c] = float32(m.mu[c])
		stats[m.channels+c] = float32(m.s[c] / count)
	}
	if m.growing {
		clear(m.rows)
	}
}

// rowBlocks divides the rows of an activation, pixels times batch, into blocks
// that fit the cache. The division depends only on the shape.
type rowBlocks struct{ rows, channels, size, count int }

func blocksOf(v *engine.Value) rowBlocks {
	n, c, h, w := v.Dims()
	size := max(1, (1<<15)/max(c, 1))
	rows := n * h * w
	return rowBlocks{rows, c, size, ceil(rows, size)}
}

// at returns the first element and the number of rows of block i.
func (r rowBlocks) at(i int) (lo, rows int) {
	return i * r.size * r.channels, min(r.size, r.rows-i*r.size)
}

func (b *binder) batchNormStats(s *engine.BatchNormStats) func() {
	blocks := blocksOf(s.X)
	c := blocks.channels
	m := &moments{channels: c}
	sizes := make([]int, blocks.count)
	for i := range sizes {
		_, sizes[i] = blocks.at(i)
	}
	b.initMoments(m, sizes, false)
	x, stats := b.act(s.X), b.mem(s.Stats)
	work := func(i int) {
		lo, rows := blocks.at(i)
		m.take(b.set, i, x.at(lo), c, rows, 0, c)
	}
	return func() {
		b.pool.run(blocks.count, work)
		m.combine(stats)
	}
}

func (b *binder) batchNorm(s *engine.BatchNorm) func() {
	blocks := blocksOf(s.X)
	c := blocks.channels
	scale, shift := alloc(c), alloc(c)
	b.private += 2 * c
	prepare := b.affine(&s.Norm, nil, scale, shift)
	x, y, res, relu := b.act(s.X), b.act(s.Y), b.act(s.Residual), s.ReLU
	work := func(i int) {
		lo, rows := blocks.at(i)
		scaleShift(b.set, y.at(lo), x.at(lo), scale, shift, res.at(lo), relu, rows, c, c)
	}
	return func() {
		prepare()
		b.pool.run(blocks.count, work)
	}
}

// sums holds per-channel sums of blocks of rows until add totals them.
type sums struct {
	blocks, channels int
	part             memory // [block][channel]
	total            []float64
}

func (b *binder) newSums(blocks, channels int) *sums {
	b.private += blocks*channels + 2*channels
	return &sums{blocks, channels, alloc(blocks * channels), make([]float64, channels)}
}

func (s *sums) block(i int) []float32 { return s.part[i*s.channels : (i+1)*s.channels] }

// add totals the blocks in their order.
func (s *sums) add() []float64 {
	clear(s.total)
	for i := range s.blocks {
		for c, v := range s.block(i) {
			s.total[c] += float64(v)
		}
	}
	return s.total
}

func (b *binder) batchNormReduce(s *engine.BatchNormReduce) func() {
	blocks := blocksOf(s.X)
	c := blocks.channels
	dys, dyx := b.newSums(blocks.count, c), b.newSums(blocks.count, c)
	x, dy, mask := b.act(s.X), b.act(s.DY), b.act(s.Mask)
	stats, out, eps := b.mem(s.Stats), b.mem(s.Out), s.Eps
	work := func(i int) {
		lo, rows := blocks.at(i)
		bnReduce(b.set, dys.block(i), dyx.block(i), dy.at(lo), mask.at(lo), x.at(lo), stats[:c], rows, c, c)
	}
	return func() {
		b.pool.run(blocks.count, work)
		for i, v := range dyx.add() {
			out[i] = float32(v / math.Sqrt(float64(stats[c+i])+eps))
		}
		for i, v := range dys.add() {
			out[c+i] = float32(v)
		}
	}
}

// batchNormGrad applies dx = gamma/std * (g - dbeta/m - xhat*dgamma/m), written
// as a*g + b*x + d with one a, b and d for each channel (Ioffe & Szegedy 2015,
// section 3, solved for x).
func (b *binder) batchNormGrad(s *engine.BatchNormGrad) func() {
	blocks := blocksOf(s.X)
	c := blocks.channels
	ka, kb, kd := alloc(c), alloc(c), alloc(c)
	b.private += 3 * c
	x, dy, mask, dx, masked := b.act(s.X), b.act(s.DY), b.act(s.Mask), b.act(s.DX), b.act(s.Masked)
	stats, gamma, reduced := b.mem(s.Stats), b.mem(s.Gamma), b.mem(s.Reduced)
	var total *sums
	sum := b.mem(s.Sum)
	if sum != nil {
		total = b.newSums(blocks.count, c)
	}
	work := func(i int) {
		lo, rows := blocks.at(i)
		var part []float32
		if total != nil {
			part = total.block(i)
		}
		bnGrad(b.set, dx.at(lo), masked.at(lo), part, dy.at(lo), mask.at(lo), x.at(lo), ka, kb, kd, rows, c, c)
	}
	count, eps, frozen := float64(blocks.rows), s.Eps, s.Frozen
	return func() {
		for i := range c {
			inv := 1 / math.Sqrt(float64(stats[c+i])+eps)
			k := float64(gamma[i]) * inv
			ka[i], kb[i], kd[i] = float32(k), 0, 0
			if !frozen {
				slope := -k * inv * float64(reduced[i]) / count
				kb[i] = float32(slope)
				kd[i] = float32(-k*float64(reduced[c+i])/count - float64(slope*float64(stats[i])))
			}
		}
		b.pool.run(blocks.count, work)
		if total != nil {
			for i, v := range total.add() {
				sum[i] = float32(v)
			}
		}
	}
}
