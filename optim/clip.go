package optim

// ClipFactor returns the factor that limits the norm of all gradients together to limit:
// limit/(norm+1e-6), but at most 1, as in
// https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html. If norm is NaN,
// so is the factor.
func ClipFactor(norm, limit float64) float32 {
	factor := limit / (norm + 1e-6)
	if factor > 1 {
		return 1
	}
	return float32(factor)
}

// Scaled is an optimiser that first multiplies the gradient by Factor, in place. To clip
// gradients by their global norm, read them after a run (engine.Program.Gradient), set Factor
// to the ClipFactor of their Norm, and make the step with the Scaled optimiser:
//
//	s.Factor = optim.ClipFactor(optim.Norm(grads...), limit)
//	program.Step(s, lr)
type Scaled struct {
	Optimizer
	Factor float32
}

// NeedsWholeParameter reports whether the underlying optimiser needs whole parameters.
func (s *Scaled) NeedsWholeParameter() bool {
	w, ok := s.Optimizer.(interface{ NeedsWholeParameter() bool })
	return ok && w.NeedsWholeParameter()
}

// Update makes a step with Factor times the gradient.
func (s *Scaled) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	if s.Factor != 1 {
		for i := range grad {
			grad[i] *= s.Factor
		}
	}
	s.Optimizer.Update(param, grad, slots, lr, step)
}
