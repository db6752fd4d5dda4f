package exchange

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

type attrs map[string]any

// chain is a graph on images [N, 3, 8, 8] in which each node takes the output of the one
// before it, and constants. "x" is the input and "y" the output of the last node.
type chain struct {
	opset  int64
	nodes  []onnx.Node
	consts map[string]*tensor.Tensor
}

func newChain() *chain { return &chain{opset: 17, consts: map[string]*tensor.Tensor{}} }

// then adds a node that takes the last output and the constants named in.
func (c *chain) then(op string, a attrs, in ...string) *chain {
	last := "x"
	if n := len(c.nodes); n > 0 {
		last = c.nodes[n-1].Outputs[0]
	}
	node := onnx.Node{Name: "the-" + op, Op: op, Inputs: append([]string{last}, in...), Outputs: []string{op + strings.Repeat("'", len(c.nodes))}}
	for name, v := range a {
		node.Attributes = append(node.Attributes, onnx.Attribute{Name: name, Value: v})
	}
	c.nodes = append(c.nodes, node)
	return c
}

// free adds a node that takes the named values.
func (c *chain) free(op string, in ...string) *chain {
	c.nodes = append(c.nodes, onnx.Node{Name: "the-" + op, Op: op, Inputs: in, Outputs: []string{op + strings.Repeat("'", len(c.nodes))}})
	return c
}

func (c *chain) with(name string, t *tensor.Tensor) *chain {
	c.consts[name] = t
	return c
}

func (c *chain) model() *onnx.Model {
	m := &onnx.Model{IRVersion: 8, Opset: c.opset}
	g := &m.Graph
	g.Nodes = c.nodes
	g.Inputs = []onnx.Value{{Name: "x", Type: onnx.Float, Shape: []onnx.Dim{{Name: "N"}, {Size: 3}, {Size: 8}, {Size: 8}}}}
	g.Outputs = []onnx.Value{{Name: c.nodes[len(c.nodes)-1].Outputs[0], Type: onnx.Float}}
	for name, t := range c.consts {
		g.Initialisers = append(g.Initialisers, tensor.Named{Name: name, Tensor: t})
	}
	return m
}

func ints(v ...int64) *tensor.Tensor { return tensor.FromInts(v, len(v)) }

func floats(shape ...int) *tensor.Tensor {
	t := tensor.New(shape...)
	nn.NewSource(5, "floats").Uniform(t, 1)
	return t
}

