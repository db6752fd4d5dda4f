package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// epilogue is what follows a convolution: scale and shift of channels, residual,
// ReLU, and the statistics of a batch norm. It is applied to pieces of the result
// while they are in the cache.
type epilogue struct {
	set          *kernel.Set
	channels     int
	y            activation
	affine       bool
	scale, shift memory
	residual     activation
	relu         bool
	stats        *moments
}

// apply finishes some columns of some rows. Statistics go to a part that no other
// task adds to.
func (e *epilogue) apply(part, row, rows, lo, n int) {
	block := e.y.at(row*e.channels + lo)
	if e.affine {
		scaleShift(e.set, block, block, from(e.scale, lo), from(e.shift, lo), e.residual.at(row*e.channels+lo), e.relu, rows, n, e.channels)
	}
	if e.stats != nil {
		e.stats.take(e.set, part, block, e.channels, rows, lo, n)
	}
}

// finish does the same to a block of products, rows ld elements apart, on its
// way to a result in bfloat16. Statistics are those of the sums before they are
// rounded; of what fusion puts before them, a bias moves only their mean.
func (e *epilogue) finish(block []float32, ld, part, row, rows, lo, n int) {
	to := row*e.channels + lo
	if e.stats != nil {
		e.stats.take(e.set, part, activation{full: block}, ld, rows, lo, n)
		if e.shift != nil {
			e.stats.move(part, lo, e.shift[lo:lo+n])
		}
	}
	e.set.BF16.Finish(e.y.bf16[to:], e.channels, block, ld, from(e.scale, lo), from(e.shift, lo), e.residual.at(to).bf16, e.relu, rows, n)
}

// epilogue returns what is fused behind a convolution, nil where there is
// nothing, and what has to be done before and after the convolution. The
// convolution must call parts of the statistics by their number.
func (b *binder) epilogue(s *engine.Conv, channels int) (after *epilogue, prepare, finish func()) {
	after = &epilogue{
		set: b.set, channels: channels, y: b.act(s.Y), residual: b.act(s.Residual), relu: s.ReLU,
		affine: s.Bias != nil || s.Norm != nil || s.Residual != nil || s.ReLU,
	}
	if s.Bias != nil {
		after.shift = b.mem(s.Bias)
	}
	if s.Norm != nil {
		after.scale, after.shift = alloc(channels), alloc(channels)
		b.private += 2 * channels
		prepare = b.affine(s.Norm, s.Bias, after.scale, after.shift)
	}
	if s.Stats != nil {
		after.stats = &moments{channels: channels}
		stats := b.mem(s.Stats)
		finish = func() { after.stats.combine(stats) }
	}
	if !after.affine && after.stats == nil {
		after = nil
	}
	return after, prepare, finish
}

// from returns m from element i on; nil stays nil.
func from(m memory, i int) []float32 {
	if m == nil {
		return nil
	}
	return m[i:]
}

// affine returns a function that turns a batch norm with known statistics, and
// a bias before it, into scale and shift: y = x*scale + shift.
func (b *binder) affine(norm *engine.Norm, bias *engine.Value, scale, shift memory) func() {
	stats, gamma, beta, bs := b.mem(norm.Stats), b.mem(norm.Gamma), b.mem(norm.Beta), b.mem(bias)
	eps := norm.Eps
	return func() {
		c := len(scale)
		for i := range c {
			k := float64(gamma[i]) / math.Sqrt(float64(stats[c+i])+eps)
			m := float64(stats[i])
			if bs != nil {
				m -= float64(bs[i])
			}
			scale[i] = float32(k)
			shift[i] = float32(float64(beta[i]) - float64(m*k))
		}
	}
}
