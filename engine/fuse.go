package engine

import (
	"slices"

	"github.com/residual-ml/residual/graph"
)

// fuse merges steps so that tensors pass through memory fewer times. Each rule handles
// one pattern. The idea is from Jung et al. 2018, "Restructuring Batch Normalization to
// Accelerate CNN Training".
func fuse(steps []Step, device Device) []Step {
	f := &fusion{steps: steps}
	f.reducer, _ = device.(NormReducer)
	for _, rule := range []func(Step){
		f.normAddReLU, f.normReLU, f.normAdd, f.convNorm, f.convReLU, f.convStats,
		f.integerAdd, f.integerReLU, f.quantizeFirst, f.convQuantize,
		f.maskNormGrad, f.sumNormGrad, f.sumMasked, f.addConvGrad, f.reduceConvGrad,
	} {
		f.index()
		for i := range f.steps {
			if f.steps[i] != nil {
				rule(f.steps[i])
				f.settle()
			}
		}
		f.compact()
	}
	return f.steps
}

type fusion struct {
	steps    []Step
	reducer  NormReducer // nil if the device is none
	producer map[*Value]Step
	users    map[*Value][]Step
	at       map[Step]int
	edited   []Step // by the current rule
}

// index records the writer and the readers of each value, and the position of each step.
func (f *fusion) index() {
	f.producer, f.users, f.at = map[*Value]Step{}, map[*Value][]Step{}, map[Step]int{}
	for i, s := range f.steps {
		f.at[s] = i
		f.note(s)
	}
}

// note records s as a reader and as the producer of its values. The readers of a value
// stay in the order of the steps.
func (f *fusion) note(s Step) {
	for _, v := range s.Reads() {
		users := f.users[v]
		i := len(users)
		for i > 0 && f.at[users[i-1]] > f.at[s] {
			i--
		}
		f.users[v] = slices.Insert(users, i, s)
	}
	if _, ok := s.(*Assign); ok {
		return
	}
	for _, v := range s.Writes() {
		f.producer[v] = s
	}
}

// edit removes the steps from the index. A rule must call it before it changes them.
func (f *fusion) edit(steps ...Step) {
	for _, s := range steps {
		for _, v := range s.Reads() {
			f.users[v] = slices.DeleteFunc(f.users[v], func(u Step) bool { return u == s })
		}
		for _, v := range s.Writes() {
			if f.producer[v] == s {
				delete(f.producer, v)
			}
		}
		f.edited = append(f.edited, s)
	}
}

// settle puts the steps that a rule has changed, but not removed, back into the index.
func (f *fusion) settle() {
	for _, s := range f.edited {
		if f.steps[f.at[s]] == s {
			f.note(s)
		}
	}
	f.edited = f.edited[:0]
}

func (f *fusion) compact() {
	remaining := f.steps[:0:0]
	for _, s := range f.steps {
		if s != nil {
			remaining = append(remaining, s)
		}
	}
	f.steps = remaining
}

func (f *fusion) remove(s Step) { f.steps[f.at[s]] = nil }

// only reports whether s is the sole reader of v, and v is neither an output nor a
// variable.
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

// plainNorm returns the batch norm that computes v, if s is the only reader of v and
// neither a residual nor a ReLU has been fused into the batch norm yet.
func (f *fusion) plainNorm(v *Value, s Step) *BatchNorm {
	bn, ok := f.producer[v].(*BatchNorm)
	if !ok || bn.ReLU || bn.Residual != nil || !f.only(v, s) {
		return nil
	}
	return bn
}

// normOfAdd returns the batch norm that computes one operand of an addition, and the other
// operand. If batch norms compute both operands, it chooses the later one.
func (f *fusion) normOfAdd(add *Compute) (bn *BatchNorm, other *Value) {
	for i, v := range add.In {
		if b := f.plainNorm(v, add); b != nil && add.In[0] != add.In[1] && (bn == nil || f.at[b] > f.at[bn]) {
			bn, other = b, add.In[1-i]
		}
	}
	return bn, other
}

// normAddReLU fuses relu(norm(x) + r).
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
		f.edit(bn, add, relu)
		bn.Residual, bn.ReLU, bn.Y = other, true, relu.Out
		f.remove(add)
		f.remove(relu)
	}
}

// normReLU fuses relu(norm(x)).
func (f *fusion) normReLU(s Step) {
	relu, ok := computeOf[graph.ReLU](s)
	if !ok {
		return
	}
	if bn := f.plainNorm(relu.In[0], relu); bn != nil {
		f.edit(bn, relu)
		bn.ReLU, bn.Y = true, relu.Out
		f.remove(relu)
	}
}

// normAdd fuses norm(x) + r.
func (f *fusion) normAdd(s Step) {
	add, ok := computeOf[graph.Add](s)
	if !ok {
		return
	}
	if bn, other := f.normOfAdd(add); bn != nil {
		f.edit(bn, add)
		bn.Residual, bn.Y = other, add.Out
		f.remove(add)
	}
}

