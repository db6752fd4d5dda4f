package engine

import "github.com/residual-ml/residual/graph"

// fuse merges steps so that tensors pass through memory fewer times. Each rule
// looks at one pattern; The idea is that of Jung et al. 2018, "Restructuring
// Batch Normalization to Accelerate CNN Training".
func fuse(steps []Step) []Step {
	f := &fusion{steps: steps}
	for _, rule := range []func(Step){
		f.normAddReLU, f.normReLU, f.normAdd, f.convNorm, f.convReLU, f.convStats,
		f.maskNormGrad, f.sumNormGrad, f.sumMasked, f.addConvGrad,
	} {
		for i := range f.steps {
			if f.steps[i] != nil {
				f.index()
				rule(f.steps[i])
			}
		}
		f.compact()
	}
	return f.steps
}

type fusion struct {
	steps    []Step
	producer map[*Value]Step
	users    map[*Value][]Step
	at       map[Step]int
}

// index notes who writes and reads each value. It runs before every rule, so it
// fills the same maps again.
func (f *fusion) index() {
	if f.users == nil {
		f.producer, f.users, f.at = map[*Value]Step{}, map[*Value][]Step{}, map[Step]int{}
	}
	clear(f.producer)
	clear(f.at)
	for v, steps := range f.users {
		f.users[v] = steps[:0]
	}
	for i, s := range f.steps {
		if s == nil {
			continue
		}
		f.at[s] = i
		for _, v := range s.Reads() {
			f.users[v] = append(f.users[v], s)
		}
		if _, ok := s.(*Assign); ok {
			continue
		}
		for _, v := range s.Writes() {
			f.producer[v] = s
		}
	}
}

func (f *fusion) compact() {
	kept := f.steps[:0:0]
	for _, s := range f.steps {
		if s != nil {
			kept = append(kept, s)
		}
	}
	f.steps = kept
}

func (f *fusion) remove(s Step) { f.steps[f.at[s]] = nil }

// only reports whether s is the sole reader of v, and v is not wanted otherwise.
func (f *fusion) only(v *Value, s Step) bool {
	return !v.Keep && v.Place == Temporary && len(f.users[v]) == 1 && f.users[v][0] == s
}

// computeOf returns s as a Compute of op type T.
func computeOf[T graph.Op](s Step) (*Compute, bool) {
	c, ok := s.(*Compute)
	if ok {
		_, ok = c.Op.(T)
	}
	return c, ok
}

// plainNorm returns the batch norm that makes v for s alone, if it has no
// residual and no ReLU yet.
func (f *fusion) plainNorm(v *Value, s Step) *BatchNorm {
	bn, ok := f.producer[v].(*BatchNorm)
	if !ok || bn.ReLU || bn.Residual != nil || !f.only(v, s) {
		return nil
	}
	return bn
}

// normOfAdd finds, for an addition, the operand made by a batch norm (the later
// one if both are) and the other operand.
func (f *fusion) normOfAdd(add *Compute) (bn *BatchNorm, other *Value) {
	for i, v := range add.In {
		if b := f.plainNorm(v, add); b != nil && add.In[0] != add.In[1] && (bn == nil || f.at[b] > f.at[bn]) {
			bn, other = b, add.In[1-i]
		}
	}
	return bn, other
}

// relu(norm(x) + r)
func (f *fusion) normAddReLU(s Step) {
	relu, ok := computeOf[graph.ReLU](s)
	if !ok {
		return
	}
	add, ok := computeOf[graph.Add](f.producer[relu.In[0]])
	if !ok || !f.only(add.Out, relu) {
		return
	}
	if bn, other := f.normOfAdd(add); bn != nil {
		bn.Residual, bn.ReLU, bn.Y = other, true, relu.Out
		f.remove(add)
		f.remove(relu)
	}
}

// relu(norm(x))
func (f *fusion) normReLU(s Step) {
	relu, ok := computeOf[graph.ReLU](s)
	if !ok {
		return
	}
	if bn := f.plainNorm(relu.In[0], relu); bn != nil {
		bn.ReLU, bn.Y = true, relu.Out
		f.remove(relu)
	}
}

// norm(x) + r
func (f *fusion) normAdd(s Step) {
	add, ok := computeOf[graph.Add](s)
	if !ok {
		return
	}
	if bn, other := f.normOfAdd(add); bn != nil {
		bn.Residual, bn.Y = other, add.Out
		f.remove(add)
	}
}