// The error of what is not supported names the node and says why.
func TestImportRefuses(t *testing.T) {
	w, flat := floats(2, 3, 3, 3), attrs{}
	conv := func(a attrs) *chain { return newChain().with("w", w).then("Conv", a, "w").then("Flatten", flat) }
	for _, c := range []struct {
		what  string
		graph *chain
		want  string
	}{
		{"operation", newChain().then("TopK", nil), `node "the-TopK" (TopK): the operation is not supported, only Abs, Acos`},
		{"auto_pad", conv(attrs{"auto_pad": "SAME"}), "auto_pad=SAME is not known"},
		{"negative pads", conv(attrs{"pads": []int64{-1, 0, -1, 0}}), "a size is from 0"},
		{"huge pads", conv(attrs{"pads": []int64{1 << 40, 0, 1 << 40, 0}}), "a size is from 0"},
		{"wide pads", newChain().then("MaxPool", attrs{"kernel_shape": []int64{3, 3}, "pads": []int64{3, 0, 3, 0}}), "wider than the window reaches"},
		{"one-dimensional", conv(attrs{"strides": []int64{1}}), "only two-dimensional"},
		{"stride 0", conv(attrs{"strides": []int64{0, 1}}), "a size is from 1"},
		{"groups", conv(attrs{"group": int64(2)}), "has 3 channels, needs 6"},
		{"groups of nothing", conv(attrs{"group": int64(0)}), "group=0"},
		{"huge groups", conv(attrs{"group": int64(1 << 62)}), "group=4611686018427387904"},
		{"kernel shape", conv(attrs{"kernel_shape": []int64{5, 5}}), "kernel_shape=[5 5] for a weight of 3x3"},
		{"unknown attribute", conv(attrs{"future": int64(1)}), `attribute "future" is not known`},
		{"kind of attribute", conv(attrs{"group": float32(1)}), "attribute group has another type"},
		{"kernel larger than the image", newChain().with("w", floats(2, 3, 9, 9)).then("Conv", nil, "w").then("Flatten", nil), "does not fit the padded image"},
		{"weight without pixels", newChain().with("w", floats(2, 3)).then("Conv", nil, "w"), "float tensor of 4 dimensions"},
		{"integer weight", newChain().with("w", tensor.FromInts(make([]int64, 54), 2, 3, 3, 3)).then("Conv", nil, "w"), "is int64"},
		{"computed weight", newChain().then("Conv", nil, "x"), `input "x" is computed, but must be constant`},
		{"no weight", newChain().then("Conv", nil), "has no input 1"},
		{"bias", newChain().with("w", w).with("b", floats(3)).then("Conv", nil, "w", "b"), "bias of 3 numbers for 2 channels"},
		{"batch norm in training", newChain().with("c", floats(3)).then("BatchNormalization", attrs{"training_mode": int64(1)}, "c", "c", "c", "c"), "training_mode=1 is not supported, only 0; export the network in evaluation mode"},
		{"negative epsilon", newChain().with("c", floats(3)).then("BatchNormalization", attrs{"epsilon": float32(-1)}, "c", "c", "c", "c"), "epsilon=-1"},
		{"NaN epsilon", newChain().with("c", floats(3)).then("BatchNormalization", attrs{"epsilon": float32(math.NaN())}, "c", "c", "c", "c"), "epsilon=NaN"},
		{"huge padding", newChain().with("p", ints(0, 0, 0, 0, 0, 1<<40, 0, 0)).then("Pad", nil, "p"), "a size is from -16384 to 16384"},
		{"padding of what is left of an image", newChain().with("p", ints(0, 0, -9, 0, 0, 0, 0, 0)).then("Pad", nil, "p"), "asks for a tensor of"},
		{"padding of an unknown kind", newChain().with("p", ints(0, 0, 0, 0, 0, 1, 0, 0)).then("Pad", attrs{"mode": "mirror"}, "p"), "mode=mirror is not known"},
		{"padding by too few", newChain().with("p", ints(0, 0)).then("Pad", nil, "p"), "pads=[0 0] for 4 dimensions"},
		{"pool without a window", newChain().then("MaxPool", nil).then("Flatten", nil), "has no kernel_shape"},
		{"mean of no channels", newChain().with("a", ints(4)).then("ReduceMean", nil, "a"), "axis 4 does not exist in a tensor of 4 dimensions"},
		{"mean of channels twice", newChain().with("a", ints(1, -3)).then("ReduceMean", nil, "a"), "repeat an axis"},
		{"Gemm of images", newChain().with("w", floats(4, 4)).then("Gemm", nil, "w"), "its input has 4 dimensions"},
		{"Gemm too narrow", newChain().with("w", floats(5, 4)).then("Flatten", nil).then("Gemm", nil, "w"), "needs [N, 5]"},
		{"pixels that differ", newChain().with("c", floats(8, 7)).then("Add", nil, "c"), "cannot be broadcast"},
		{"channels that differ", newChain().with("c", floats(5, 1, 1)).then("Add", nil, "c").then("Flatten", nil), "5 numbers for 3 channels"},
		{"Flatten of the batch", newChain().then("Flatten", attrs{"axis": int64(0)}), "it mixes the images of a batch"},
		{"Flatten of nothing", newChain().then("Flatten", attrs{"axis": int64(5)}), "axis=5 does not exist"},
		{"Reshape by floats", newChain().with("s", floats(2)).then("Reshape", nil, "s"), "not a short list of integers"},
		{"Reshape to more", newChain().with("s", ints(0, 1000)).then("Reshape", nil, "s"), "cannot become"},
		{"Reshape to a negative", newChain().with("s", ints(0, -7)).then("Reshape", nil, "s"), "cannot become"},
		{"Reshape to a product that wraps", newChain().with("s", ints(192, 192, 192, 192, 192, 192, 192, 192)).then("Reshape", nil, "s"), "cannot become"},
		{"Softmax of nothing", newChain().then("Softmax", attrs{"axis": int64(4)}), "axis=4 does not exist"},
		{"Transpose", newChain().then("Relu", nil).then("Transpose", attrs{"perm": []int64{0, 3, 1, 1}}), "is not a permutation of its dimensions"},
		{"Slice without a step", newChain().with("a", ints(0)).then("Slice", nil, "a", "a", "a", "a"), "a step of 0"},
		{"Slice by two lists", newChain().with("a", ints(0)).with("b", ints(0, 1)).then("Slice", nil, "a", "b"), "1 starts, 2 ends"},
		{"Gather of what is not there", newChain().with("i", ints(0, 8)).then("Gather", attrs{"axis": int64(2)}, "i"), "index 8 is outside of a dimension of size 8"},
		{"Split into too much", newChain().with("s", ints(2, 2)).then("Split", attrs{"axis": int64(1)}, "s"), "parts of [2 2]"},
		{"Concat of others", newChain().with("c", floats(1, 3, 8, 7)).then("Concat", attrs{"axis": int64(1)}, "c"), "shapes differ outside dimension 1"},
		{"Squeeze of pixels", newChain().with("a", ints(2)).then("Squeeze", nil, "a"), "which is not 1"},
		{"Unsqueeze without end", newChain().with("a", ints(0, 1, 2, 3, 4)).then("Unsqueeze", nil, "a"), "can have at most 8"},
		{"Tile without end", newChain().with("t", ints(1, 1, 1<<40, 1)).then("Tile", nil, "t"), "repetitions of dimension 2"},
		{"Tile to too much", newChain().with("t", ints(1, 1, 1<<20, 1<<20)).then("Tile", nil, "t"), "asks for a tensor"},
		{"Resize without end", newChain().with("s", floats(4).Fill(1e30)).then("Resize", nil, "", "s"), "asks for a tensor"},
		{"Resize to nothing", newChain().with("s", ints(1, 3, 0, 8)).then("Resize", nil, "", "", "s"), "resizing dimension 2 of [1, 3, 8, 8] to 0"},
		{"ConstantOfShape of all", newChain().with("s", ints(1<<31, 1<<31)).free("ConstantOfShape", "s"), "asks for a tensor"},
		{"ConstantOfShape of less than nothing", newChain().with("s", ints(-1)).free("ConstantOfShape", "s"), "asks for a tensor"},
		{"constants again and again", newChain().with("s", ints(1<<26)).free("ConstantOfShape", "s").free("ConstantOfShape", "s").free("ConstantOfShape", "s"), "asks for a tensor"},
		{"division by zero", newChain().with("a", ints(1)).with("b", ints(0)).free("Div", "a", "b"), "divides integers by zero"},
		{"LRN of too many", newChain().then("LRN", attrs{"size": int64(513)}), "size=513"},
		{"Clip by many", newChain().with("c", floats(2)).then("Clip", nil, "c"), "a bound has 2 numbers"},
		{"ConvTranspose without end", newChain().with("w", w).then("ConvTranspose", attrs{"strides": []int64{513, 1}}, "w"), "a size is from 1"},
		{"no input at all", newChain().free("Exp"), "has no input 0"},
		{"an input that is left out", newChain().free("LayerNormalization", "x", "").then("Flatten", nil), "has no input 1"},
		{"padding of a pooling that is not agreed on", newChain().then("AveragePool", attrs{"kernel_shape": []int64{1, 1}, "strides": []int64{4, 4}, "auto_pad": "SAME_UPPER"}), "ONNX and its runtimes differ there"},
		{"blocks of channels that are not there", newChain().with("d", ints(0)).then("DepthToSpace", attrs{"blocksize": int64(2)}), "blocksize=2 does not suit"},
		{"output of all images together", newChain().then("ReduceSum", attrs{"keepdims": int64(0)}), "the output is [] for one image"},
		{"old operators", &chain{opset: 6, nodes: newChain().then("Relu", nil).nodes}, "uses version 6 of ONNX's operators"},
		{"Expand of the images", newChain().with("s", ints(2)).then("Expand", nil, "s"), "[1, 3, 8, 8] and [2] cannot be broadcast"},
		{"Expand to too much", newChain().with("one", floats(1)).with("s", ints(1<<30, 1<<30, 1<<30)).free("Expand", "one", "s"), "asks for a tensor"},
		{"Reshape of a constant", newChain().with("w", floats(4)).with("s", ints(2, 3)).free("Reshape", "w", "s"), "cannot become"},
		{"Relu of a constant's shape", newChain().with("w", floats(4)).free("Shape", "w").then("Relu", nil), "does not depend on the input"},
		{"the images as a shape", newChain().then("Reshape", nil, "x"), "is computed from the images"},
		{"Dropout at work", newChain().with("r", floats()).with("t", tensor.FromInts([]int64{1}, []int{}...)).then("Dropout", nil, "r", "t"), "is in training mode"},
	} {
		_, err := Import(c.graph.model())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q, got %v", c.what, c.want, err)
		}
	}
}

