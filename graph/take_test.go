package graph

import (
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// Successive Takes along different axes are combined into one, except if their fills differ and
// both are used.
func TestSuccessiveTakesAreCombined(t *testing.T) {
	tr := newTrial(1)
	x := tr.fixed([]int{2, 2}, func(i int) float64 { return float64(i + 1) })
	for _, c := range []struct {
		y     *Node
		takes int
		want  []float64
	}{
		{x.Pad(0, 1, 0, 0).Pad(1, 0, 1, 0), 1, []float64{0, 0, 0, 1, 2, 0, 3, 4, 0}},
		{x.Pad(0, 1, 0, 7).Gather(0, 1, 0, 0), 1, []float64{1, 2, 7, 7, 7, 7}},
		{x.Gather(1, 1, 0).Pad(1, 1, 0, 7), 1, []float64{7, 2, 1, 7, 4, 3}},
		{x.Pad(1, 1, 0, 7).Pad(1, 1, 0, 8), 2, []float64{8, 7, 1, 2, 8, 7, 3, 4}},
		{x.Transpose(1, 0).Transpose(1, 0).Slice(0, 0, 2), 0, []float64{1, 2, 3, 4}},
		{x.Reshape(2, 1, 2).Broadcast(2, 2, 2).Slice(1, 0, 1), 1, []float64{1, 2, 3, 4}},
	} {
		want(t, c.y.String(), Reference([]*Node{c.y}, tr.feeds)[0], c.want)
		takes := 0
		for n := c.y; len(n.Inputs) > 0; n = n.Inputs[0] {
			if _, ok := n.Op.(Take); ok {
				takes++
			}
		}
		if takes != c.takes {
			t.Errorf("%v takes elements %d times, want %d", c.y, takes, c.takes)
		}
	}
}

// Wrong arguments of the methods panic with a Misuse that names the operation and what is wrong.
func TestMethodsRefuse(t *testing.T) {
	x := New(Eval).Input("x", tensor.Float32, 2, 3)
	for want, call := range map[string]func(){
		"Add: input 1 is nil":                                 func() { x.Add(nil) },
		"Where: input 0 is nil":                               func() { x.Where(nil, x) },
		"MatMul: input 1 is nil":                              func() { x.MatMul(nil) },
		"GroupNorm: input 1 is nil":                           func() { x.GroupNorm(1, nil, nil, 1e-5) },
		"Concat: input 1 is nil":                              func() { Join(0, x, nil) },
		"Concat: input 0 is nil":                              func() { Join(0, nil, x) },
		"Concat: there are no inputs":                         func() { Join(0) },
		"Gather: index 3 of dimension 1 of [2, 3] is":         func() { x.Gather(1, 0, 3) },
		"Gather: index -1 of dimension 0 of [2, 3] is":        func() { x.Gather(0, -1) },
		"Slice: 0 to 4 of dimension 1 of [2, 3], which has 3": func() { x.Slice(1, 0, 4) },
	} {
		func() {
			defer func() {
				if m := tensor.Recovered(recover()); m == nil || !strings.HasPrefix(m.Error(), want) {
					t.Errorf("%v, want %q", m, want)
				}
			}()
			call()
		}()
	}
}
