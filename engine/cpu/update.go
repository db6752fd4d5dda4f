package cpu

import (
	"math"
	"slices"
	"unsafe"

	"github.com/residual-ml/residual/engine"
)

// pieceLength is the most elements of a parameter that one task updates.
const pieceLength = 1 << 15

// part is a stretch of one parameter with its gradient and optimiser slots.
type part struct {
	param, grad []float32
	slots       [][]float32
	rate        float32
}

// parts cuts parameters into stretches of at most most elements.
func parts(pieces []engine.Piece, most int) (all []part) {
	for _, p := range pieces {
		param := p.Param.(memory)
		var grad memory
		if p.Grad != nil {
			grad = p.Grad.(memory)
		}
		for lo := 0; lo < len(param); lo += most {
			hi := min(lo+most, len(param))
			q := part{param: param[lo:hi], rate: p.Rate}
			if grad != nil {
				q.grad = grad[lo:hi]
			}
			for _, s := range p.Slots {
				q.slots = append(q.slots, s.(memory)[lo:hi])
			}
			all = append(all, q)
		}
	}
	return all
}

// BindUpdate returns a function that updates all parameters in parallel with an
// updater, a learning rate and the number of the step. Tasks update pieces of
// parameters, or entire parameters where the updater is an engine.WholeParameterUpdater that asks for it.
func (d *Device) BindUpdate(pieces []engine.Piece) func(engine.Updater, float32, int) {
	cuts, wholes := parts(pieces, pieceLength), parts(pieces, math.MaxInt)
	now := cuts
	var u engine.Updater
	var lr float32
	var step int
	work := func(i int) {
		q := &now[i]
		u.Update(q.param, q.grad, q.slots, lr*q.rate, step)
	}
	return func(updater engine.Updater, rate float32, number int) {
		u, lr, step, now = updater, rate, number, cuts
		if w, ok := updater.(engine.WholeParameterUpdater); ok && w.NeedsWholeParameter() {
			now = wholes
		}
		d.pool.run(len(now), work)
	}
}

// BindNorm returns a function that computes the L2 norm of all gradients. It adds the
// sums of squares of fixed pieces in their order, so the result does not depend on the
// number of threads.
func (d *Device) BindNorm(pieces []engine.Piece) func() float64 {
	cuts := parts(pieces, pieceLength)
	sums := make([]float64, len(cuts))
	work := func(i int) { sums[i] = squares(cuts[i].grad) }
	return func() float64 {
		d.pool.run(len(cuts), work)
		sum := 0.0
		for _, s := range sums {
			sum += s
		}
		return math.Sqrt(sum)
	}
}

// squares sums squares in float64. Four independent sums hide the latency of additions.
func squares(x []float32) float64 {
	var a, b, c, d float64
	for len(x) >= 4 {
		v0, v1, v2, v3 := float64(x[0]), float64(x[1]), float64(x[2]), float64(x[3])
		a += float64(v0 * v0)
		b += float64(v1 * v1)
		c += float64(v2 * v2)
		d += float64(v3 * v3)
		x = x[4:]
	}
	for _, v := range x {
		a += float64(float64(v) * float64(v))
	}
	return (a + b) + (c + d)
}

// BindFinite returns a function that reports whether all gradients are finite.
func (d *Device) BindFinite(pieces []engine.Piece) func() bool {
	cuts := parts(pieces, pieceLength)
	bad := make([]bool, len(cuts))
	work := func(i int) { bad[i] = !allFinite(cuts[i].grad) }
	return func() bool {
		d.pool.run(len(cuts), work)
		return !slices.Contains(bad, true)
	}
}

// allFinite adds 1 to the exponent of each number, two numbers at a time. The exponent of
// infinities and NaN is all ones, so it overflows into the sign bit. The loop has no
// branches, and its four results are independent.
func allFinite(x []float32) bool {
	const exponent, one, sign = 0x7f800000_7f800000, 0x00800000_00800000, 0x80000000_80000000
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(x))), len(x)/2)
	var a, b, c, d uint64
	for len(words) >= 4 {
		a |= words[0]&exponent + one
		b |= words[1]&exponent + one
		c |= words[2]&exponent + one
		d |= words[3]&exponent + one
		words = words[4:]
	}
	for _, w := range words {
		a |= w&exponent + one
	}
	if len(x)%2 == 1 {
		b |= uint64(math.Float32bits(x[len(x)-1]))&exponent + one
	}
	return (a|b|c|d)&sign == 0
}
