package optim

// Averaged is an optimiser that also updates a moving average of the parameter, in a slot after
// those of the underlying optimiser:
//
//	mean = (1-AverageWeight)*mean + AverageWeight*param
//
// A variable with an empty gradient, such as a buffer, is only averaged.
type Averaged struct {
	Scaled
	TotalSlots    int     // total number of slots, of which the optimiser's are the first
	At            int     // index of the average's slot
	AverageWeight float32 // factor of the parameter in the average; 0 means no average
}

// Slots returns TotalSlots.
func (a *Averaged) Slots() int { return a.TotalSlots }

// Update makes a step of the optimiser and then updates the average.
func (a *Averaged) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	if len(grad) > 0 {
		a.Scaled.Update(param, grad, slots[:a.Scaled.Slots()], lr, step)
	}
	if a.AverageWeight > 0 {
		mean, keep := slots[a.At][:len(param)], 1-a.AverageWeight
		for i, v := range param {
			mean[i] = float32(keep*mean[i]) + float32(a.AverageWeight*v)
		}
	}
}

// Lookahead is an updater that moves slow weights, in a slot of each variable, towards the variable,
// and continues from there (Zhang et al. 2019, https://arxiv.org/abs/1907.08610, algorithm 1):
//
//	slow = (1-Weight)*slow + Weight*param
//	param = slow
//
// A Weight of 1 begins, and one of 0 goes back to the slow weights.
type Lookahead struct {
	TotalSlots int // total number of slots
	At         int // index of the slow weights' slot
	Weight     float32
}

// Slots returns TotalSlots.
func (l *Lookahead) Slots() int { return l.TotalSlots }

// Update makes the pass over one variable.
func (l *Lookahead) Update(param, _ []float32, slots [][]float32, _ float32, _ int) {
	slow := slots[l.At][:len(param)]
	switch l.Weight {
	case 0:
		copy(param, slow)
		return
	case 1:
		copy(slow, param)
		return
	}
	keep := 1 - l.Weight
	for i, v := range param {
		v = float32(keep*slow[i]) + float32(l.Weight*v)
		slow[i], param[i] = v, v
	}
}

// Phase says what a Sum does in a pass.
type Phase uint8

const (
	SumBegins  Phase = iota // sum = Weight*grad
	SumGrows                // sum = sum + Weight*grad
	SumReplace              // grad = Weight*sum
)

// Sum is an updater that accumulates the gradients of several batches in a slot, and then
// replaces the gradient by their sum. It does not change the parameters.
type Sum struct {
	TotalSlots int // total number of slots
	At         int // index of the sum's slot
	Weight     float32
	Phase      Phase
}

// Slots returns TotalSlots.
func (s *Sum) Slots() int { return s.TotalSlots }

// Update makes the pass over one parameter.
func (s *Sum) Update(_, grad []float32, slots [][]float32, _ float32, _ int) {
	if len(grad) == 0 {
		return
	}
	all := slots[s.At][:len(grad)]
	for i, g := range grad {
		switch s.Phase {
		case SumBegins:
			all[i] = g * s.Weight
		case SumGrows:
			all[i] += float32(g * s.Weight)
		case SumReplace:
			grad[i] = all[i] * s.Weight
		}
	}
}
