package optim

import (
	"cmp"
	"math"
)

// AdamW is Adam with decoupled weight decay (Loshchilov and Hutter,
// https://arxiv.org/abs/1711.05101, algorithm 2), by the formula and in the order of
// https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html:
//
//	param = param * (1 - lr*WeightDecay)
//	m = Beta1*m + (1-Beta1)*grad
//	v = Beta2*v + (1-Beta2)*grad*grad
//	param = param - lr/(1-Beta1^step) * m / (sqrt(v)/sqrt(1-Beta2^step) + Eps)
//
// Its two slots are m and v. Every product is rounded to float32 before it is added. PyTorch's
// default weight decay is 0.01; here the zero value means no decay.
type AdamW struct {
	Beta1, Beta2 float64 // 0 means 0.9 and 0.999
	Eps          float64 // 0 means 1e-8
	WeightDecay  float32 // decoupled weight decay; multiplied by the learning rate
}

// Name returns "adamw".
func (o AdamW) Name() string { return "adamw" }

// Slots returns 2: the averages of the gradient and of its square.
func (o AdamW) Slots() int { return 2 }

// Update implements Optimizer.
func (o AdamW) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	checkUpdate("AdamW", o.Slots(), param, grad, slots, step)
	beta1, beta2, eps := cmp.Or(o.Beta1, 0.9), cmp.Or(o.Beta2, 0.999), float32(cmp.Or(o.Eps, 1e-8))
	keep := float32(1 - float64(float64(lr)*float64(o.WeightDecay)))
	b1, rest1, b2, rest2 := float32(beta1), float32(1-beta1), float32(beta2), float32(1-beta2)
	size := float32(float64(lr) / (1 - math.Pow(beta1, float64(step))))
	root := float32(math.Sqrt(1 - math.Pow(beta2, float64(step))))
	m, v := slots[0][:len(grad)], slots[1][:len(grad)]
	param = param[:len(grad)]
	for i, g := range grad {
		m[i] = float32(b1*m[i]) + float32(rest1*g)
		v[i] = float32(b2*v[i]) + float32(float32(rest2*g)*g)
		param[i] = float32(param[i]*keep) - float32(size*m[i])/(float32(math.Sqrt(float64(v[i])))/root+eps)
	}
}
