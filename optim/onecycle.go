package optim

import (
	"cmp"
	"math"
)

// OneCycle rises from Base/Div to Base over the first part of the training and falls to
// Base/Div/FinalDiv over the remaining part (Smith and Topin, https://arxiv.org/abs/1708.07120).
// It equals the two phases of
// https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html with Base
// as max_lr. It does not change the momentum (cycle_momentum=False).
type OneCycle struct {
	Base     float32
	Warmup   float64 // the fraction of the training in which the rate rises, above 0 and below 1; 0 means 0.3
	Div      float64 // 0 means 25
	FinalDiv float64 // 0 means 10,000
	Linear   bool    // rise and fall linearly instead of along half cosines
}

// LR implements Schedule.
func (o OneCycle) LR(step, total int) float32 {
	total = max(total, 1)
	at := float64(min(max(step, 1), total) - 1)
	top, end := float64(cmp.Or(o.Warmup, 0.3)*float64(total))-1, float64(total-1)
	high := float64(o.Base)
	first := high / cmp.Or(o.Div, 25)
	last := first / cmp.Or(o.FinalDiv, 1e4)
	switch {
	case at < top:
		return float32(o.between(first, high, at/top))
	case at == top || end <= top:
		return o.Base
	}
	return float32(o.between(high, last, (at-top)/(end-top)))
}

func (o OneCycle) between(from, to, share float64) float64 {
	if o.Linear {
		return float64((to-from)*share) + from
	}
	return to + float64((from-to)/2*(math.Cos(math.Pi*share)+1))
}
