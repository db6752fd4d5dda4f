package cpu

import (
	"math"

	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/tensor"
)

// activation is the memory of a value in its own type. Exactly one of full
// (float32), bf16 and bytes is set; all are nil where there is no value. An element q of
// bytes stands for (q - zero)*scale.
type activation struct {
	full        memory
	bf16        []uint16
	bytes       []uint8
	scale, zero float32
}

// at returns the activation from element i on.
func (a activation) at(i int) activation {
	switch {
	case a.bf16 != nil:
		a.bf16 = a.bf16[i:]
	case a.bytes != nil:
		a.bytes = a.bytes[i:]
	case a.full != nil:
		a.full = a.full[i:]
	}
	return a
}

// get and set read and write single elements as float32.
func (a activation) get(i int) float32 {
	switch {
	case a.bf16 != nil:
		return tensor.FromBFloat16(a.bf16[i])
	case a.bytes != nil:
		return (float32(a.bytes[i]) - a.zero) * a.scale
	}
	return a.full[i]
}

func (a activation) set(i int, v float32) {
	switch {
	case a.bf16 != nil:
		a.bf16[i] = tensor.ToBFloat16(v)
	case a.bytes != nil: // v is on the grid
		a.bytes[i] = uint8(int(math.RoundToEven(float64(v/a.scale))) + int(a.zero))
	default:
		a.full[i] = v
	}
}

// copy copies n elements of src, from i on, to a from element to on. It returns false if the
// types differ.
func (a activation) copy(to int, src activation, i, n int) bool {
	switch {
	case a.bf16 != nil && src.bf16 != nil:
		copy(a.bf16[to:to+n], src.bf16[i:])
	case a.bytes != nil && src.bytes != nil:
		copy(a.bytes[to:to+n], src.bytes[i:])
	case a.full != nil && src.full != nil:
		copy(a.full[to:to+n], src.full[i:])
	default:
		return false
	}
	return true
}

// read returns n elements from i on as float32: a slice of the memory itself, or,
// for bfloat16, the elements widened into buffer.
func (a activation) read(set *kernel.Set, i, n int, buffer []float32) []float32 {
	if a.bf16 == nil {
		return a.full[i : i+n]
	}
	set.BF16.Widen(buffer[:n], a.bf16[i:i+n])
	return buffer[:n]
}

// write stores x from element i on, rounded for bfloat16. It does nothing where x is
// that memory itself.
func (a activation) write(set *kernel.Set, i int, x []float32) {
	switch {
	case a.bf16 != nil:
		set.BF16.Narrow(a.bf16[i:i+len(x)], x)
	case len(x) > 0 && &a.full[i] != &x[0]:
		copy(a.full[i:], x)
	}
}

// The functions below call the kernel of batch normalisation for the type of their
// operands; kernel.Set documents them.

func meanM2(set *kernel.Set, mean, m2 []float32, x activation, rows, n, ld int) {
	if x.bf16 != nil {
		set.BF16.MeanM2(mean, m2, x.bf16, rows, n, ld)
		return
	}
	set.MeanM2(mean, m2, x.full, rows, n, ld)
}

func scaleShift(set *kernel.Set, y, x activation, scale, shift []float32, res activation, relu bool, rows, n, ld int) {
	if x.bf16 != nil {
		set.BF16.ScaleShift(y.bf16, x.bf16, scale, shift, res.bf16, relu, rows, n, ld)
		return
	}
	set.ScaleShift(y.full, x.full, scale, shift, res.full, relu, rows, n, ld)
}

func bnReduce(set *kernel.Set, sumDy, sumDyX []float32, dy, y, x, dres activation, mean []float32, rows, n, ld int) {
	if x.bf16 != nil {
		set.BF16.BNReduce(sumDy, sumDyX, dy.bf16, y.bf16, x.bf16, mean, dres.bf16, rows, n, ld)
		return
	}
	set.BNReduce(sumDy, sumDyX, dy.full, y.full, x.full, mean, dres.full, rows, n, ld)
}

func bnGrad(set *kernel.Set, dx, dres activation, sumDx []float32, dy, y, x activation, a, b, d []float32, rows, n, ld int) {
	if x.bf16 != nil {
		set.BF16.BNGrad(dx.bf16, dres.bf16, sumDx, dy.bf16, y.bf16, x.bf16, a, b, d, rows, n, ld)
		return
	}
	set.BNGrad(dx.full, dres.full, sumDx, dy.full, y.full, x.full, a, b, d, rows, n, ld)
}

func sumRows(set *kernel.Set, sum []float32, x activation, rows, n, ld int) {
	if x.bf16 != nil {
		set.BF16.SumRows(sum, x.bf16, rows, n, ld)
		return
	}
	set.SumRows(sum, x.full, rows, n, ld)
}
