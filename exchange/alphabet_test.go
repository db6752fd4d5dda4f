package exchange

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// formula is a network of one's own: a formula of the images and of two parameters.
type formula struct {
	A, B *nn.Parameter
	f    func(x, a, b *graph.Node) *graph.Node
}

func (m formula) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	var a, b *graph.Node
	if m.A != nil {
		a = x.Graph.Variable(m.A)
	}
	if m.B != nil {
		b = x.Graph.Variable(m.B)
	}
	return x.Graph.Record(m, first, m.f(x, a, b))
}

// randomParameter returns a parameter of random numbers.
func randomParameter(name string, shape ...int) *nn.Parameter {
	p := &nn.Parameter{Value: tensor.New(shape...), Trainable: true}
	nn.NewSource(4, name).Uniform(p.Value, 1)
	return p
}

// alphabetImage is the size of the images of alphabet.
var alphabetImage = tensor.Shape{4, 6, 5}

// alphabet lists networks with every operation that Export writes. Their images are spread over
// -4 to 4.
func alphabet() map[string]nn.Module {
	all := map[string]nn.Module{}
	with := func(name string, a, b *nn.Parameter, f func(x, a, b *graph.Node) *graph.Node) {
		all[name] = formula{a, b, func(x, a, b *graph.Node) *graph.Node { return f(x.Shift(-0.5).Scale(8), a, b) }}
	}
	of := func(name string, f func(x *graph.Node) *graph.Node) {
		with(name, nil, nil, func(x, _, _ *graph.Node) *graph.Node { return f(x) })
	}
	for name, u := range map[string]graph.Unary{
		"exp": {Function: graph.Exp}, "abs": {Function: graph.Abs}, "sign": {Function: graph.Sign}, "floor": {Function: graph.Floor},
		"ceil": {Function: graph.Ceil}, "round": {Function: graph.Round}, "erf": {Function: graph.Erf}, "sin": {Function: graph.Sin},
		"cos": {Function: graph.Cos}, "atan": {Function: graph.Atan}, "sinh": {Function: graph.Sinh}, "cosh": {Function: graph.Cosh},
		"asinh": {Function: graph.Asinh}, "leaky-relu": {Function: graph.LeakyReLU, A: 0.1}, "elu": {Function: graph.ELU, A: 0.7, B: 1},
		"selu": {Function: graph.ELU, A: 1.6732632, B: 1.050701}, "celu": {Function: graph.CELU, A: 0.6}, "hardsigmoid": {Function: graph.Hardsigmoid, A: 1.0 / 6, B: 0.5},
		"hardswish": {Function: graph.Hardswish}, "softplus": {Function: graph.Softplus}, "softsign": {Function: graph.Softsign},
		"silu": {Function: graph.SiLU, A: 1}, "swish": {Function: graph.SiLU, A: 1.7}, "mish": {Function: graph.Mish}, "gelu": {Function: graph.GELU},
		"gelu-tanh": {Function: graph.GELUTanh}, "threshold": {Function: graph.Threshold, A: 0.5, B: -2}, "shrink": {Function: graph.Shrink, A: 0.5, B: 0.25},
		"not": {Function: graph.Not}, "clamp": {Function: graph.Clamp, A: -1, B: 2}, "clamp-below": {Function: graph.Clamp, A: -1, B: math.Inf(1)},
		"clamp-above": {Function: graph.Clamp, A: math.Inf(-1), B: 1.5}, "cube": {Function: graph.Power, A: 3},
	} {
		of(name, func(x *graph.Node) *graph.Node { return u.Function.Of(x, u.A, u.B) })
	}
	for name, f := range map[string]graph.Function{
		"log": graph.Log, "sqrt": graph.Sqrt, "reciprocal": graph.Reciprocal, "acosh": graph.Acosh,
	} {
		of(name, func(x *graph.Node) *graph.Node { return f.Of(x.Abs().Shift(1.25), 0, 0) })
	}
	for name, f := range map[string]graph.Function{"tan": graph.Tan, "asin": graph.Asin, "acos": graph.Acos, "atanh": graph.Atanh} {
		of(name, func(x *graph.Node) *graph.Node { return f.Of(x.Scale(0.2), 0, 0) })
	}
	channels := func() *nn.Parameter { return randomParameter("channels", 4, 1, 1) }
	for name, f := range map[string]func(a, b *graph.Node) *graph.Node{
		"add": (*graph.Node).Add, "sub": (*graph.Node).Sub, "mul": (*graph.Node).Mul, "maximum": (*graph.Node).Maximum, "minimum": (*graph.Node).Minimum,
		"less": (*graph.Node).Less, "less-or-equal": (*graph.Node).LessOrEqual, "greater": (*graph.Node).Greater,
		"greater-or-equal": (*graph.Node).GreaterOrEqual, "equal": (*graph.Node).Equal, "not-equal": (*graph.Node).NotEqual,
	} {
		with(name, channels(), nil, func(x, a, _ *graph.Node) *graph.Node { return f(x, a) })
	}
	positive := func(a *graph.Node) *graph.Node { return a.Abs().Shift(0.5) }
	with("div", channels(), nil, func(x, a, _ *graph.Node) *graph.Node { return x.Div(positive(a)) })
	with("pow", channels(), nil, func(x, a, _ *graph.Node) *graph.Node { return graph.Pow.Of(positive(x), a) })
	with("mod", channels(), nil, func(x, a, _ *graph.Node) *graph.Node { return graph.Mod.Of(x, positive(a)) })
	with("fmod", channels(), nil, func(x, a, _ *graph.Node) *graph.Node { return graph.Fmod.Of(x, positive(a)) })
	with("both-broadcast", randomParameter("column", 6, 1), randomParameter("row", 1, 5), func(x, a, b *graph.Node) *graph.Node { return x.Add(a.Mul(b)) })
	with("numbers-first", channels(), nil, func(x, a, _ *graph.Node) *graph.Node { return x.Graph.Constant(1).Sub(a).Mul(x) })
	with("where", channels(), nil, func(x, a, _ *graph.Node) *graph.Node { return x.Less(a).Where(x.Scale(2), a) })
	of("where-number", func(x *graph.Node) *graph.Node { return x.ReLU().Where(x.Graph.Constant(3), x) })

	for name, r := range map[string]graph.Reduction{"sum": graph.Total, "mean": graph.Mean, "max": graph.Largest, "min": graph.Smallest} {
		of(name, func(x *graph.Node) *graph.Node { return r.Of(x, 1, 3) })
	}
	of("prod", func(x *graph.Node) *graph.Node { return graph.Product.Of(x.Scale(0.5), -1) })
	of("log-softmax", func(x *graph.Node) *graph.Node { return x.LogSoftmax(1) })
	of("softmax", func(x *graph.Node) *graph.Node { return x.Softmax(-1) })

	of("gather", func(x *graph.Node) *graph.Node { return x.Gather(1, 3, 0, 3) })
	of("gather-elements", func(x *graph.Node) *graph.Node {
		first := x.Slice(1, 0, 1)
		return x.GatherElements(1, first.Greater(x.Graph.Constant(0)).Scale(2))
	})
	of("slice", func(x *graph.Node) *graph.Node { return x.Slice(2, 1, 5).Slice(1, 1, 3) })
	of("every-second", func(x *graph.Node) *graph.Node { return x.Gather(2, 1, 3, 5) })
	of("pad", func(x *graph.Node) *graph.Node { return x.Pad(2, 1, 2, 0.5).Pad(3, 0, 1, 0.5) })
	of("pad-and-cut", func(x *graph.Node) *graph.Node { return x.Pad(2, 1, 0, 0.5).Slice(2, 0, 4) })
	of("pad-within", func(x *graph.Node) *graph.Node {
		return x.Graph.Apply(graph.Take{Index: [][]int{nil, {0, -1, 2}, nil, nil}, Fill: 7}, x)
	})
	of("join", func(x *graph.Node) *graph.Node { return graph.Join(1, x, x.Scale(2), x.Slice(1, 0, 1)) })
	of("join-constant", func(x *graph.Node) *graph.Node {
		return graph.Join(1, x, x.Graph.Constant(0.5, 1, 2, 1, 1).Broadcast(x.Shape[0], 2, x.Shape[2], x.Shape[3]))
	})
	with("token", randomParameter("token", 1, 1, 4), nil, func(x, a, _ *graph.Node) *graph.Node { // the class token of vision transformers
		rows := x.Reshape(x.Shape[0], x.Shape[1], x.Shape[2]*x.Shape[3]).Transpose(0, 2, 1)
		return graph.Join(1, a.Broadcast(x.Shape[0], 1, 4), rows)
	})
	of("reshape", func(x *graph.Node) *graph.Node { return x.Reshape(x.Shape[0], 2, 12, 5) })
	of("reshape-with-the-batch", func(x *graph.Node) *graph.Node {
		return x.Reshape(x.Shape[0]*4, 30).Scale(2).Reshape(x.Shape[0], 4, 6, 5)
	})
	of("transpose", func(x *graph.Node) *graph.Node { return x.Transpose(0, 2, 3, 1) })
	with("matmul", randomParameter("matrix", 5, 3), nil, func(x, a, _ *graph.Node) *graph.Node { return x.MatMul(a) })
	with("matmul-left", randomParameter("left", 4, 2, 6), nil, func(x, a, _ *graph.Node) *graph.Node { return a.MatMul(x) })
	of("matmul-of-two", func(x *graph.Node) *graph.Node { return x.MatMul(x.Transpose(0, 1, 3, 2)) })
	of("pad-channels", func(x *graph.Node) *graph.Node { return x.Graph.Apply(graph.PadChannels{To: 6}, x) })
	of("take-channels", func(x *graph.Node) *graph.Node { return x.Graph.Apply(graph.TakeChannels{First: 3}, x) })

	with("layer-norm", randomParameter("weight", 6, 5), randomParameter("bias", 6, 5), func(x, a, b *graph.Node) *graph.Node { return x.LayerNorm(a, b, 1e-4) })
	with("group-norm", randomParameter("weight", 4), randomParameter("bias", 4), func(x, a, b *graph.Node) *graph.Node { return x.GroupNorm(2, a, b, 1e-4) })
	of("upsample-nearest", func(x *graph.Node) *graph.Node { return x.UpsampleNearest(12, 15) })
	of("upsample-nearest-uneven", func(x *graph.Node) *graph.Node { return x.UpsampleNearest(7, 8) })
	of("upsample-bilinear", func(x *graph.Node) *graph.Node { return x.UpsampleBilinear(12, 10, false) })
	of("upsample-bilinear-uneven", func(x *graph.Node) *graph.Node { return x.UpsampleBilinear(7, 8, false) })
	of("upsample-align-corners", func(x *graph.Node) *graph.Node { return x.UpsampleBilinear(11, 9, true) })
	of("upsample-factor", func(x *graph.Node) *graph.Node {
		return x.Graph.Apply(graph.Upsample{H: 9, W: 7, Bilinear: true, ScaleH: 1.5, ScaleW: 1.5}, x)
	})
	with("transposed-convolution", randomParameter("kernel", 4, 2, 3, 3), nil, func(x, a, _ *graph.Node) *graph.Node {
		o := graph.Conv2d{StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 2}
		return x.Graph.Apply(graph.Conv2dGradInput{Conv2d: o, H: 12, W: 9}, a, x)
	})
	for name, m := range map[string]nn.Module{
		"depthwise": nn.NewConv2d(4, 4, 3, nn.Conv{Groups: 4, Padding: 1, Stride: 2}), "grouped": nn.NewConv2d(4, 6, 3, nn.Conv{Groups: 2}),
		"average-divisor": nn.AvgPool2d{Kernel: 2, Divisor: 3}, "adaptive-uneven": nn.AdaptiveAvgPool2d{H: 4, W: 3},
		"linear-of-rows": nn.NewLinear(5, 3), "mlp": nn.Sequential{nn.NewLayerNorm([]int{5}), nn.NewLinear(5, 7), nn.GELU{}, nn.NewLinear(7, 5), nn.SiLU{}},
		"norms": nn.Sequential{nn.NewGroupNorm(4, 4), nn.ReLU6{}, nn.NewBatchNorm2d(4, nn.Norm{NoAffine: true}), nn.Hardswish{}, nn.Upsample{Scale: 2}},
	} {
		all[name] = shake(m)
	}
	return all
}

