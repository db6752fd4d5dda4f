package forward

import (
	"math"
	"slices"
	"testing"
)

// likelier gives every element the position that a stable sort gives it, and argmax is the
// first of them.
func TestLikelier(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		x    []float32
		want []int
	}{
		{[]float32{1, 3, 2}, []int{2, 0, 1}},
		{[]float32{2, 2, 5, 2}, []int{1, 2, 0, 3}},
		{[]float32{1, nan, 4, nan}, []int{3, 0, 2, 1}},
	} {
		var got []int
		for i := range c.x {
			got = append(got, likelier(c.x, i))
		}
		if !slices.Equal(got, c.want) || got[argmax(c.x)] != 0 {
			t.Errorf("of %v the places are %v, want %v", c.x, got, c.want)
		}
	}
}
