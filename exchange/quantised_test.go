package exchange

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// quantisedTest is a network that ONNX Runtime has quantised, as quantised_graphs.py writes it.
type quantisedTest struct {
	nodeTest
	Integers realNumbers // the output that ONNX Runtime computes in integers
	Step     float64     // the difference of two neighbouring logits
}

func quantisedGraphs(t testing.TB) (all map[string]quantisedTest) {
	t.Helper()
	b, err := os.ReadFile("testdata/quantised_graphs.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// steps returns the largest difference of two outputs, in steps.
func steps(y, want []float32, step float64) (most float64) {
	if len(y) != len(want) {
		return math.Inf(1)
	}
	for i := range want {
		if off := math.Abs(float64(y[i]-want[i])) / step; !(off <= most) {
			most = off
		}
	}
	return most
}

// Networks that ONNX Runtime has quantised give its logits within one step.
func TestQuantisedGraphs(t *testing.T) {
	for name, c := range quantisedGraphs(t) {
		if c.Output == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			net, err := Import(c.model(t, name))
			if err != nil {
				t.Fatal(err)
			}
			y := call(t, net, tensor.FromSlice(c.Images, c.Shape...))
			if off := steps(y.Data(), c.Output, c.Step); !(off <= 1.01) {
				t.Errorf("differs by %.2f steps from the graph computed in floats", off)
			}
			if off := steps(y.Data(), c.Integers, c.Step); !(off <= 1.01) {
				t.Errorf("differs by %.2f steps from the graph computed in integers", off)
			}
			t.Logf("%.3f steps", steps(y.Data(), c.Output, c.Step))
		})
	}
}

// A quantised graph of a known model becomes this model with a scheme. What a scheme cannot hold, such
// as a rounded image, stays in floating point.
func TestRecogniseQuantised(t *testing.T) {
	entry := models.Entry{Name: "one", Input: prepare.Input{Channels: 3, Height: 32, Width: 32}, Classes: 5,
		New: func(c models.Config) nn.Module { return newResnet(1, c.Channels, c.Classes) }}
	all := quantisedGraphs(t)
	layers := []string{"FC.weight", "Layer1.0.Conv1.weight", "Layer1.0.Conv2.weight", "Layer2.0.Conv1.weight", "Layer2.0.Conv2.weight", "Layer2.0.Downsample.0.weight"}
	for _, name := range []string{"basic", "weights_float", "operators"} {
		c := all[name]
		net := imported(t, c.model(t, name))
		match, found, err := recognise(net, tried(net, entry), "")
		if err != nil || found == nil {
			t.Fatalf("%s: %v, %v", name, match, err)
		}
		_, scheme := quant.Unwrap(found)
		if scheme == nil {
			t.Fatalf("%s: the model is not quantised", name)
		}
		if got := slices.Sorted(maps.Keys(scheme.Layers)); !slices.EqualFunc(got, layers, strings.EqualFold) {
			t.Errorf("%s: quantised are %q", name, got)
		}
		for at, l := range scheme.Layers {
			if sum := strings.Contains(strings.ToLower(at), "conv2") || strings.Contains(strings.ToLower(at), "downsample"); (l.Output != nil) != sum {
				t.Errorf("%s: %s has the output %v", name, at, l.Output)
			}
		}
		y := call(t, found, tensor.FromSlice(c.Images, c.Shape...)).Data()
		if off := steps(y, c.Output, c.Step); !(off <= 1) {
			t.Errorf("%s differs by %.2f steps", name, off)
		} else {
			t.Logf("%s: %.3f steps", name, off)
		}
	}
	for _, name := range []string{"unsigned", "sixteen"} { // whose layers a scheme cannot hold
		net := imported(t, all[name].model(t, name))
		if match, found, err := recognise(net, tried(net, entry), ""); err != nil || found != nil {
			t.Errorf("%s became %v, %v", name, match, err)
		}
	}
}

