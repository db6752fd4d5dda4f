package cpu

import (
	"math"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// A table has the bits of the function for every number in bfloat16, and so has the gradient.
func TestBF16Tables(t *testing.T) {
	x, dy, y := make([]float32, 1<<16), make([]float32, 1<<16), make([]float32, 1<<16)
	for i := range x {
		x[i], dy[i] = tensor.FromBFloat16(uint16(i)), tensor.FromBFloat16(uint16(i*40503))
	}
	same := func(what graph.Op, i int, got, want float32) {
		t.Helper()
		if got, want := tensor.ToBFloat16(got), tensor.ToBFloat16(want); got != want && !(math.IsNaN(float64(tensor.FromBFloat16(got))) && math.IsNaN(float64(tensor.FromBFloat16(want)))) {
			t.Fatalf("%s: %#04x of %v by table, %#04x without", what.Name(), got, x[i], want)
		}
	}
	var tables bf16Tables
	out := make([]float32, 1<<16)
	for _, op := range []graph.Unary{{Function: graph.GELU}, {Function: graph.SiLU, A: 1}, {Function: graph.ELU, A: 0.5, B: 1}, {Function: graph.Exp}, {Function: graph.Sqrt}} {
		table := tables.table(op, false)
		functions(op)(out, [][]float32{x})
		for i, v := range out {
			same(op, i, tensor.FromBFloat16(table.values[i]), v)
			y[i] = tensor.FromBFloat16(tensor.ToBFloat16(v))
		}
		gradient := graph.UnaryGrad{Unary: op}
		if tables.table(op, true) != table {
			t.Fatal("a second table of the same function")
		}
		functions(gradient)(out, [][]float32{dy, x, y})
		for i, v := range out {
			same(gradient, i, float32(float64(dy[i])*table.slopes[i]), v)
		}
	}
}