// plainConv returns the convolution that computes v, if s is the only reader of v and
// nothing but a bias has been fused into the convolution yet.
func (f *fusion) plainConv(v *Value, s Step) *Conv {
	c, ok := f.producer[v].(*Conv)
	if !ok || c.Norm != nil || c.ReLU || c.Residual != nil || c.Stats != nil || !f.only(v, s) {
		return nil
	}
	return c
}

// convNorm fuses norm(conv(x)) with known statistics, as in inference.
func (f *fusion) convNorm(s Step) {
	bn, ok := s.(*BatchNorm)
	if !ok {
		return
	}
	if c := f.plainConv(bn.X, bn); c != nil {
		f.edit(c, bn)
		norm := bn.Norm
		c.Norm, c.Residual, c.ReLU, c.Y = &norm, bn.Residual, bn.ReLU, bn.Y
		f.remove(bn)
	}
}

// convReLU fuses relu(conv(x)).
func (f *fusion) convReLU(s Step) {
	relu, ok := computeOf[graph.ReLU](s)
	if !ok {
		return
	}
	if c := f.plainConv(relu.In[0], relu); c != nil {
		f.edit(c, relu)
		c.ReLU, c.Y = true, relu.Out
		f.remove(relu)
	}
}

// convStats fuses the statistics of conv(x) into the convolution, as in training.
func (f *fusion) convStats(s Step) {
	st, ok := s.(*BatchNormStats)
	if !ok {
		return
	}
	c, ok := f.producer[st.X].(*Conv)
	if !ok || c.Norm != nil || c.ReLU || c.Residual != nil || c.Stats != nil {
		return
	}
	f.edit(c, st)
	c.Stats = st.Stats
	f.remove(st)
}

// maskNormGrad fuses the gradient of a ReLU into the two passes of the batch norm's
// gradient that read it. If other steps read it as well, the second pass writes it for
// them.
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
	handOn := g.Keep || len(f.users[g]) > 2
	f.edit(relu, reduce, grad)
	reduce.DY, reduce.Mask = dy, y
	grad.DY, grad.Mask = dy, y
	if handOn {
		grad.Masked = g
	}
	f.remove(relu)
}

// sumNormGrad fuses the sum of a batch norm's input gradient, which is the gradient of a
// bias before the batch norm.
func (f *fusion) sumNormGrad(s Step) {
	sum, ok := computeOf[graph.SumChannels](s)
	if !ok {
		return
	}
	if grad, ok := f.producer[sum.In[0]].(*BatchNormGrad); ok && grad.DX == sum.In[0] && grad.Sum == nil {
		f.edit(grad, sum)
		grad.Sum = sum.Out
		f.remove(sum)
	}
}

// sumMasked replaces the sum of the masked gradient by the gradient of the batch norm's
// beta, which is the same sum.
func (f *fusion) sumMasked(s Step) {
	sum, ok := computeOf[graph.SumChannels](s)
	if !ok {
		return
	}
	if grad, ok := f.producer[sum.In[0]].(*BatchNormGrad); ok && grad.Masked == sum.In[0] {
		if reduce, ok := f.producer[grad.Reduced].(*BatchNormReduce); ok {
			f.edit(sum)
			sum.Op, sum.In = graph.Row{I: 1}, []*Value{reduce.Out}
		}
	}
}

// addConvGrad fuses the addition of the gradient that arrives along a shortcut to the
// gradient of a convolution's input.
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
		f.edit(conv, add)
		conv.Base, conv.DX = other, add.Out
		f.remove(add)
	}
}

// reduceConvGrad fuses the first pass of a batch norm's gradient into the step that computes
// the gradient of its output, where that is a gradient of a convolution's input. That step
// sets the gradient to zero where the ReLU behind the batch norm did, so the second pass
// needs neither the output of the ReLU nor to write the result for the shortcut.
func (f *fusion) reduceConvGrad(s Step) {
	reduce, ok := s.(*BatchNormReduce)
	if !ok || f.reducer == nil {
		return
	}
	conv, ok := f.producer[reduce.DY].(*ConvGradInput)
	if !ok || conv.Reduce != nil || reduce.DY.Keep || !f.reducer.ReducesNorm(conv) {
		return
	}
	var grad *BatchNormGrad
	for _, u := range f.users[reduce.DY] {
		if g, ok := u.(*BatchNormGrad); ok && g.Reduced == reduce.Out {
			grad = g
		}
	}
	if reduce.Mask != nil && (grad == nil || grad.Mask != reduce.Mask || len(f.users[reduce.DY]) != 2) {
		return // another step needs the gradient that the mask does not touch
	}
	edited := []Step{conv, reduce}
	if reduce.Mask != nil {
		edited = append(edited, grad)
	}
	f.edit(edited...)
	conv.Reduce = &NormReduce{X: reduce.X, Stats: reduce.Stats, Mask: reduce.Mask, Out: reduce.Out, Eps: reduce.Eps}
	if reduce.Mask != nil {
		if grad.Masked != nil {
			conv.DX = grad.Masked
		}
		grad.DY, grad.Mask, grad.Masked = conv.DX, nil, nil
	}
	f.remove(reduce)
}
