package task_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/task"
)

func TestParse(t *testing.T) {
	for word, want := range map[string]task.Task{"": task.Classes, "classes": task.Classes, "labels": task.Labels, "values": task.Values, "masks": task.Masks} {
		if got, err := task.Parse(word); got != want || err != nil {
			t.Errorf("%q is %q, %v", word, got, err)
		}
	}
	if _, err := task.Parse("boxes"); err == nil || !strings.Contains(err.Error(), `unknown task "boxes"; choose one of: classes, labels, values, masks`) {
		t.Error(err)
	}
}

func TestTargets(t *testing.T) {
	v := task.Targets{Task: task.Values, Names: []string{"age", "weight"}, Mean: []float64{40, 0.5}, Std: []float64{10, 0.25}}
	if got := v.Unit(1, v.Standard(1, 2)); got != 2 {
		t.Errorf("2 becomes %v", got)
	}
	if got := v.Standard(0, 55); got != 1.5 {
		t.Errorf("55 is %v stds above the mean", got)
	}
	for _, c := range []struct {
		targets task.Targets
		shape   []int
	}{
		{v, []int{2}},
		{task.Targets{Task: task.Labels, Names: []string{"a", "b", "c"}}, []int{3}},
		{task.Targets{Task: task.Masks}, []int{1, 5, 7}},
		{task.Targets{Task: task.Masks, Names: []string{"sky", "road"}}, []int{5, 7}},
		{task.Targets{Task: task.Values, Shape: []int{4, 2}}, []int{4, 2}},
	} {
		if got := c.targets.Sized(5, 7); !slices.Equal(got, c.shape) || c.targets.Check() != nil {
			t.Errorf("%+v has the shape %v, want %v (%v)", c.targets, got, c.shape, c.targets.Check())
		}
	}
}

func TestCheck(t *testing.T) {
	for want, c := range map[string]task.Targets{
		"unknown task": {Task: "boxes"}, "have no names": {Task: task.Labels}, "unlike the others": {Task: task.Values, Names: []string{"a", "a"}},
		"1 means and 0 stds":                     {Task: task.Values, Names: []string{"a"}, Mean: []float64{1}},
		`value "a" has the mean 1 and the std 0`: {Task: task.Values, Names: []string{"a"}, Mean: []float64{1}, Std: []float64{0}},
		"the std NaN":                            {Task: task.Values, Names: []string{"a"}, Mean: []float64{1}, Std: []float64{math.NaN()}},
		"leave it out":                           {Task: task.Labels, Names: []string{"a"}, Shape: []int{2}},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}
