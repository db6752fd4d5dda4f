package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
)

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
	r := b.normReduce(s, blocks.count)
	work := func(i int) {
		_, rows := blocks.at(i)
		r.take(i, i*blocks.size, rows, 0, blocks.channels)
	}
	return func() {
		b.pool.run(blocks.count, work)
		r.finish()
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
