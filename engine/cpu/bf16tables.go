package cpu

import (
	"sync"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// bf16Tables has the functions of bfloat16 numbers that programs have used, of which each is a table
// of all 65,536 of them. It gives the bits of the function itself at the time of a look-up, which for
// those with an exponential is a twentieth.
type bf16Tables struct {
	mutex sync.Mutex
	of    map[graph.Unary]*bf16Table
}

// bf16Table is a function of one number, with its derivative.
type bf16Table struct {
	values []uint16  // rounded to bfloat16
	slopes []float64 // at x, and at the rounded value there; nil until they are needed
}

// table returns the table of op.
func (t *bf16Tables) table(op graph.Unary, slopes bool) *bf16Table {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	table := t.of[op]
	if table == nil {
		if t.of == nil {
			t.of = map[graph.Unary]*bf16Table{}
		}
		table = &bf16Table{values: make([]uint16, 1<<16)}
		for i := range table.values {
			table.values[i] = tensor.ToBFloat16(float32(op.At(float64(tensor.FromBFloat16(uint16(i))))))
		}
		t.of[op] = table
	}
	if slopes && table.slopes == nil {
		table.slopes = make([]float64, 1<<16)
		for i, y := range table.values {
			table.slopes[i] = graph.UnaryGrad{Unary: op}.Slope(float64(tensor.FromBFloat16(uint16(i))), float64(tensor.FromBFloat16(y)))
		}
	}
	return table
}
