//go:build cuda

package cuda

import (
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
	"github.com/residual-ml/residual/graph"
)

// momentRows is MOMENT_ROWS of the kernels, momentSets how many sets of them there are.
const momentRows = 32

func momentSets(rows int) int { return (rows + momentRows - 1) / momentRows }

// running is the kernels' Running.
type running struct {
	from, to [2]driver.Pointer
	unbiased [2]float64
	momentum float64

	held
}

func (r *running) pointer() (unsafe.Pointer, int) {
	return unsafe.Pointer(r), int(unsafe.Offsetof(r.held))
}

// running takes the steps over which move running statistics by the value stats and come
// right after the step at hand.
func (b *binder) running(stats *engine.Value) *running {
	r := &running{}
	for _, s := range b.Steps[b.index+1:] {
		c, ok := s.(*engine.Compute)
		if !ok {
			break
		}
		op, ok := c.Op.(graph.RunningStats)
		if !ok || c.In[1] != stats || r.to[op.Row] != 0 || r.momentum != 0 && r.momentum != op.Momentum {
			break
		}
		r.momentum, r.unbiased[op.Row] = op.Momentum, unbiased(op)
		r.from[op.Row], r.to[op.Row] = r.at(b.at(c.In[0])), r.at(b.at(b.moved(c)))
		b.done[s] = true
	}
	return r
}

// unbiased is by what a row is multiplied before running statistics take it.
func unbiased(op graph.RunningStats) float64 {
	if op.Row == 1 {
		return float64(op.Count) / float64(op.Count-1)
	}
	return 1
}

// moved is where s, which moves running statistics, puts them.
func (b *binder) moved(s *engine.Compute) *engine.Value {
	if to := b.becomes(s); to != nil {
		return to
	}
	return s.Out
}

// moments puts the moments m that a convolution has left of its rows together to statistics;
// off is where scratch is free.
func (b *binder) moments(m *buffer, off, rows, channels int, stats *engine.Value) {
	const atOnce, each = 1024, 128 // 32 threads take each channel's
	columns, none := (channels+7)/8, (*buffer)(nil)
	sets, size, wide := momentSets(rows), momentRows, false
	if sets > atOnce {
		parts := (sets + each - 1) / each
		out := b.borrow(roundUp(off, alignment/4), 2*2*parts*channels) // float64
		b.launch("merge_moments", grid{columns, parts, 1, blockSize}, m, wide, sets, size, rows, channels, each, out, none, &running{})
		m, sets, size, wide = out, parts, size*each, true
	}
	b.launch("merge_moments", grid{columns, 1, 1, blockSize}, m, wide, sets, size, rows, channels, sets, none, b.at(stats), b.running(stats))
}