func TestImportRefusesOtherInputs(t *testing.T) {
	for want, change := range map[string]func(*onnx.Model){
		"takes 0 inputs":                      func(m *onnx.Model) { m.Graph.Inputs = nil },
		"takes 2 inputs (x, z)":               func(m *onnx.Model) { m.Graph.Inputs = append(m.Graph.Inputs, onnx.Value{Name: "z", Type: onnx.Float}) },
		"elements of type INT64":              func(m *onnx.Model) { m.Graph.Inputs[0].Type = onnx.Int64 },
		"has 2 dimensions":                    func(m *onnx.Model) { m.Graph.Inputs[0].Shape = m.Graph.Inputs[0].Shape[:2] },
		"a side of 100000":                    func(m *onnx.Model) { m.Graph.Inputs[0].Shape[2].Size = 100_000 },
		"does not say how many channels":      func(m *onnx.Model) { m.Graph.Inputs[0].Shape[1].Size = 0 },
		"has 2 outputs":                       func(m *onnx.Model) { m.Graph.Outputs = append(m.Graph.Outputs, m.Graph.Outputs[0]) },
		`output "w" does not depend`:          func(m *onnx.Model) { m.Graph.Outputs[0].Name = "w" },
		`belongs to the operator set "other"`: func(m *onnx.Model) { m.Graph.Nodes[0].Domain = "other" },
	} {
		m := newChain().with("w", floats(1)).then("Relu", nil).then("Flatten", nil).model()
		change(m)
		if _, err := Import(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestImportManyNodesWithOneWeight(t *testing.T) {
	c := newChain().with("c.weight", floats(3, 3, 1, 1))
	c.nodes = append(c.nodes, onnx.Node{Name: "first", Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"0"}})
	for i := range 4000 {
		c.nodes = append(c.nodes, onnx.Node{Op: "Conv", Inputs: []string{fmt.Sprint(i), "c.weight"}, Outputs: []string{fmt.Sprint(i + 1)}})
	}
	net := imported(t, c.then("Flatten", nil).model())
	if ps := nn.Named(net); len(ps) != 1 || ps[0].Name != "c.weight" || len(net.Layers) != 4000 {
		t.Errorf("%d parameters in %d layers", len(ps), len(net.Layers))
	}
}

// Forms of a network that other exporters write give the same as our own layers.
func TestImportOtherForms(t *testing.T) {
	x := unit(2, 3, 8, 8)
	pooled := nn.Sequential{nn.AdaptiveAvgPool2d{}, nn.Flatten{}}
	weight := floats(4, 3)
	fc := &nn.Linear{Weight: &nn.Parameter{Value: weight}, Bias: &nn.Parameter{Value: floats(4)}}
	linear := append(append(nn.Sequential{}, pooled...), fc)
	turned := transpose(weight)
	shared := nn.NewConv2d(3, 3, 3, nn.Conv{NoBias: true})
	for _, c := range []struct {
		what  string
		graph *chain
		want  nn.Module
	}{
		{"a weight that two nodes share", newChain().with("c.weight", shared.Weight.Value).then("Conv", nil, "c.weight").then("Conv", nil, "c.weight").then("GlobalAveragePool", nil).then("Flatten", nil),
			append(nn.Sequential{shared, shared}, pooled...)},
		{"ReduceMean without dimensions", newChain().then("ReduceMean", attrs{"axes": []int64{-1, -2}, "keepdims": int64(0)}), pooled},
		{"AveragePool over all", newChain().then("AveragePool", attrs{"kernel_shape": []int64{8, 8}}).then("Flatten", attrs{"axis": int64(-3)}), pooled},
		{"Squeeze", newChain().with("a", ints(-1, 2)).then("GlobalAveragePool", nil).then("Squeeze", nil, "a"), pooled},
		{"Reshape", newChain().with("s", ints(0, -1)).then("GlobalAveragePool", nil).then("Reshape", nil, "s"), pooled},
		{"Dropout and Identity", newChain().then("GlobalAveragePool", nil).then("Identity", nil).then("Flatten", nil).then("Dropout", attrs{"ratio": float32(0.5)}), pooled},
		{"Cast", newChain().then("Cast", attrs{"to": int64(1)}).then("GlobalAveragePool", nil).then("Flatten", nil), pooled},
		{"MatMul and Add", newChain().with("w", turned).with("b", fc.Bias.Value).then("GlobalAveragePool", nil).then("Flatten", nil).then("MatMul", nil, "w").then("Add", nil, "b"), linear},
		{"Gemm with its weight turned, bias a row", newChain().with("w", turned).with("b", fc.Bias.Value.Reshape(1, 4)).then("GlobalAveragePool", nil).then("Flatten", nil).then("Gemm", nil, "w", "b"), linear},
		{"batch norm as Mul and Add", newChain().with("m", tensor.FromSlice([]float32{2, 3, 4}, 3, 1, 1)).with("a", tensor.FromSlice([]float32{1, 0, -1}, 1, 3, 1, 1)).
			then("Mul", nil, "m").then("Add", nil, "a").then("GlobalAveragePool", nil).then("Flatten", nil),
			append(nn.Sequential{&nn.BatchNorm2d{BatchNorm: nn.BatchNorm{
				Weight: &nn.Parameter{Value: tensor.FromSlice([]float32{2, 3, 4}, 3)}, Bias: &nn.Parameter{Value: tensor.FromSlice([]float32{1, 0, -1}, 3)},
				RunningMean: &nn.Parameter{Value: tensor.New(3)}, RunningVar: &nn.Parameter{Value: tensor.New(3).Fill(1 - 1e-5)}, Eps: 1e-5,
			}}}, pooled...)},
		{"Sub and Div by one number", newChain().with("c", tensor.New().Fill(0.5)).then("Sub", nil, "c").then("Div", nil, "c").then("GlobalAveragePool", nil).then("Flatten", nil),
			append(nn.Sequential{&Affine{&nn.Parameter{Value: tensor.New(1).Fill(2)}, &nn.Parameter{Value: tensor.New(1).Fill(-1)}}}, pooled...)},
	} {
		t.Run(c.what, func(t *testing.T) {
			near(t, "output", call(t, imported(t, c.graph.model()), x).Data(), call(t, c.want, x).Data())
		})
	}
}

// Any file is either refused with an error or becomes a network that can be traced.
func FuzzImport(f *testing.F) {
	for _, name := range fixtures {
		b, err := os.ReadFile("testdata/" + name + ".onnx")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, file := range []string{"foreign_graphs", "node_tests"} {
		for _, c := range graphsOf(f, file) {
			f.Add(c.bytes(f))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnx.Read(b, "m.onnx")
		if err != nil {
			return
		}
		net, err := Import(m)
		if err != nil {
			return
		}
		h, w := max(net.Input.Height, 1), max(net.Input.Width, 1)
		if _, err := traced(net.Forward, net.Input.Channels, h, w); err != nil && net.Input.Height > 0 && net.Input.Width > 0 {
			t.Fatalf("imported, but its own input does not fit: %v", err)
		}
	})
}
