package cpu

import "github.com/residual-ml/residual/graph"

// functions returns the function of an elementwise operation of one or two numbers. It
// computes in float64 and rounds, except for those of quick and for subtraction and
// division, which round the same in float32.
func functions(op graph.Op) func(out []float32, in [][]float32) {
	switch op := op.(type) {
	case graph.Unary:
		if f := quick(op); f != nil {
			return f
		}
		return func(out []float32, in [][]float32) {
			for i, x := range in[0] {
				out[i] = float32(op.At(float64(x)))
			}
		}
	case graph.UnaryGrad:
		return func(out []float32, in [][]float32) {
			dy, y := in[0], in[2]
			for i, x := range in[1] {
				out[i] = float32(float64(dy[i]) * op.Slope(float64(x), float64(y[i])))
			}
		}
	case graph.Binary:
		return binary(op)
	case graph.BinaryGrad:
		return func(out []float32, in [][]float32) {
			dy, b := in[0], in[2]
			for i, a := range in[1] {
				out[i] = float32(float64(dy[i]) * op.Slope(float64(a), float64(b[i])))
			}
		}
	case graph.Where:
		return func(out []float32, in [][]float32) {
			a, b := in[1], in[2]
			for i, c := range in[0] {
				if c != 0 {
					out[i] = a[i]
				} else {
					out[i] = b[i]
				}
			}
		}
	}
	return nil
}

// quick returns a faster function with the same result as the one in float64, or nil
// if there is none.
func quick(op graph.Unary) func(out []float32, in [][]float32) {
	a, b := float32(op.A), float32(op.B)
	switch op.Function {
	case graph.Clamp:
		if float64(a) != op.A || float64(b) != op.B {
			return nil
		}
		return func(out []float32, in [][]float32) {
			for i, x := range in[0] {
				if x < a {
					x = a
				}
				if x > b {
					x = b
				}
				out[i] = x
			}
		}
	case graph.LeakyReLU:
		return func(out []float32, in [][]float32) {
			for i, x := range in[0] {
				if x < 0 {
					x = float32(op.A * float64(x))
				}
				out[i] = x
			}
		}
	case graph.Hardswish:
		return func(out []float32, in [][]float32) {
			for i, x := range in[0] {
				gate := float64(x)/6 + 0.5
				if gate < 0 {
					gate = 0
				}
				if gate > 1 {
					gate = 1
				}
				out[i] = float32(float64(x) * gate)
			}
		}
	}
	return nil
}

func binary(op graph.Binary) func(out []float32, in [][]float32) {
	switch op.Pairing {
	case graph.Sub:
		return func(out []float32, in [][]float32) {
			b := in[1]
			for i, a := range in[0] {
				out[i] = a - b[i]
			}
		}
	case graph.Div:
		return func(out []float32, in [][]float32) {
			b := in[1]
			for i, a := range in[0] {
				out[i] = a / b[i]
			}
		}
	}
	return func(out []float32, in [][]float32) {
		b := in[1]
		for i, a := range in[0] {
			out[i] = float32(op.At(float64(a), float64(b[i])))
		}
	}
}
