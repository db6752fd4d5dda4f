package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
)

// moments holds mean and sum of squared deviations of blocks of rows, per
// channel, until they are combined.
type moments struct {
	channels int
	rows     []int
	mean, m2 memory // [block][channel]
	mu, s    []float64
}

func newMoments(blocks, channels int) *moments {
	return &moments{
		channels: channels, rows: make([]int, blocks),
		mean: alloc(blocks * channels), m2: alloc(blocks * channels),
		mu: make([]float64, channels), s: make([]float64, channels),
	}
}

func (m *moments) elements() int { return 2*len(m.mean) + 4*m.channels }

// combine writes mean and biased variance, [2, C], in the order of blocks: Chan,
// Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for
// computing sample variances", equation 2.1.
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
}

// rowBlocks divides the rows of an activation, pixels times batch, into blocks
// that fit the cache. The division depends on the shape alone.
type rowBlocks struct{ rows, channels, size, count int }

func blocksOf(v *engine.Value) rowBlocks {
	n, c, h, w := v.Dims()
	size := max(1, (1<<15)/max(c, 1))
	rows := n * h * w
	return rowBlocks{rows, c, size, (rows + size - 1) / size}
}

// at returns the first element and the number of rows of block i.
func (r rowBlocks) at(i int) (lo, rows int) {
	return i * r.size * r.channels, min(r.size, r.rows-i*r.size)
}

func (b *binder) batchNormStats(s *engine.BatchNormStats) func() {
	blocks := blocksOf(s.X)
	m := newMoments(blocks.count, blocks.channels)
	b.private += m.elements()
	x, stats, c := b.mem(s.X), b.mem(s.Stats), blocks.channels
	work := func(i int) {
		lo, rows := blocks.at(i)
		m.rows[i] = rows
		b.set.MeanM2(m.mean[i*c:(i+1)*c], m.m2[i*c:(i+1)*c], x[lo:], rows, c, c)
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
	x, y, res, relu := b.mem(s.X), b.mem(s.Y), b.mem(s.Residual), s.ReLU
	work := func(i int) {
		lo, rows := blocks.at(i)
		b.set.ScaleShift(y[lo:], x[lo:], scale, shift, from(res, lo), relu, rows, c, c)
	}
	return func() {
		prepare()
		b.pool.run(blocks.count, work)
	}
}

// sums holds per-channel sums of blocks of rows until they are added up.
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

// add returns the totals, added in the order of blocks.
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
	x, dy, mask, stats, out, eps := b.mem(s.X), b.mem(s.DY), b.mem(s.Mask), b.mem(s.Stats), b.mem(s.Out), s.Eps
	work := func(i int) {
		lo, rows := blocks.at(i)
		b.set.BNReduce(dys.block(i), dyx.block(i), dy[lo:], from(mask, lo), x[lo:], stats[:c], rows, c, c)
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
	x, dy, mask, dx, masked := b.mem(s.X), b.mem(s.DY), b.mem(s.Mask), b.mem(s.DX), b.mem(s.Masked)
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
		b.set.BNGrad(dx[lo:], from(masked, lo), part, dy[lo:], from(mask, lo), x[lo:], ka, kb, kd, rows, c, c)
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
