package engine

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// integerAdd fuses the addition of a shortcut to a convolution of integers without a batch
// norm.
func (f *fusion) integerAdd(s Step) {
	add, ok := computeOf[graph.Add](s)
	if !ok || add.In[0] == add.In[1] {
		return
	}
	var conv *Conv
	var other *Value
	for i, v := range add.In {
		c := f.plainConv(v, add)
		if c != nil && c.Round != nil && (conv == nil || f.at[c] > f.at[conv]) {
			conv, other = c, add.In[1-i]
		}
	}
	if conv != nil && other.Layout == conv.Y.Layout {
		f.edit(conv, add)
		conv.Residual, conv.Y = other, add.Out
		f.remove(add)
	}
}

// integerReLU fuses the ReLU behind such an addition.
func (f *fusion) integerReLU(s Step) {
	relu, ok := computeOf[graph.ReLU](s)
	if !ok {
		return
	}
	c, ok := f.producer[relu.In[0]].(*Conv)
	if ok && c.Round != nil && !c.ReLU && c.Stats == nil && f.only(c.Y, relu) {
		f.edit(c, relu)
		c.ReLU, c.Y = true, relu.Out
		f.remove(relu)
	}
}

// quantizeFirst rounds before a max pooling or a change of shape instead of after it, which
// gives the same integers, so that the other step moves bytes.
func (f *fusion) quantizeFirst(s Step) {
	q, ok := s.(*Quantize)
	if !ok {
		return
	}
	move, ok := f.producer[q.X].(*Compute)
	if !ok || !f.only(q.X, q) || len(move.In) != 1 || !f.only(move.In[0], move) || move.In[0].DType == tensor.Uint8 {
		return
	}
	switch move.Op.(type) {
	case graph.MaxPool2d, graph.Reshape:
		f.edit(q, move)
		// The value between the two steps takes the place of the one before, in 8 bits.
		between := *q.X
		between.Shape, between.Layout = move.In[0].Shape, move.In[0].Layout
		between.DType, between.Scale, between.Zero = q.Y.DType, q.Y.Scale, q.Y.Zero
		q.X, q.Y, move.In, move.Out = move.In[0], &between, []*Value{&between}, q.Y
		i, j := f.at[move], f.at[q]
		f.steps[i], f.steps[j], f.at[q], f.at[move] = q, move, i, j
		f.settle()
		f.quantizeFirst(q)
	}
}

// convQuantize makes a convolution write its result in 8 bits. A convolution in floating
// point must be one of whole images in bfloat16, such as the first of a network. A shortcut
// that is added must be of 8 bits, too.
func (f *fusion) convQuantize(s Step) {
	q, ok := s.(*Quantize)
	if !ok {
		return
	}
	c, ok := f.producer[q.X].(*Conv)
	if !ok || c.Stats != nil || !f.only(q.X, q) {
		return
	}
	if c.Residual != nil && (c.Round == nil || c.Residual.DType != tensor.Uint8) {
		return
	}
	if c.Round != nil || c.Groups == 1 && c.X.DType == tensor.BFloat16 && c.Y.DType == tensor.BFloat16 {
		f.edit(c, q)
		c.Y = q.Y
		f.remove(q)
	}
}

// widenBytes inserts steps that convert values of 8 bits to floating point for the steps
// that cannot read them: additions that were not fused, and convolutions and batch norms in
// floating point to which a shortcut of 8 bits is added.
func widenBytes(steps []Step) []Step {
	wide := map[*Value]*Value{}
	var out []Step
	count := 0
	for _, s := range steps {
		for _, v := range s.Writes() {
			count = max(count, v.ID)
		}
	}
	widened := func(v *Value, as *Value) *Value {
		if v == nil || v.DType != tensor.Uint8 {
			return v
		}
		if wide[v] == nil {
			count++
			w := &Value{ID: count, Shape: v.Shape, Layout: v.Layout, DType: as.DType}
			wide[v] = w
			out = append(out, &Relayout{From: v, To: w})
		}
		return wide[v]
	}
	for _, s := range steps {
		switch s := s.(type) {
		case *Compute:
			if _, ok := s.Op.(graph.Add); ok {
				for i, v := range s.In {
					s.In[i] = widened(v, s.Out)
				}
			}
		case *BatchNorm:
			s.Residual = widened(s.Residual, s.Y)
		case *Conv:
			if s.Round == nil {
				s.Residual = widened(s.Residual, s.Y)
			}
		}
		out = append(out, s)
	}
	return out
}
