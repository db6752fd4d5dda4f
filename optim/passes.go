package optim

// Averaged is a step of an optimiser that also moves an average of the parameter, kept in
// a slot behind the optimiser's:
//
//	mean = (1-Rest)*mean + Rest*param
//
// A parameter with an empty gradient, such as a buffer, is only averaged.
type Averaged struct {
	Scaled
	Kept int     // slots in all, the optimiser's first
	At   int     // the slot of the average
	Rest float32 // the share of the parameter that it takes in; 0: no average is kept
}

// Slots returns the optimiser's and those beside them.
func (a *Averaged) Slots() int { return a.Kept }

// Update makes one step and averages what it leaves.
func (a *Averaged) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	if len(grad) > 0 {
		a.Scaled.Update(param, grad, slots[:a.Scaled.Slots()], lr, step)
	}
	if a.Rest > 0 {
		mean, keep := slots[a.At][:len(param)], 1-a.Rest
		for i, v := range param {
			mean[i] = float32(keep*mean[i]) + float32(a.Rest*v)
		}
	}
}

// Phase is what a Sum does.
type Phase uint8

const (
	SumBegins  Phase = iota // sum = Weight*grad
	SumGrows                // sum = sum + Weight*grad
	SumReplace              // grad = Weight*sum
)

// Sum is no step but a pass that adds gradients of several batches up in a slot, and then
// puts them in the gradient's place. Parameters with an empty gradient stay as they are.
type Sum struct {
	Kept   int // slots in all
	At     int // the slot of the sum
	Weight float32
	Phase  Phase
}

// Slots returns Kept.
func (s *Sum) Slots() int { return s.Kept }

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
