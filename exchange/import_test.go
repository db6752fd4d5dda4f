package exchange

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// call runs a module in evaluation mode.
func call(t *testing.T, m nn.Module, x *tensor.Tensor) *tensor.Tensor {
	t.Helper()
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	y, err := engine.Call(dev, graph.Eval, m.Forward, x)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// near fails unless y differs from want by at most 1e-4 of want's largest number.
func near(t *testing.T, what string, y, want []float32) {
	t.Helper()
	if len(y) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(y), len(want))
	}
	most, worst := 0.0, 0.0
	for i := range want {
		most = max(most, math.Abs(float64(want[i])))
		worst = max(worst, math.Abs(float64(y[i]-want[i])))
	}
	if !(worst <= 1e-4*most) {
		t.Errorf("%s: differs by %g, where the largest number is %g", what, worst, most)
	}
}

// fixture is the description of a network that torch_export.py wrote.
type fixture struct {
	Shape  []int
	Images []float32 // in 64ths
	Output [][]float32
	State  map[string]float64 // sums of the network's tensors
}

func load(t *testing.T, name string) (*onnx.Model, fixture, *tensor.Tensor, []float32) {
	t.Helper()
	m, err := onnx.Open("testdata/" + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var f fixture
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	for i := range f.Images {
		f.Images[i] /= 64
	}
	var want []float32
	for _, row := range f.Output {
		want = append(want, row...)
	}
	return m, f, tensor.FromSlice(f.Images, f.Shape...), want
}

var fixtures = []string{"folded", "unfolded", "bottleneck", "view", "dynamo", "unoptimised"}

func TestImportGivesPyTorchsLogits(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			m, _, x, want := load(t, name)
			net, err := Import(m)
			if err != nil {
				t.Fatal(err)
			}
			if net.Classes != 5 || net.Input.Channels != 3 || net.Input.Height != 32 || net.Input.Width != 32 || net.Input.Bytes {
				t.Errorf("%d classes, input %+v", net.Classes, net.Input)
			}
			if net.Softmax != (name == "view") {
				t.Errorf("softmax at the end: %v", net.Softmax)
			}
			net.Probabilities = true
			y := call(t, net, x)
			near(t, "output", y.Data(), want)
			// one image at a time, whatever the batch size of the export
			one := tensor.FromSlice(x.Data()[:3*32*32], 1, 3, 32, 32)
			near(t, "one image", call(t, net, one).Data(), y.Data()[:5])
		})
	}
}

// A graph with a fixed batch takes any batch, also if it builds shapes from constants, as
// PyTorch's newer exporter does without its optimiser.
func TestImportOfAFixedBatch(t *testing.T) {
	c := newChain().then("GlobalAveragePool", nil)
	pooled := c.nodes[0].Outputs[0]
	c.with("two", tensor.FromInts([]int64{2}, 1)).with("three", tensor.FromInts([]int64{3}, 1)).free("Concat", "two", "three")
	c.nodes[1].Attributes = []onnx.Attribute{{Name: "axis", Value: int64(0)}}
	m := c.free("Reshape", pooled, c.nodes[1].Outputs[0]).model()
	m.Graph.Inputs[0].Shape[0] = onnx.Dim{Size: 2}
	net, err := Import(m)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		if y := call(t, net, unit(n+1, 3, 8, 8)); !y.Shape().Equal(tensor.Shape{n + 1, 3}) {
			t.Errorf("of %d images it makes %v", n+1, y.Shape())
		}
	}
}

// If batch norms are not folded, the parameters of a graph have PyTorch's names and values.
func TestImportedNamesArePyTorchs(t *testing.T) {
	for _, name := range []string{"unfolded", "bottleneck"} {
		m, f, _, _ := load(t, name)
		net, err := Import(m)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, p := range nn.Named(net) {
			want, ok := f.State[p.Name]
			if !ok {
				t.Errorf("%s: no parameter %s in PyTorch", name, p.Name)
				continue
			}
			seen++
			sum := 0.0
			for _, v := range p.Value.Data() {
				sum += float64(v)
			}
			if math.Abs(sum-want) > 1e-6*max(1, math.Abs(want)) {
				t.Errorf("%s: %s sums up to %v, want %v", name, p.Name, sum, want)
			}
		}
		if seen != len(f.State) {
			t.Errorf("%s: %d of %d parameters", name, seen, len(f.State))
		}
	}
	m, _, _, _ := load(t, "folded")
	net, err := Import(m)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range nn.Named(net) {
		names = append(names, p.Name)
	}
	const want = "conv1.weight conv1.bias fc.weight fc.bias layer1.0.conv1.weight layer1.0.conv1.bias layer1.0.conv2.weight layer1.0.conv2.bias " +
		"layer2.0.conv1.weight layer2.0.conv1.bias layer2.0.conv2.weight layer2.0.conv2.bias layer2.0.downsample.0.weight layer2.0.downsample.0.bias"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("folded: names are\n%s, want\n%s", got, want)
	}
}

// A note tells which of the weights and their averages in one file were taken.
func TestNoteNamesStateDict(t *testing.T) {
	for file, want := range map[string]string{
		"wrapped-model_ema-2.15.pth": "that under model_ema is taken, not model;", "wrapped-state_dict-2.15.pth": "",
	} {
		w, err := ReadWeightsAt("../weights/pth/testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(w.dictNote, want) || want == "" && w.dictNote != "" {
			t.Errorf("%s: %q, want %q in it", file, w.dictNote, want)
		}
	}
}
