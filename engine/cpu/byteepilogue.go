package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// byteEpilogue is what follows the integer sums of a convolution: the scales of its
// factors, bias or batch norm, residual and ReLU, and rounding to the integers of the
// result.
type byteEpilogue struct {
	channels     int
	scale, shift memory
	residual     activation
	relu         bool
	residualStep float32 // scale of a residual of 8 bits, in units of the result
	least        uint8
	bounded      bool // results are far below 2^31 in units of the result
	prepare      func()
}

// byteEpilogue returns what is fused behind a convolution of integers. If it depends on
// variables only, prepare computes it again only when these have changed.
func (b *binder) byteEpilogue(s *engine.Conv, channels int) *byteEpilogue {
	e := &byteEpilogue{channels: channels, scale: alloc(channels), shift: alloc(channels), residual: b.act(s.Residual), relu: s.ReLU}
	b.private += 2 * channels
	unit := 1.0 // what a difference of 1 in the result stands for
	zero := 0.0
	if isBytes(s.Y) {
		unit, zero = float64(s.Y.Scale), float64(s.Y.Zero)
		if s.ReLU {
			e.least = uint8(s.Y.Zero)
		}
	}
	e.residualStep = float32(float64(e.residual.scale) / unit)
	offset := zero
	if e.residual.bytes != nil {
		offset -= float64(e.residual.zero) * float64(e.residualStep)
	}
	_, channelsIn, _, _ := s.X.Dims()
	sums := math.MaxUint8 * -math.MinInt8 * float64(s.KH*s.KW*channelsIn) // their largest magnitude
	affine, done, version := b.affineOf(s), false, uint64(0)
	fixed := b.Static && (s.Norm == nil || b.fixed.all[s.Norm.Stats])
	e.prepare = func() {
		if fixed && done && version == *b.Version {
			return
		}
		done, version = true, *b.Version
		most := 0.0 // the largest magnitude of a result
		for c := range channels {
			k, m := affine(c)
			step := float64(s.X.Scale) * float64(s.Round.Scale[min(c, len(s.Round.Scale)-1)])
			e.scale[c] = float32(k * step / unit)
			e.shift[c] = float32(float64(m/unit) + offset)
			v := sums*math.Abs(float64(e.scale[c])) + math.Abs(float64(e.shift[c]))
			most = max(most, v) // NaN stays
		}
		e.bounded = most+math.MaxUint8*math.Abs(float64(e.residualStep)) < 1<<30
	}
	return e
}

// affineOf returns a function that gives the factor and the term of a channel that bias
// and batch norm amount to.
func (b *binder) affineOf(s *engine.Conv) func(c int) (factor, term float64) {
	bias := b.mem(s.Bias)
	of := func(c int) float64 {
		if bias == nil {
			return 0
		}
		return float64(bias[c])
	}
	if s.Norm == nil {
		return func(c int) (float64, float64) { return 1, of(c) }
	}
	stats, gamma, beta, eps := b.mem(s.Norm.Stats), b.mem(s.Norm.Gamma), b.mem(s.Norm.Beta), s.Norm.Eps
	return func(c int) (float64, float64) {
		k := float64(gamma[c]) / math.Sqrt(float64(stats[len(gamma)+c])+eps)
		return k, float64(beta[c]) - float64((float64(stats[c])-of(c))*k)
	}
}

// at returns the epilogue of the results from a row and a column on.
func (e *byteEpilogue) at(row, lo int) kernel.Epilogue {
	r := e.residual.at(row*e.channels + lo)
	return kernel.Epilogue{
		Scale: e.scale[lo:], Shift: e.shift[lo:], Bytes: r.bytes, BytesScale: e.residualStep, BF16: r.bf16, Least: e.least, ReLU: e.relu, Bounded: e.bounded,
	}
}

// meanOfBytes binds the mean of all pixels of every channel. Its sums are exact.
func (b *binder) meanOfBytes(in, out *engine.Value) func() {
	n, c, h, w := in.Dims()
	x, y, columns := b.act(in), b.act(out), n*c
	pieces := ceil(columns, lanes)
	b.areas.need(lanes)
	factor, none := float64(in.Scale)/float64(h*w), int32(in.Zero*h*w)
	work := func(i, thread int) {
		area := b.areas.of(thread)
		lo := i * lanes
		size := min(lanes, columns-lo)
		sums := area.int32s()[:size]
		b.set.Int8.SumRows(sums, x.bytes[lo:], h*w, size, columns)
		for j, v := range sums {
			y.set(lo+j, float32(float64(v-none)*factor))
		}
	}
	return func() { b.pool.runOn(pieces, work) }
}
