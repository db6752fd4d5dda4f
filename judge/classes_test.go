package judge_test

import (
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/judge"
)

func TestSameClasses(t *testing.T) {
	set := data.Info{Name: "shoes", Classes: []string{"boot", "sandal"}}
	for _, c := range []struct {
		classes []string
		want    string
	}{
		{[]string{"boot", "sandal"}, ""},
		{[]string{"boot"}, ""}, // Examine says that
		{[]string{"sandal", "boot"}, `m.safetensors calls class 0 "sandal", and shoes calls it "boot"; choose the data set it was trained on with Data`},
	} {
		got := ""
		if err := judge.SameClasses("m.safetensors", c.classes, set); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.classes, got, c.want)
		}
	}
}