// as gives constants of a chain small integer types.
func (c *chain) as(types map[string]onnx.ElementType) *onnx.Model {
	m := c.model()
	m.Graph.Types = types
	return m
}

// QuantizeLinear and DequantizeLinear round as ONNX says, also with other operations between them.
func TestQuantiseForms(t *testing.T) {
	one := func(v float32) *tensor.Tensor { return tensor.FromSlice([]float32{v}, []int{}...) }
	zero := func(v int64) *tensor.Tensor { return tensor.FromInts([]int64{v}, []int{}...) }
	integer := func(x, scale float64, zero, low, high float64) float64 {
		return min(max(math.RoundToEven(x/scale)+zero, low), high)
	}
	uint8s, int8s := map[string]onnx.ElementType{"z": onnx.Uint8}, map[string]onnx.ElementType{"z": onnx.Int8, "w": onnx.Int8}
	quantized := func(s, z *tensor.Tensor) *chain {
		return newChain().with("s", s).with("z", z).then("QuantizeLinear", nil, "s", "z")
	}
	constantZero := newChain().with("s", one(0.125)).then("QuantizeLinear", nil, "s", "z0").then("DequantizeLinear", nil, "s", "z0")
	constantZero.nodes = append([]onnx.Node{{Op: "Constant", Outputs: []string{"z0"}, Attributes: []onnx.Attribute{{Name: "value", Value: zero(-100), Type: onnx.Int8}}}}, constantZero.nodes...)
	pool := attrs{"kernel_shape": []int64{1, 1}, "strides": []int64{2, 2}}
	for _, c := range []struct {
		what  string
		model *onnx.Model
		want  func(x float64, channel int) float64
		pool  bool
	}{
		{"unsigned", newChain().with("s", one(0.01)).then("QuantizeLinear", nil, "s").then("DequantizeLinear", nil, "s").model(), func(x float64, _ int) float64 {
			return integer(x, float64(float32(0.01)), 0, 0, 255) * float64(float32(0.01))
		}, false},
		{"zero point", quantized(one(0.125), zero(3)).then("DequantizeLinear", nil, "s", "z").as(uint8s), func(x float64, _ int) float64 {
			return (integer(x, 0.125, 3, 0, 255) - 3) * 0.125
		}, false},
		{"constant zero point", constantZero.model(), func(x float64, _ int) float64 { return (integer(x, 0.125, -100, -128, 127) + 100) * 0.125 }, false},
		{"scales of channels", quantized(tensor.FromSlice([]float32{0.5, 0.25, 0.001}, 3), ints(0, 0, 0)).then("DequantizeLinear", nil, "s", "z").as(int8s), func(x float64, c int) float64 {
			s := float64([]float32{0.5, 0.25, 0.001}[c])
			return integer(x, s, 0, -128, 127) * s
		}, false},
		{"pooled integers", quantized(one(0.125), zero(3)).then("MaxPool", pool).then("DequantizeLinear", nil, "s", "z").as(uint8s), func(x float64, _ int) float64 {
			return (integer(x, 0.125, 3, 0, 255) - 3) * 0.125
		}, true},
		{"other scale", quantized(one(0.125), zero(3)).with("t", one(0.5)).with("u", zero(7)).then("DequantizeLinear", nil, "t", "u").as(map[string]onnx.ElementType{"z": onnx.Uint8, "u": onnx.Uint8}), func(x float64, _ int) float64 {
			return (integer(x, 0.125, 3, 0, 255) - 7) * 0.5
		}, false},
		{"integers as numbers", quantized(one(0.125), zero(3)).then("Cast", attrs{"to": int64(onnx.Float)}).with("c", one(1.5)).then("Add", nil, "c").as(uint8s), func(x float64, _ int) float64 {
			return integer(x, 0.125, 3, 0, 255) + 1.5
		}, false},
		{"quantised constant", newChain().with("c", tensor.FromSlice([]float32{1.1, -0.3, 200}, 3, 1, 1)).with("s", one(0.25)).with("z", zero(0)).
			free("QuantizeLinear", "c", "s", "z").free("DequantizeLinear", "QuantizeLinear", "s", "z").free("Mul", "x", "DequantizeLinear'").as(int8s), func(x float64, c int) float64 {
			return x * []float64{1, -0.25, 31.75}[c]
		}, false},
	} {
		net, err := Import(c.model)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		x := floats(2, 3, 8, 8)
		for i := range x.Data() {
			x.Data()[i] *= 4
		}
		var want []float32
		for i, v := range x.Data() {
			if row, column := i/8%8, i%8; !c.pool || row%2 == 0 && column%2 == 0 {
				want = append(want, float32(c.want(float64(v), i/64%3)))
			}
		}
		near(t, c.what, call(t, net, x).Data(), want)
	}
}

