//go:build cuda && !windows

package loop

import (
	"context"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine/cuda"
	"github.com/residual-ml/residual/engine/cuda/emulate"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
)

// asked gives every image two numbers: whether its index is odd, and 1.
type asked struct {
	data.Dataset
	of task.Task
}

func (a asked) Unwrap() data.Dataset { return a.Dataset }
func (a asked) Index(i int) int      { return i }
func (a asked) Info() data.Info {
	info := a.Dataset.Info()
	info.Targets = task.Targets{Task: a.of, Names: []string{"odd", "one"}}
	return info
}
func (a asked) Target(i int, out []float32) error {
	out[0], out[1] = float32(i%2), 1
	return nil
}

// A GPU trains on values. For labels it lacks an operation, which it names before the first step.
func TestTasksOnCUDA(t *testing.T) {
	for _, of := range []task.Task{task.Values, task.Labels} {
		d, _ := emulate.Open(t, cuda.New)
		m := nn.Sequential{nn.Flatten{}, nn.NewLinear(28*28, 2)}
		nn.Init(m, 1, nn.XavierUniform)
		tr, err := New(d, m, asked{someImages(t, data.Train, 40), of}, asked{someImages(t, data.Test, 20), of}, Options{Batch: 10, Epochs: 3})
		if of == task.Labels {
			if err == nil || !strings.Contains(err.Error(), "no kernel for Softplus") {
				t.Error(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		totals, err := tr.Fit(context.Background(), Events{}, nil)
		if err != nil || totals.BestEpoch == 0 || !(totals.Loss < 1) {
			t.Errorf("%+v, %v", totals, err)
		}
	}
}
