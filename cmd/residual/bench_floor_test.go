package main

import (
	"math"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/tensor"
)

// TestStepBytes counts by hand what steps move.
func TestStepBytes(t *testing.T) {
	v := func(d tensor.DType, shape ...int) *engine.Value { return &engine.Value{DType: d, Shape: shape} }
	x, y, w := v(tensor.BFloat16, 2, 3, 8, 8), v(tensor.BFloat16, 2, 5, 8, 8), v(tensor.Float32, 5, 3, 3, 3)
	const image = 2 * 8 * 8 * 2 // bytes of a channel
	flat := v(tensor.BFloat16, 4, 3)
	same := &engine.Value{DType: tensor.BFloat16, Shape: tensor.Shape{2, 6}, Alias: flat}
	for name, c := range map[string]struct {
		step engine.Step
		want int64
	}{
		"a convolution":            {&engine.Conv{X: x, W: w, Y: y}, 3*image + 4*135 + 5*image},
		"with a residual":          {&engine.Conv{X: x, W: w, Y: y, Residual: v(tensor.BFloat16, 2, 5, 8, 8)}, 3*image + 4*135 + 2*5*image},
		"an operand that is twice": {&engine.Compute{Op: graph.Add{}, In: []*engine.Value{x, x}, Out: v(tensor.BFloat16, 2, 3, 8, 8)}, 2 * 3 * image},
		"another name":             {&engine.Compute{Op: &graph.Reshape{}, In: []*engine.Value{flat}, Out: same}, 0},
		"a copy":                   {&engine.Relayout{From: v(tensor.Float32, 7), To: v(tensor.BFloat16, 7)}, 7 * 6},
	} {
		if n := stepBytes(c.step); n != c.want {
			t.Errorf("%s moves %d bytes, not %d", name, n, c.want)
		}
	}
}

// TestFloor holds the operations of the steps to those of the graph, and the floor to the
// sum over the steps.
func TestFloor(t *testing.T) {
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	e, err := models.Lookup("cifar-resnet8")
	if err != nil {
		t.Fatal(err)
	}
	given := &peaks{GFLOPPerSecond: 1000, GBPerSecond: 10}
	for _, mode := range []string{"train", "infer"} {
		w, err := newWorkload(e, &benchFlags{mode: mode, batch: 4, device: deviceFlags{precision: "fp32"}}, dev)
		if err != nil {
			t.Fatal(err)
		}
		r := sum(w.describe(given), given)
		if want := w.flops / 1e9; math.Abs(r.GFLOPPerStep-want) > 1e-9*want {
			t.Errorf("%s: the steps have %v GFLOP, the graph %v", mode, r.GFLOPPerStep, want)
		}
		products, bytes := 1e3*r.GFLOPPerStep/1000, float64(r.BytesPerStep)/1e6/10
		if least := *r.Milliseconds; least < max(products, bytes)*(1-1e-9) || least > products+bytes {
			t.Errorf("%s: a floor of %v ms for %v of products and %v of bytes", mode, least, products, bytes)
		}
	}
}

// TestMeasuredPeaks finds rates of a device that has them.
func TestMeasuredPeaks(t *testing.T) {
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	p, err := measurePeaks(dev, engine.FP32)
	if err != nil || !p.Measured || !(p.GFLOPPerSecond > 0.1) || !(p.GBPerSecond > 0.01) || math.IsInf(p.GFLOPPerSecond+p.GBPerSecond, 0) {
		t.Errorf("%+v, %v", p, err)
	}
}
