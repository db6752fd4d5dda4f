package engine

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Step is one operation of a compiled program. Steps run in order, each on all threads of
// the device.
type Step interface {
	// Reads lists the values that the step reads.
	Reads() []*Value
	// Writes lists the values that the step writes.
	Writes() []*Value
	// InPlace lists pairs of a read and a written value that may share memory
	// if no later step needs the read one.
	InPlace() [][2]*Value
}

// Window is the geometry of a convolution. A linear layer is a 1x1 convolution of one
// pixel.
type Window struct {
	graph.Conv2d
	KH, KW int
}

// Norm is a batch normalisation with statistics that are computed before the step.
type Norm struct {
	Stats, Gamma, Beta *Value
	Eps                float64
}

// Conv computes Y = conv(X, W). While a part of Y is still in the processor's cache, it
// adds Bias, applies Norm, adds Residual, applies ReLU, and gathers the statistics for a
// following batch norm, in this order. All but X, W and Y may be nil.
//
// With Round, X is of 8 bits with the zero point 0, and Conv multiplies its integers by those
// to which Round rounds W. Residual may then be of 8 bits, too. If Y is of 8 bits, the result
// is rounded to that.
type Conv struct {
	Window
	X, W, Bias, Y *Value
	Round         *graph.FakeQuantize
	Norm          *Norm
	Residual      *Value
	ReLU          bool
	Stats         *Value // [2, C]: mean and biased variance of Y
}

func (s *Conv) Reads() []*Value {
	r := present(s.X, s.W, s.Bias, s.Residual)
	if s.Norm != nil {
		r = append(r, s.Norm.Stats, s.Norm.Gamma, s.Norm.Beta)
	}
	return r
}
func (s *Conv) Writes() []*Value { return present(s.Y, s.Stats) }

// InPlace lists the residual of a 1x1 convolution of integers, whose sums stay in registers
// until it is added. Elsewhere Y may hold products before the residual is read.
func (s *Conv) InPlace() [][2]*Value {
	if s.Round == nil || s.KH*s.KW > 1 || s.Residual == nil || s.Residual.DType != tensor.Uint8 || s.Y.DType != tensor.Uint8 {
		return nil
	}
	return [][2]*Value{{s.Residual, s.Y}}
}

// ConvGradInput computes DX, the gradient of a convolution's input, plus Base if that is
// not nil. While a part of DX is still in the processor's cache, it does the work of
// Reduce, if that is not nil.
type ConvGradInput struct {
	Window
	W, DY, Base, DX *Value
	Reduce          *NormReduce
}

// NormReduce is the work of a [BatchNormReduce] whose gradient is computed by the same
// step: if Mask is not nil, that gradient is set to 0 where Mask is not positive; Out gets
// its sums.
type NormReduce struct {
	X, Stats, Mask, Out *Value
	Eps                 float64
}

func (s *ConvGradInput) Reads() []*Value {
	r := present(s.W, s.DY, s.Base)
	if s.Reduce != nil {
		r = append(r, present(s.Reduce.X, s.Reduce.Stats, s.Reduce.Mask)...)
	}
	return r
}
func (s *ConvGradInput) Writes() []*Value {
	if s.Reduce != nil {
		return []*Value{s.DX, s.Reduce.Out}
	}
	return []*Value{s.DX}
}
func (s *ConvGradInput) InPlace() [][2]*Value {
	if s.Base != nil {
		return [][2]*Value{{s.Base, s.DX}}
	}
	return nil
}

// ConvGradWeight computes DW, the gradient of a convolution's weight.
type ConvGradWeight struct {
	Window
	X, DY, DW *Value
}

func (s *ConvGradWeight) Reads() []*Value      { return []*Value{s.X, s.DY} }
func (s *ConvGradWeight) Writes() []*Value     { return []*Value{s.DW} }
func (s *ConvGradWeight) InPlace() [][2]*Value { return nil }

// BatchNormStats computes the mean and the biased variance of every channel of X into
// Stats [2, C].
type BatchNormStats struct{ X, Stats *Value }

func (s *BatchNormStats) Reads() []*Value      { return []*Value{s.X} }
func (s *BatchNormStats) Writes() []*Value     { return []*Value{s.Stats} }
func (s *BatchNormStats) InPlace() [][2]*Value { return nil }

// BatchNorm computes Y = normalise(X), then adds Residual if that is not nil, and applies
// ReLU if that is set.
type BatchNorm struct {
	Norm
	X, Residual, Y *Value
	ReLU           bool
}

