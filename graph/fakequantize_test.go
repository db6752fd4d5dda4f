package graph

import (
	"math"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

func TestFakeQuantizeAgainstTorch(t *testing.T) {
	cases := readTorch(t, "quantize.json")
	if len(cases) != 8 {
		t.Errorf("quantize.json has %d cases, want 8", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			op := attributes[FakeQuantize](t, c)
			againstTorch(t, c, func(in []*Node) []*Node { return []*Node{in[0].Graph.Apply(op, in...)} })
		})
	}
}

func TestFakeQuantizeOfWhatIsNotFinite(t *testing.T) {
	inf := math.Inf(1)
	y, dx := run(Uint8(0.5, 10), shapes{{5}}, []float64{nan, inf, -inf, 0, 1e30})
	want(t, "values", y, []float64{122.5, 122.5, -5, 0, 122.5})
	want(t, "gradient", dx, []float64{0, 0, 0, 1, 0})
}

// Every integer stands for a number that becomes the same integer, so quantising twice is
// quantising once.
func TestQuantisedValuesStay(t *testing.T) {
	for _, scale := range []float32{1, 0.1, 1.0 / 3, 3e-5, 777, 1e-30} {
		for _, op := range []FakeQuantize{Uint8(scale, 0), Uint8(scale, 131), Int8(scale)} {
			for q := op.Low; q <= op.High; q++ {
				if got := op.Integer(float64(float32(op.Value(q, 0))), 0); got != q {
					t.Errorf("%+v: %d became %d", op, q, got)
				}
			}
		}
	}
}

func TestFakeQuantizeMisuse(t *testing.T) {
	x := shapes{{2, 3}}
	for want, op := range map[string]FakeQuantize{
		"no scale":                  {High: 255},
		"2 scales for 3 channels":   {Scale: []float32{1, 2}, Axis: 1, High: 255},
		"no dimension 2":            {Scale: []float32{1, 2, 3}, Axis: 2, High: 255},
		"between 0 and 255":         {Scale: []float32{1}, Zero: 256, High: 255},
		"scale 0 is not a positive": {Scale: []float32{0}, High: 255},
		"scale NaN is not":          {Scale: []float32{float32(nan)}, High: 255},
	} {
		wantPanic(t, func() { op.Shape(x) }, "FakeQuantize: ", want)
	}
	wantPanic(t, func() { FakeQuantizeGrad{Uint8(1, 0)}.Shape([]tensor.Shape{{2}, {3}}) }, "FakeQuantizeGrad: ")
}
