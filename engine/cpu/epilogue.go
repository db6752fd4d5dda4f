package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// epilogue is what is fused behind a convolution: scale and shift of channels,
// residual, ReLU, and the statistics of a batch norm. It is applied to pieces of the
// result while they are in the cache.
type epilogue struct {
	set          *kernel.Set
	channels     int
	y            activation
	affine       bool
	scale, shift memory
	residual     activation
	relu         bool
	stats        *moments
	least        uint8 // of a result of 8 bits
}

// apply finishes a block of rows by n columns of the result, from row and column lo on.
// Its statistics are added to the given part, to which no other task may add.
func (e *epilogue) apply(part, row, rows, lo, n int) {
	block := e.y.at(row*e.channels + lo)
	if e.affine {
		scaleShift(e.set, block, block, from(e.scale, lo), from(e.shift, lo), e.residual.at(row*e.channels+lo), e.relu, rows, n, e.channels)
	}
	if e.stats != nil {
		e.stats.take(e.set, part, block, e.channels, rows, lo, n)
	}
}

// finish does the same for a result in bfloat16: it finishes a block of float32 sums,
// rows ld elements apart, and rounds it into the result. Statistics are those of the
// sums before rounding. A fused bias only shifts their mean.
func (e *epilogue) finish(block []float32, ld, part, row, rows, lo, n int) {
	to := row*e.channels + lo
	if e.y.bytes != nil {
		e.finishBytes(block, ld, to, rows, lo, n)
		return
	}
	if e.stats != nil {
		e.stats.take(e.set, part, activation{full: block}, ld, rows, lo, n)
		if e.shift != nil {
			e.stats.move(part, lo, e.shift[lo:lo+n])
		}
	}
	e.set.BF16.Finish(e.y.bf16[to:], e.channels, block, ld, from(e.scale, lo), from(e.shift, lo), e.residual.at(to).bf16, e.relu, rows, n)
}

// epilogue returns what is fused behind a convolution, or nil where nothing is, with
// the functions to call before and after the convolution, which may be nil. The
// convolution numbers the parts of the statistics and allocates them with initMoments.
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
	if isBytes(s.Y) {
		prepare = inOrder(prepare, b.inSteps(after, s))
	} else if !after.affine && after.stats == nil {
		after = nil
	}
	return after, prepare, finish
}

// inSteps makes an epilogue give results in units of a result of 8 bits, with its zero
// point added, and returns the function that computes the factors and terms for that.
func (b *binder) inSteps(e *epilogue, s *engine.Conv) func() {
	factors, terms := e.scale, e.shift
	e.scale, e.shift, e.relu = alloc(e.channels), alloc(e.channels), false
	b.private += 2 * e.channels
	unit, zero := float64(s.Y.Scale), float64(s.Y.Zero)
	if s.ReLU {
		e.least = uint8(s.Y.Zero)
	}
	return func() {
		for c := range e.channels {
			factor, term := 1.0, 0.0
			if factors != nil {
				factor = float64(factors[c])
			}
			if terms != nil {
				term = float64(terms[c])
			}
			e.scale[c], e.shift[c] = float32(factor/unit), float32(float64(term/unit)+zero)
		}
	}
}

// finishBytes finishes a block of sums and rounds it to 8 bits.
func (e *epilogue) finishBytes(block []float32, ld, to, rows, lo, n int) {
	e.set.Int8.BytesOfFloat(e.y.bytes[to:], e.channels, block, ld, rows, n, kernel.Epilogue{Scale: e.scale[lo:], Shift: e.shift[lo:], Least: e.least})
}

// from returns m from element i on, or nil if m is nil.
func from(m memory, i int) []float32 {
	if m == nil {
		return nil
	}
	return m[i:]
}

// affine returns a function that computes the scale and shift of a batch norm with
// known statistics, and of a bias before it, such that y = x*scale + shift.
func (b *binder) affine(norm *engine.Norm, bias *engine.Value, scale, shift memory) func() {
	stats, gamma, beta, bs := b.mem(norm.Stats), b.mem(norm.Gamma), b.mem(norm.Beta), b.mem(bias)
	eps := norm.Eps
	compute := func() {
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
	if b.ofVariables(norm.Stats) && b.ofVariables(norm.Gamma) && b.ofVariables(norm.Beta) && b.ofVariables(bias) {
		return b.whenChanged(compute)
	}
	return compute
}