func (s *BatchNorm) Reads() []*Value {
	return present(s.X, s.Stats, s.Gamma, s.Beta, s.Residual)
}
func (s *BatchNorm) Writes() []*Value { return []*Value{s.Y} }
func (s *BatchNorm) InPlace() [][2]*Value {
	pairs := [][2]*Value{{s.X, s.Y}}
	if s.Residual != nil {
		pairs = append(pairs, [2]*Value{s.Residual, s.Y})
	}
	return pairs
}

// BatchNormReduce computes Out [2, C]: the gradients of gamma in row 0 and of beta in
// row 1, for g, the gradient of the batch norm's output. g is DY where Mask is positive and
// 0 elsewhere; if Mask is nil, g is DY.
type BatchNormReduce struct {
	X, Stats, DY, Mask, Out *Value
	Eps                     float64
}

func (s *BatchNormReduce) Reads() []*Value      { return present(s.X, s.Stats, s.DY, s.Mask) }
func (s *BatchNormReduce) Writes() []*Value     { return []*Value{s.Out} }
func (s *BatchNormReduce) InPlace() [][2]*Value { return nil }

// BatchNormGrad computes DX, the gradient of a batch norm's input, from g (see
// BatchNormReduce). It also writes g itself to Masked, for the shortcut, and the sum of DX
// over each channel to Sum. Masked and Sum may be nil.
type BatchNormGrad struct {
	X, Stats, Gamma, Reduced, DY, Mask *Value
	DX, Masked, Sum                    *Value
	Eps                                float64
	Frozen                             bool
}

func (s *BatchNormGrad) Reads() []*Value {
	return present(s.X, s.Stats, s.Gamma, s.Reduced, s.DY, s.Mask)
}
func (s *BatchNormGrad) Writes() []*Value { return present(s.DX, s.Masked, s.Sum) }
func (s *BatchNormGrad) InPlace() [][2]*Value {
	if s.Masked != nil {
		return [][2]*Value{{s.X, s.DX}, {s.DY, s.Masked}}
	}
	return [][2]*Value{{s.DY, s.DX}, {s.X, s.DX}}
}

// Compute is any other operation of the graph.
type Compute struct {
	Op  graph.Op
	In  []*Value
	Out *Value
}

func (s *Compute) Reads() []*Value  { return s.In }
func (s *Compute) Writes() []*Value { return []*Value{s.Out} }
func (s *Compute) InPlace() [][2]*Value {
	var pairs [][2]*Value
	if _, ok := s.Op.(graph.Reshape); ok {
		if SameOrder(s.In[0], s.Out) {
			pairs = append(pairs, [2]*Value{s.In[0], s.Out})
		}
	} else if elementwise(s.Op) {
		for _, in := range s.In {
			if SameOrder(in, s.Out) {
				pairs = append(pairs, [2]*Value{in, s.Out})
			}
		}
	}
	return pairs
}

// Quantize rounds X to Y, which is of 8 bits.
type Quantize struct{ X, Y *Value }

func (s *Quantize) Reads() []*Value      { return []*Value{s.X} }
func (s *Quantize) Writes() []*Value     { return []*Value{s.Y} }
func (s *Quantize) InPlace() [][2]*Value { return nil }

// Relayout copies a value into another order of elements.
type Relayout struct{ From, To *Value }

func (s *Relayout) Reads() []*Value      { return []*Value{s.From} }
func (s *Relayout) Writes() []*Value     { return []*Value{s.To} }
func (s *Relayout) InPlace() [][2]*Value { return nil }

// Assign writes a value to a variable, after all other steps.
type Assign struct{ From, To *Value }

func (s *Assign) Reads() []*Value      { return []*Value{s.From} }
func (s *Assign) Writes() []*Value     { return []*Value{s.To} }
func (s *Assign) InPlace() [][2]*Value { return nil }

// elementwise reports whether element i of op's output depends only on element i of each
// input.
func elementwise(op graph.Op) bool {
	switch op.(type) {
	case graph.ReLU, graph.ReLUGrad, graph.Sigmoid, graph.SigmoidGrad, graph.Tanh, graph.TanhGrad,
		graph.Add, graph.Mul, graph.Scale, graph.RunningStats, graph.Unary, graph.UnaryGrad,
		graph.Binary, graph.BinaryGrad, graph.Where, graph.FakeQuantize, graph.FakeQuantizeGrad:
		return true
	}
	return false
}

func present(vs ...*Value) []*Value {
	out := vs[:0:0]
	for _, v := range vs {
		if v != nil {
			out = append(out, v)
		}
	}
	return out
}