// The errors of quantised graphs that are not supported say why.
func TestQuantiseRefuses(t *testing.T) {
	scale := func(v ...float32) *tensor.Tensor { return tensor.FromSlice(v, len(v)) }
	uint8s, int32s := map[string]onnx.ElementType{"z": onnx.Uint8}, map[string]onnx.ElementType{"z": onnx.Int32}
	quantized := func(a attrs, s, z *tensor.Tensor) *chain {
		return newChain().with("s", s).with("z", z).then("QuantizeLinear", a, "s", "z")
	}
	for _, c := range []struct {
		what  string
		model *onnx.Model
		want  string
	}{
		{"blocks", quantized(attrs{"block_size": int64(2)}, scale(1), ints(0)).as(uint8s), "scales for blocks within a channel are not supported; quantise by tensor or by channel"},
		{"negative scale", quantized(nil, scale(-1), ints(0)).as(uint8s), "the scale -1 is not a positive number"},
		{"no scales", quantized(nil, scale(), ints()).as(uint8s), "is not a float tensor with at least one number"},
		{"scales of too few channels", quantized(nil, scale(1, 1), ints(0, 0)).as(uint8s), "has 2 scales for 3 channels"},
		{"scales of what is not there", quantized(attrs{"axis": int64(4)}, scale(1, 1), ints(0, 0)).as(uint8s), "axis=4 does not exist in a tensor of 4 dimensions"},
		{"zero points of too few", quantized(nil, scale(1, 1, 1), ints(0)).as(uint8s), "the zero point is int64 [1] for a scale of [3]"},
		{"zero point out of range", quantized(nil, scale(1), ints(-1)).as(uint8s), "the zero point -1 is none of UINT8"},
		{"other zero points", quantized(nil, scale(1, 1, 1), ints(0, 1, 0)).as(uint8s), "its channels have different zero points, which is only supported for weights"},
		{"32 bits", quantized(nil, scale(1), ints(0)).as(int32s), "integers of type INT32 are not supported, only UINT8, INT8, UINT16 and INT16"},
		{"dynamic scale", newChain().with("z", ints(0)).free("ReduceMax", "x").free("QuantizeLinear", "x", "ReduceMax", "z").as(uint8s), "an image's result depend on the others"},
		{"dynamic", newChain().then("DynamicQuantizeLinear", nil).model(), "belongs to dynamic quantisation"},
		{"floats dequantised", newChain().with("c", scale(1)).with("s", scale(1)).free("DequantizeLinear", "c", "s").free("Add", "x", "DequantizeLinear").model(), "not an integer type"},
		{"integer operator without inputs", newChain().then("QLinearConv", nil).model(), "has 1 inputs and 1 outputs"},
	} {
		if _, err := Import(c.model); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	dynamic := quantisedGraphs(t)["dynamic"]
	if _, err := Import(dynamic.model(t, "dynamic")); err == nil || !strings.Contains(err.Error(), "(DynamicQuantizeLinear): belongs to dynamic quantisation") {
		t.Errorf("dynamic quantisation: %v", err)
	}
}