// plainConv returns the convolution that makes v for s alone, if it has nothing
// behind it yet but a bias.
func (f *fusion) plainConv(v *Value, s Step) *Conv {
	c, ok := f.producer[v].(*Conv)
	if !ok || c.Norm != nil || c.ReLU || c.Residual != nil || c.Stats != nil || !f.only(v, s) {
		return nil
	}
	return c
}

// norm(conv(x)) with known statistics: inference.
func (f *fusion) convNorm(s Step) {
	bn, ok := s.(*BatchNorm)
	if !ok {
		return
	}
	if c := f.plainConv(bn.X, bn); c != nil {
		norm := bn.Norm
		c.Norm, c.Residual, c.ReLU, c.Y = &norm, bn.Residual, bn.ReLU, bn.Y
		f.remove(bn)
	}
}

// relu(conv(x))
func (f *fusion) convReLU(s Step) {
	relu, ok := computeOf[graph.ReLU](s)
	if !ok {
		return
	}
	if c := f.plainConv(relu.In[0], relu); c != nil {
		c.ReLU, c.Y = true, relu.Out
		f.remove(relu)
	}
}

// statistics of conv(x): training.
func (f *fusion) convStats(s Step) {
	st, ok := s.(*BatchNormStats)
	if !ok {
		return
	}
	c, ok := f.producer[st.X].(*Conv)
	if !ok || c.Norm != nil || c.ReLU || c.Residual != nil || c.Stats != nil {
		return
	}
	c.Stats = st.Stats
	f.remove(st)
}

// The gradient of ReLU goes into the two passes of a batch norm's gradient that
// read it; what others need of it the second pass hands on.
func (f *fusion) maskNormGrad(s Step) {
	relu, ok := computeOf[graph.ReLUGrad](s)
	if !ok {
		return
	}
	g, dy, y := relu.Out, relu.In[0], relu.In[1]
	var grad *BatchNormGrad
	var reduce *BatchNormReduce
	for _, u := range f.users[g] {
		b, ok := u.(*BatchNormGrad)
		if !ok || b.Mask != nil || b.DY != g {
			continue
		}
		if r, ok := f.producer[b.Reduced].(*BatchNormReduce); ok && r.DY == g && r.Mask == nil {
			grad, reduce = b, r
			break
		}
	}
	if grad == nil {
		return
	}
	reduce.DY, reduce.Mask = dy, y
	grad.DY, grad.Mask = dy, y
	if g.Keep || len(f.users[g]) > 2 {
		grad.Masked = g
	}
	f.remove(relu)
}

// Sum of a batch norm's input gradient: the gradient of a bias before it.
func (f *fusion) sumNormGrad(s Step) {
	sum, ok := computeOf[graph.SumChannels](s)
	if !ok {
		return
	}
	if grad, ok := f.producer[sum.In[0]].(*BatchNormGrad); ok && grad.DX == sum.In[0] && grad.Sum == nil {
		grad.Sum = sum.Out
		f.remove(sum)
	}
}

// Sum of the masked gradient: the batch norm's beta has it already.
func (f *fusion) sumMasked(s Step) {
	sum, ok := computeOf[graph.SumChannels](s)
	if !ok {
		return
	}
	if grad, ok := f.producer[sum.In[0]].(*BatchNormGrad); ok && grad.Masked == sum.In[0] {
		if reduce, ok := f.producer[grad.Reduced].(*BatchNormReduce); ok {
			sum.Op, sum.In = graph.Row{I: 1}, []*Value{reduce.Out}
		}
	}
}

// gradient of a convolution's input + what came along the shortcut
func (f *fusion) addConvGrad(s Step) {
	add, ok := computeOf[graph.Add](s)
	if !ok || add.In[0] == add.In[1] {
		return
	}
	var conv *ConvGradInput
	var other *Value
	for i, v := range add.In {
		c, ok := f.producer[v].(*ConvGradInput)
		if ok && c.Base == nil && f.only(v, add) && (conv == nil || f.at[c] > f.at[conv]) {
			conv, other = c, add.In[1-i]
		}
	}
	if conv != nil {
		conv.Base, conv.DX = other, add.Out
		f.remove(add)
	}
}
