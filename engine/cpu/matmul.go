package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
)

// matMulRows is how many rows of a matrix one task computes.
const matMulRows = 64

// matMul binds products of row-major matrices. A task computes some rows of one matrix, panel by
// panel of columns.
func (b *binder) matMul(s *engine.Compute) func() {
	op, r := graph.MatMul{}, len(s.Out.Shape)
	rows, columns, inner := s.Out.Shape[r-2], s.Out.Shape[r-1], s.In[0].Shape[len(s.In[0].Shape)-1]
	ofX, ofW := op.Matrices(s.In[0].Shape, s.Out.Shape), op.Matrices(s.In[1].Shape, s.Out.Shape)
	x, w, y := b.mem(s.In[0]), b.mem(s.In[1]), b.mem(s.Out)
	if inner == 0 {
		return b.blocks(len(y), func(lo, hi int) { clear(y[lo:hi]) })
	}
	cols, pieces := b.set.Cols, ceil(rows, matMulRows)
	segs := []kernel.Seg{{}}
	if columns%cols != 0 {
		b.areas.need(inner * cols)
	}
	work := func(i, thread int) {
		matrix, from := i/pieces, i%pieces*matMulRows
		count := min(matMulRows, rows-from)
		left := x[(ofX[matrix]*rows+from)*inner:]
		right := w[ofW[matrix]*inner*columns:]
		to := y[(matrix*rows+from)*columns:]
		for lo := 0; lo+cols <= columns; lo += cols {
			b.set.Gemm(to[lo:], columns, left, inner, 1, right[lo:], columns, segs, inner, count, cols, false)
		}
		if n := columns % cols; n != 0 { // a panel of its own, which ends in zeros
			area := b.areas.of(thread)
			lo := columns - n
			b.set.Pack(area, right[lo:], inner, n, columns, cols)
			b.set.Gemm(to[lo:], columns, left, inner, 1, area, cols, segs, inner, count, n, false)
		}
	}
	return func() { b.pool.runOn(len(ofX)*pieces, work) }
}
