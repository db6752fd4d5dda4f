package engine

import (
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// broadcastOperands lets elementwise operations read what is broadcast to them in its own size,
// so that it is not repeated in memory, and reads constants as single numbers. It comes after
// all fusions, which expect operands of one shape.
func broadcastOperands(steps []Step) []Step {
	producer, readers, users := map[*Value]*Compute{}, map[*Value]int{}, map[*Value]*Value{}
	count := 0
	for _, s := range steps {
		if c, ok := s.(*Compute); ok && repeats(c) {
			producer[c.Out] = c
		}
		for _, v := range s.Reads() {
			readers[v]++
		}
		for _, v := range s.Writes() {
			count = max(count, v.ID)
		}
	}
	var out []Step
	unused := map[*Compute]bool{}
	for _, s := range steps {
		c, ok := s.(*Compute)
		if !ok || !broadcasting(c.Op) {
			out = append(out, s)
			continue
		}
		c.In = slices.Clone(c.In)
		for i, v := range c.In {
			p := producer[v]
			if p == nil {
				continue
			}
			small := users[v]
			if small == nil {
				if small = v; len(p.In) > 0 {
					small = p.In[0]
				} else {
					count++
					small = &Value{ID: count, Shape: slices.Repeat(tensor.Shape{1}, len(v.Shape)), Layout: v.Layout, DType: v.DType}
					out = append(out, &Compute{Op: &graph.Constant{Value: p.Op.(*graph.Constant).Value, Size: small.Shape}, Out: small})
				}
				users[v] = small
			}
			c.In[i] = small
			if readers[v]--; readers[v] == 0 {
				unused[p] = true
			}
		}
		out = append(out, c)
	}
	return slices.DeleteFunc(out, func(s Step) bool {
		c, ok := s.(*Compute)
		return ok && unused[c] && !c.Out.Keep
	})
}

// repeats reports whether a step only broadcasts a value, or fills memory with a constant.
func repeats(c *Compute) bool {
	switch op := c.Op.(type) {
	case graph.Take:
		in := c.In[0]
		return op.Broadcasts(in.Shape) && in.Layout == c.Out.Layout
	case *graph.Constant:
		return c.Out.Numel() > 1
	}
	return false
}

// broadcasting reports whether an elementwise operation of several inputs reads operands with
// sizes of 1 as if they were repeated, on a Broadcaster.
func broadcasting(op graph.Op) bool {
	switch op.(type) {
	case graph.Add, graph.Mul, graph.Binary, graph.BinaryGrad, graph.Where:
		return true
	}
	return false
}
