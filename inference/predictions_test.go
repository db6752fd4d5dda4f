package inference

import (
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
)

func TestAtLeast(t *testing.T) {
	found := []Prediction{{"a", 0, 0.7}, {"b", 1, 0.2}, {"c", 2, 0.1}}
	for threshold, want := range map[float64]int{0: 3, 0.1: 3, 0.15: 2, 0.2: 2, 0.7: 1, 0.71: 0, 1: 0} {
		if got := AtLeast(found, threshold); len(got) != want {
			t.Errorf("at least %v: %v", threshold, got)
		}
	}
	if got := AtLeast(nil, 0.5); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}

func TestCheckClasses(t *testing.T) {
	c := &Classifier{path: "m", info: checkpoint.Model{Classes: []string{"a", "b"}}}
	for _, classes := range [][]string{{"a", "b"}, {"a"}} {
		if err := c.CheckClasses(data.Info{Name: "d", Classes: classes}); err != nil {
			t.Error(err)
		}
	}
	want := `m calls class 1 "b", and d calls it "c"; choose the data set it was trained on with Data`
	if err := c.CheckClasses(data.Info{Name: "d", Classes: []string{"a", "c"}}); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
