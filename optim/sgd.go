package optim

// SGD is stochastic gradient descent with momentum, by the formula of
// https://pytorch.org/docs/stable/generated/torch.optim.SGD.html:
//
//	g = grad + WeightDecay*param
//	buf = g at step 1, Momentum*buf + (1-Dampening)*g after it
//	g = g + Momentum*buf with Nesterov, buf without
//	param = param - lr*g
//
// The buffer, one slot, exists only with momentum. Every product is rounded to
// float32 before it is added, so the bits are the same on every machine.
type SGD struct {
	Momentum    float32 // decay of the momentum buffer; 0 means no momentum
	Dampening   float32 // reduces the gradient's part in the momentum buffer
	WeightDecay float32 // L2 penalty, added to the gradient
	Nesterov    bool    // Nesterov momentum
}

// Name returns "sgd".
func (o SGD) Name() string { return "sgd" }

// Slots returns 1 with momentum, 0 without.
func (o SGD) Slots() int {
	if o.Momentum != 0 {
		return 1
	}
	return 0
}

// Update implements Optimizer.
func (o SGD) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	checkUpdate("SGD", o.Slots(), param, grad, slots, step)
	switch {
	case o.Momentum == 0 && o.WeightDecay == 0:
		descend(param, grad, lr)
	case o.Momentum == 0:
		for i, g := range grad {
			p := param[i]
			g += float32(o.WeightDecay * p)
			param[i] = p - float32(lr*g)
		}
	case step == 1:
		o.first(param, grad, slots[0], lr)
	default:
		o.next(param, grad, slots[0], lr)
	}
}

// descend is plain gradient descent: one product and one difference per element.
func descend(param, grad []float32, lr float32) {
	param = param[:len(grad)] // one bounds check here instead of one per element
	for i, g := range grad {
		param[i] -= float32(lr * g)
	}
}

// first sets the momentum buffer to the gradient, without dampening as in PyTorch.
func (o SGD) first(param, grad, buf []float32, lr float32) {
	decay := o.WeightDecay
	param, buf = param[:len(grad)], buf[:len(grad)]
	for i, g := range grad {
		p := param[i]
		g += float32(decay * p)
		buf[i] = g
		if o.Nesterov {
			g += float32(o.Momentum * g)
		}
		param[i] = p - float32(lr*g)
	}
}

func (o SGD) next(param, grad, buf []float32, lr float32) {
	decay, momentum, keep := o.WeightDecay, o.Momentum, 1-o.Dampening
	param, buf = param[:len(grad)], buf[:len(grad)]
	if o.Nesterov {
		for i, g := range grad {
			p := param[i]
			g += float32(decay * p)
			b := float32(momentum*buf[i]) + float32(keep*g)
			buf[i] = b
			param[i] = p - float32(lr*(g+float32(momentum*b)))
		}
		return
	}
	for i, g := range grad {
		p := param[i]
		g += float32(decay * p)
		b := float32(momentum*buf[i]) + float32(keep*g)
		buf[i] = b
		param[i] = p - float32(lr*b)
	}
}