// runtimeOutput is what testdata/alphabet.py writes of one network.
type runtimeOutput struct {
	Digest string // of the ONNX file
	Shape  []int
	Values []float64
}

// Every operation goes to ONNX and back: ONNX Runtime's numbers, which alphabet.json has for the files
// that are written here, are those of the network itself and of the file that is read again. With
// RESIDUAL_EXPORT_DIR the files are kept for testdata/alphabet.py.
func TestAlphabetGoesToONNXAndBack(t *testing.T) {
	text, err := os.ReadFile("testdata/alphabet.json")
	var want map[string]runtimeOutput
	dir := os.Getenv("RESIDUAL_EXPORT_DIR")
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil && dir == "" {
		t.Fatal(err)
	}
	dir = cmp.Or(dir, t.TempDir())
	x := unit(append([]int{3}, alphabetImage...)...) // not the batch of the trace
	networks := alphabet()
	for name := range want {
		if networks[name] == nil {
			t.Errorf("alphabet.json has %s, which is no network here", name)
		}
	}
	for name, m := range networks {
		t.Run(name, func(t *testing.T) {
			model, err := Export(m, ExportConfig{Input: prepare.Input{Channels: alphabetImage[0], Height: alphabetImage[1], Width: alphabetImage[2]}})
			if err != nil {
				t.Fatal(err)
			}
			model.ProducerVersion = ""
			var b bytes.Buffer
			if err := onnx.Write(&b, model); err != nil {
				t.Fatal(err)
			}
			feed, _ := json.Marshal(map[string]any{"shape": x.Shape(), "images": x.Data()})
			for ext, content := range map[string][]byte{".onnx": b.Bytes(), ".json": feed} {
				if err := os.WriteFile(filepath.Join(dir, name+ext), content, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			w, digest := want[name], sha256.Sum256(b.Bytes())
			if hex.EncodeToString(digest[:]) != w.Digest {
				t.Fatalf("the file is not the one that alphabet.json is about; run testdata/alphabet.py again")
			}
			for what, net := range map[string]nn.Module{"the network": m, "the file read again": imported(t, again(t, model))} {
				got := call(t, net, x)
				if !got.Shape().Equal(w.Shape) {
					t.Fatalf("%s gives %v, ONNX Runtime %v", what, got.Shape(), w.Shape)
				}
				largest := 0.0
				for _, v := range w.Values {
					largest = max(largest, math.Abs(v))
				}
				for i, v := range w.Values {
					if d := float64(got.Data()[i]) - v; !(math.Abs(d) <= 1e-5*largest) {
						t.Fatalf("%s gives %v for element %d, ONNX Runtime %v", what, got.Data()[i], i, v)
					}
				}
			}
		})
	}
}

// A network of one's own that suits images of any size is one graph for all of them; one that does not
// is refused.
func TestOwnNetsOfAnySize(t *testing.T) {
	any := shake(nn.Sequential{
		nn.NewConv2d(3, 8, 3, nn.Conv{Padding: 1, Groups: 1}), nn.NewGroupNorm(2, 8), nn.GELU{}, nn.Upsample{Scale: 2}, nn.Upsample{Scale: 0.5, Bilinear: true},
		nn.NewConv2d(8, 8, 3, nn.Conv{Padding: 1, Groups: 8, Stride: 2}),
		formula{randomParameter("gate", 8, 1, 1), nil, func(x, a, _ *graph.Node) *graph.Node {
			mean := x.Mean(2, 3)
			return x.Sub(mean).Mul(a.Sigmoid()).Pad(1, 0, 1, 1).Reshape(x.Shape[0], 9, x.Shape[2]*x.Shape[3]).Max(2).Reshape(x.Shape[0], 9)
		}},
		nn.NewLinear(9, 4),
	})
	net := imported(t, exported(t, any, ExportConfig{Input: prepare.Input{Channels: 3, Height: 12, Width: 16}, AnySize: true}))
	for _, size := range [][]int{{12, 16}, {20, 10}} {
		x := unit(3, 3, size[0], size[1])
		near(t, "logits", call(t, net, x).Data(), call(t, any, x).Data())
	}
	for _, m := range []nn.Module{
		nn.Upsample{H: 24, W: 24}, nn.Upsample{H: 24, W: 24, Bilinear: true}, nn.NewLayerNorm([]int{3, 12, 16}), nn.AdaptiveAvgPool2d{H: 5, W: 5},
		formula{f: func(x, _, _ *graph.Node) *graph.Node { return x.Slice(2, 1, x.Shape[2]-1) }},
	} {
		if _, err := Export(m, ExportConfig{Input: prepare.Input{Channels: 3, Height: 12, Width: 16}, AnySize: true}); err == nil || !strings.Contains(err.Error(), "size") {
			t.Errorf("%v: %v", m, err)
		}
	}
}
