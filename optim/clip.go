package optim

// ClipFactor is what gradients whose norm together is norm are multiplied by so that
// it becomes at most limit; 1 where it is already. It is what
// https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
// multiplies by: limit/(norm+1e-6), at most 1. A norm that is no number gives one
// that is none either.
func ClipFactor(norm, limit float64) float32 {
	factor := limit / (norm + 1e-6)
	if factor > 1 {
		return 1
	}
	return float32(factor)
}

// Scaled is an optimiser that multiplies the gradient by Factor first, in place. To
// clip gradients by their global norm, read them after a run (engine.Program.Gradient),
// set Factor to the ClipFactor of their Norm and make the step with it:
//
//	s.Factor = optim.ClipFactor(optim.Norm(grads...), limit)
//	program.Step(s, lr)
type Scaled struct {
	Optimizer
	Factor float32
}

// Whole says whether the optimiser it scales for takes whole parameters.
func (s *Scaled) Whole() bool {
	w, ok := s.Optimizer.(interface{ Whole() bool })
	return ok && w.Whole()
}

// Update makes one step with Factor times the gradient.
func (s *Scaled) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	if s.Factor != 1 {
		for i := range grad {
			grad[i] *= s.Factor
		}
	}
	s.Optimizer.Update(param, grad, slots, lr, step)
}
