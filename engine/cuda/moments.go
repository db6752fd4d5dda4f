//go:build cuda

package cuda

import (
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
	"github.com/residual-ml/residual/graph"
)

// momentRows is MOMENT_ROWS of the kernels: the rows of one set of moments. momentSets
// returns the number of sets.
const momentRows = 32

func momentSets(rows int) int { return (rows + momentRows - 1) / momentRows }

// running is struct Running of the kernels.
type running struct {
	from, to [2]driver.Pointer
	unbiased [2]float64
	momentum float64

	references
}

func (r *running) pointer() (unsafe.Pointer, int) {
	return unsafe.Pointer(r), int(unsafe.Offsetof(r.references))
}

// running takes over the steps right after the current one that update running statistics
// from stats: the kernel that computes stats will do their work.
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

// unbiased returns the factor that makes a row of statistics unbiased before it is added
// to running statistics.
func unbiased(op graph.RunningStats) float64 {
	if op.Row == 1 {
		return float64(op.Count) / float64(op.Count-1)
	}
	return 1
}

// moved returns the value to which s, an update of running statistics, writes.
func (b *binder) moved(s *engine.Compute) *engine.Value {
	if to := b.becomes(s); to != nil {
		return to
	}
	return s.Out
}

// moments merges m, the moments of the rows of a convolution's result, into statistics.
// Scratch is free from word off on.
func (b *binder) moments(m *buffer, off, rows, channels int, stats *engine.Value) {
	const atOnce, each = 1024, 128 // 32 threads merge the sets of a channel
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
