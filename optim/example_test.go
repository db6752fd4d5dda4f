package optim_test

import (
	"fmt"

	"github.com/residual-ml/residual/optim"
)

// An optimiser changes parameters in place; the caller stores its state in slots. A schedule
// gives the learning rate of each step.
func Example() {
	sgd, err := optim.New("sgd", optim.Config{Momentum: 0.5})
	if err != nil {
		fmt.Println(err)
		return
	}
	schedule, err := optim.ParseSchedule("step,gamma=0.1,at=0.5", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	parameter, gradient := []float32{1}, []float32{0.25}
	slots := [][]float32{make([]float32, 1)} // sgd.Slots() with momentum
	for step := 1; step <= 2; step++ {
		sgd.Update(parameter, gradient, slots, schedule.LR(step, 10), step)
		fmt.Println(parameter[0])
	}
	fmt.Println(len(slots) == sgd.Slots(), schedule.LR(10, 10))
	// Output:
	// 0.75
	// 0.375
	// true 0.1
}
