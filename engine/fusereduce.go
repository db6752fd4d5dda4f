package engine

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
