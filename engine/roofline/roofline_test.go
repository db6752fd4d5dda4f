package roofline

import (
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

func device(t *testing.T) *cpu.Device {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dev.Close)
	return dev
}

// TestBytesOfSteps compares the bytes of steps with a count by hand.
func TestBytesOfSteps(t *testing.T) {
	v := func(d tensor.DType, shape ...int) *engine.Value { return &engine.Value{DType: d, Shape: shape} }
	x, y, w := v(tensor.BFloat16, 2, 3, 8, 8), v(tensor.BFloat16, 2, 5, 8, 8), v(tensor.Float32, 5, 3, 3, 3)
	const channel = 2 * 8 * 8 * 2 // bytes of a channel of both images
	flat := v(tensor.BFloat16, 4, 3)
	same := &engine.Value{DType: tensor.BFloat16, Shape: tensor.Shape{2, 6}, Alias: flat}
	for name, c := range map[string]struct {
		step engine.Step
		want int64
	}{
		"a convolution":                 {&engine.Conv{X: x, W: w, Y: y}, 3*channel + 4*135 + 5*channel},
		"a convolution with a residual": {&engine.Conv{X: x, W: w, Y: y, Residual: v(tensor.BFloat16, 2, 5, 8, 8)}, 3*channel + 4*135 + 2*5*channel},
		"an operand that stands twice":  {&engine.Compute{Op: graph.Add{}, In: []*engine.Value{x, x}, Out: v(tensor.BFloat16, 2, 3, 8, 8)}, 2 * 3 * channel},
		"a view":                        {&engine.Compute{Op: graph.Reshape{}, In: []*engine.Value{flat}, Out: same}, 0},
		"a copy":                        {&engine.Relayout{From: v(tensor.Float32, 7), To: v(tensor.BFloat16, 7)}, 7 * 6},
	} {
		if n := bytesOf(c.step); n != c.want {
			t.Errorf("%s moves %d bytes, not %d", name, n, c.want)
		}
	}
}

// TestConvolutionIsDescribed compares a grouped convolution with a stride with a count by hand.
func TestConvolutionIsDescribed(t *testing.T) {
	x, y, w := &engine.Value{Shape: tensor.Shape{2, 8, 9, 9}}, &engine.Value{Shape: tensor.Shape{2, 6, 5, 5}}, &engine.Value{Shape: tensor.Shape{6, 4, 3, 3}}
	d := describe(&engine.Conv{X: x, Y: y, W: w, Window: engine.Window{Conv2d: graph.Conv2d{StrideH: 2, StrideW: 2, Groups: 2}, KH: 3, KW: 3}})
	if d.Kind != "Conv" || d.What != "[2, 8, 9, 9] to [2, 6, 5, 5], 3x3 stride 2 in 2 groups" {
		t.Errorf("%q: %q", d.Kind, d.What)
	}
	// Every one of 2*6*5*5 results is a sum of 4*3*3 products.
	if want := 2e-9 * 2 * 6 * 5 * 5 * 4 * 3 * 3; math.Abs(d.GFLOP-want) > 1e-12*want {
		t.Errorf("%v GFLOP, not %v", d.GFLOP, want)
	}
}

// TestFloor checks that the floor is the slower of arithmetic and memory.
func TestFloor(t *testing.T) {
	p := &Peaks{GFLOPPerSecond: 1000, GBPerSecond: 10}
	if got := p.Floor(2, 1e6); math.Abs(got-2) > 1e-12 {
		t.Errorf("2 GFLOP and 1 MB take %v ms, not 2", got)
	}
	if got := p.Floor(2, 50e6); math.Abs(got-5) > 1e-12 {
		t.Errorf("2 GFLOP and 50 MB take %v ms, not 5", got)
	}
}

// TestStepsAndGraphAgree compares the arithmetic of a compiled inference with that of its graph.
func TestStepsAndGraphAgree(t *testing.T) {
	e, err := models.Lookup("cifar-resnet8")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{})
	nn.Init(m, 1, nn.XavierUniform)
	g := graph.New(graph.Eval)
	x := g.Input("x", tensor.Float32, 4, 3, 32, 32)
	y := m.Forward(x)
	p, err := engine.Compile(g, engine.NewStore(device(t)), engine.Spec{Outputs: []*graph.Node{y}})
	if err != nil {
		t.Fatal(err)
	}
	work := Sum(Describe(p.Steps(), nil), nil)
	if want := FLOPs(g, false) / 1e9; math.Abs(work.GFLOPPerStep-want) > 1e-9*want {
		t.Errorf("the steps have %v GFLOP, the graph %v", work.GFLOPPerStep, want)
	}
	if work.Milliseconds != nil || work.Peaks != nil {
		t.Errorf("there is a floor without peaks: %+v", work)
	}
}

func TestByKind(t *testing.T) {
	peaks := &Peaks{GFLOPPerSecond: 1, GBPerSecond: 1}
	kinds := ByKind([]Step{{Kind: "A", Milliseconds: 1, Bytes: 5}, {Kind: "B", Milliseconds: 6, GFLOP: 2, Floor: 3}, {Kind: "A", Milliseconds: 1, Bytes: 6}})
	want := []Kind{{Kind: "B", Steps: 1, Milliseconds: 6, Share: 0.75, GFLOP: 2, Floor: 3}, {Kind: "A", Steps: 2, Milliseconds: 2, Share: 0.25, Bytes: 11}}
	if !slices.Equal(kinds, want) {
		t.Errorf("got %+v, want %+v", kinds, want)
	}
	// If nothing was timed, the floor decides, and no share is 0/0.
	kinds = ByKind(WithFloors([]Step{{Kind: "A", Bytes: 1e9}, Update(1e9)}, peaks))
	if kinds[0].Kind != "Update" || kinds[0].Floor != 12e3 || kinds[0].Share != 0 || kinds[1].Floor != 1e3 {
		t.Errorf("got %+v", kinds)
	}
}

// TestMeasure measures the rates of the CPU.
func TestMeasure(t *testing.T) {
	dev := device(t)
	p, err := Measure(dev, engine.FP32)
	if err != nil || !p.Measured || !(p.GFLOPPerSecond > 0.1) || !(p.GBPerSecond > 0.01) || math.IsInf(p.GFLOPPerSecond+p.GBPerSecond, 0) {
		t.Errorf("%+v, %v", p, err)
	}
	if peak := CPUPeak(dev, engine.FP32); !(peak > 0.1) || math.IsInf(peak, 0) {
		t.Errorf("the processor multiplies %v GFLOP/s", peak)
	}
	if peak := CPUPeak(struct{ engine.Device }{dev}, engine.FP32); peak != 0 {
		t.Errorf("what is no CPU has a peak of %v", peak)
	}
}
