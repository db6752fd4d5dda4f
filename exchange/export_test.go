package exchange

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// shake sets every parameter and buffer of m to random numbers, so that batch norms are not
// the identity.
func shake(m nn.Module) nn.Module {
	nn.Init(m, 1, nn.XavierUniform)
	for _, p := range nn.Named(m) {
		if len(p.Value.Shape()) != 1 {
			continue
		}
		nn.NewSource(2, p.Name).Uniform(p.Value, 0.3)
		if !strings.HasSuffix(p.Name, "bias") && !strings.HasSuffix(p.Name, "mean") {
			for i := range p.Value.Data() {
				p.Value.Data()[i] += 1
			}
		}
	}
	return m
}

// small is a residual network with the layers of the registry's models and with operations
// that none of them uses.
type small struct {
	Stem   *nn.Conv2d
	BN     *nn.BatchNorm2d
	Pool   nn.MaxPool2d
	Block  *nn.Residual
	Groups *nn.Conv2d
	Plain  *nn.BatchNorm2d // after a pooling, so it cannot be folded
	Down   nn.AvgPool2d
	Hidden *nn.Linear
	BN1    *nn.BatchNorm1d
	Drop   nn.Dropout
	FC     *nn.Linear
}

func newSmall() *small {
	return &small{
		Stem: nn.NewConv2d(3, 8, 7, nn.Conv{Stride: 2, Padding: 3, NoBias: true}), BN: nn.NewBatchNorm2d(8),
		Pool:   nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1},
		Block:  nn.NewResidual(8, 12, nn.Block{Use1x1Conv: true, Stride: 2}),
		Groups: nn.NewConv2d(12, 12, 3, nn.Conv{Groups: 3, Dilation: 2, Padding: 2, Width: &nn.Axis{Kernel: 1}}),
		Down:   nn.AvgPool2d{Kernel: 2, Stride: 2, CeilMode: true, ExcludePad: true},
		Plain:  nn.NewBatchNorm2d(12, nn.Norm{NoAffine: true, Eps: 1e-3}),
		Hidden: nn.NewLinear(12, 6, nn.Dense{NoBias: true}), BN1: nn.NewBatchNorm1d(6), FC: nn.NewLinear(6, 4),
	}
}

func (m *small) Forward(x *graph.Node) *graph.Node {
	x = m.Pool.Forward(nn.ReLU{}.Forward(m.BN.Forward(m.Stem.Forward(x))))
	x = m.Plain.Forward(m.Down.Forward(nn.Tanh{}.Forward(m.Groups.Forward(m.Block.Forward(x)))))
	x = nn.Flatten{}.Forward(nn.AdaptiveAvgPool2d{}.Forward(x))
	x = m.Drop.Forward(nn.Sigmoid{}.Forward(m.BN1.Forward(m.Hidden.Forward(x))))
	return m.FC.Forward(x)
}

// again writes a model and reads it back.
func again(t *testing.T, m *onnx.Model) *onnx.Model {
	t.Helper()
	var b bytes.Buffer
	if err := onnx.Write(&b, m); err != nil {
		t.Fatal(err)
	}
	got, err := onnx.Read(b.Bytes(), "m.onnx")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func exported(t *testing.T, m nn.Module, c ExportConfig) *onnx.Model {
	t.Helper()
	model, err := Export(m, c)
	if err != nil {
		t.Fatal(err)
	}
	return again(t, model)
}

func imported(t *testing.T, m *onnx.Model) *Network {
	t.Helper()
	n, err := Import(m)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pixels returns a tensor of integers from 0 to 255.
func pixels(shape ...int) *tensor.Tensor {
	x := tensor.New(shape...)
	nn.NewSource(3, "pixels").Uniform(x, 128)
	for i, v := range x.Data() {
		x.Data()[i] = float32(math.Floor(float64(v)) + 128)
	}
	return x
}

// unit returns a tensor of numbers from 0 to 1.
func unit(shape ...int) *tensor.Tensor {
	x := pixels(shape...)
	for i := range x.Data() {
		x.Data()[i] /= 255
	}
	return x
}

func sameBits(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

type example struct {
	name   string
	module nn.Module
	conf   ExportConfig
}

func examples() []example {
	cifar, err := models.New("cifar-resnet20", models.Config{})
	if err != nil {
		panic(err)
	}
	return []example{
		{"small", shake(newSmall()), ExportConfig{Input: prepare.Input{Channels: 3, Height: 50, Width: 38}, AnySize: true}},
		{"d2l-bnlenet", shake(models.NewD2LBNLeNet(1, 10)), ExportConfig{Input: prepare.Input{Channels: 1, Height: 28, Width: 28}}},
		{"cifar-resnet20", shake(cifar), ExportConfig{Input: prepare.Input{Channels: 3, Height: 32, Width: 32}}},
		{"d2l-resnet18", shake(models.NewD2LResNet18(1, 10)), ExportConfig{Input: prepare.Input{Channels: 1, Height: 32, Width: 32}, AnySize: true}},
	}
}

// A network that is exported and imported again has the same weights and logits, bit for bit.
func TestExportThenImportKeepsEveryBit(t *testing.T) {
	for _, c := range examples() {
		t.Run(c.name, func(t *testing.T) {
			net := imported(t, exported(t, c.module, c.conf))
			got := map[string]*tensor.Tensor{}
			for _, p := range nn.Named(net) {
				got[p.Name] = p.Value
			}
			for _, p := range nn.Named(c.module) {
				if got[p.Name] == nil || !sameBits(got[p.Name].Data(), p.Value.Data()) || !got[p.Name].Shape().Equal(p.Value.Shape()) {
					t.Errorf("%s became %v", p.Name, got[p.Name])
				}
			}
			x := unit(3, c.conf.Input.Channels, c.conf.Input.Height, c.conf.Input.Width)
			if y, z := call(t, c.module, x), call(t, net, x); !sameBits(y.Data(), z.Data()) {
				t.Errorf("the logits %v became %v", y, z)
			}
			if c.conf.AnySize {
				x := unit(1, c.conf.Input.Channels, 70, 90)
				if y, z := call(t, c.module, x), call(t, net, x); !sameBits(y.Data(), z.Data()) {
					t.Errorf("at another size, the logits %v became %v", y, z)
				}
			}
		})
	}
}

func TestFoldedExportGivesTheSameLogits(t *testing.T) {
	for _, c := range examples() {
		t.Run(c.name, func(t *testing.T) {
			c.conf.Fold = true
			model := exported(t, c.module, c.conf)
			norms := 0
			for _, n := range model.Graph.Nodes {
				if n.Op == "BatchNormalization" {
					norms++
				}
			}
			if want := map[string]int{"small": 1}[c.name]; norms != want {
				t.Errorf("%d batch norms are left, want %d", norms, want)
			}
			x := unit(2, c.conf.Input.Channels, c.conf.Input.Height, c.conf.Input.Width)
			near(t, "logits", call(t, imported(t, model), x).Data(), call(t, c.module, x).Data())
		})
	}
}

// A layer that is called twice becomes two nodes with different names that share its weights.
func TestExportOfALayerCalledTwice(t *testing.T) {
	conv := nn.NewConv2d(3, 3, 3, nn.Conv{Padding: 1})
	m := nn.Sequential{conv, nn.ReLU{}, conv, nn.AdaptiveAvgPool2d{}, nn.Flatten{}}
	model := exported(t, m, ExportConfig{Input: prepare.Input{Channels: 3, Height: 9, Width: 9}, AnySize: true})
	names := map[string]bool{}
	for _, n := range model.Graph.Nodes {
		if names[n.Name] {
			t.Errorf("two nodes are called %s", n.Name)
		}
		names[n.Name] = true
	}
	if len(model.Graph.Initialisers) != 2 {
		t.Errorf("%d initialisers, want a weight and a bias", len(model.Graph.Initialisers))
	}
	x := unit(2, 3, 9, 9)
	if !sameBits(call(t, m, x).Data(), call(t, imported(t, model), x).Data()) {
		t.Error("the logits differ")
	}
}

func TestRecognise(t *testing.T) {
	for _, c := range examples()[1:] {
		for _, fold := range []bool{false, true} {
			c.conf.Fold = fold
			net := imported(t, exported(t, c.module, c.conf))
			match, m, err := Recognise(net, "")
			if err != nil || match.Entry.Name != c.name {
				t.Fatalf("%s (folded %v): %v, %v", c.name, fold, match.Entry.Name, err)
			}
			x := unit(2, c.conf.Input.Channels, c.conf.Input.Height, c.conf.Input.Width)
			near(t, "logits", call(t, m, x).Data(), call(t, c.module, x).Data())
			if fold {
				continue
			}
			want := nn.Named(c.module)
			for i, p := range nn.Named(m) {
				if p.Name != want[i].Name || !sameBits(p.Value.Data(), want[i].Value.Data()) {
					t.Errorf("%s: %s is not what was exported", c.name, p.Name)
				}
			}
		}
	}
	net := imported(t, exported(t, newSmall(), ExportConfig{Input: prepare.Input{Channels: 3, Height: 50, Width: 38}}))
	if _, _, err := Recognise(net, "d2l-resnet18"); err == nil || !strings.Contains(err.Error(), "d2l-resnet18, d2l-bnlenet") {
		t.Errorf("another network: %v", err)
	}
}

// A graph that takes uint8 images describes its preprocessing in Input; Forward computes the rest.
func TestExportedPreprocessing(t *testing.T) {
	m := shake(newSmall())
	p := prepare.Steps{Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}}
	for _, last := range []bool{false, true} {
		for _, scale := range []float64{0, 1.0 / 128} {
			p.Scale = scale
			c := ExportConfig{Input: prepare.Input{Channels: 3, Height: 50, Width: 38, Preprocess: p}, Bytes: true, ChannelsLast: last}
			model := exported(t, m, c)
			in := imported(t, model).Input
			if !in.Bytes || in.ChannelsLast != last || in.Channels != 3 || in.Height != 50 || in.Width != 38 {
				t.Errorf("input %+v", in)
			}
			if scale == 0 {
				scale = 1.0 / 255
			}
			for c := range 3 {
				if math.Abs(in.Scale[c]-scale/p.Std[c]) > 1e-6 || math.Abs(in.Shift[c]+p.Mean[c]/p.Std[c]) > 1e-6 {
					t.Errorf("channel %d: scale %v, shift %v", c, in.Scale[c], in.Shift[c])
				}
			}
		}
	}
}

func TestExportRefuses(t *testing.T) {
	conf := ExportConfig{Input: prepare.Input{Channels: 3, Height: 30, Width: 30}}
	for want, m := range map[string]nn.Module{
		"leave CeilMode or Divisor out":                 nn.Sequential{nn.AvgPool2d{Kernel: 4, Stride: 3, CeilMode: true, Divisor: 7}, nn.Flatten{}},
		"first dimension of its output must be":         formula{f: func(x, _, _ *graph.Node) *graph.Node { return x.Sum(0) }},
		"no counterpart in ONNX that Export writes":     formula{f: func(x, _, _ *graph.Node) *graph.Node { return x.Graph.Apply(graph.ProductOfOthers{Axes: []int{1}}, x) }},
		"Own#1[2, 3, 30, 30] in a formula: it is an op": formula{f: func(x, _, _ *graph.Node) *graph.Node { return x.Graph.Apply(own{}, x) }},
		"Slice: 7 to 9 of dimension 1":                  formula{f: func(x, _, _ *graph.Node) *graph.Node { return x.Slice(1, 7, 9) }},
		"computes something else for 3 images than":     formula{f: func(x, _, _ *graph.Node) *graph.Node { return alternating(x) }},
		"has 3 channels, needs 5":                       nn.Sequential{nn.NewConv2d(5, 2, 1), nn.Flatten{}},
		"takes \"labels\" besides its images, but": formula{f: func(x, _, _ *graph.Node) *graph.Node {
			return x.Mul(x.Graph.Input("labels", tensor.Float32, 1, 1, 30, 30))
		}},
		"dimension 0 whose indices depend on": formula{f: func(x, _, _ *graph.Node) *graph.Node { return x.Gather(0, rotated(x.Shape[0])...) }},
	} {
		if _, err := Export(m, conf); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	conf.AnySize = true
	if _, err := Export(nn.Sequential{nn.AdaptiveAvgPool2d{H: 3, W: 3}, nn.Flatten{}}, conf); err == nil || !strings.Contains(err.Error(), "depends on the size") {
		t.Errorf("windows of one size for any image: %v", err)
	}
}

// own is an operation of a user's own.
type own struct{ graph.Scale }

func (own) Name() string                                         { return "Own" }
func (own) Compute(n *graph.Node, out []float32, in [][]float32) { copy(out, in[0]) }

// rotated lists n-1, 0, 1, ... n-2.
func rotated(n int) []int {
	list := []int{n - 1}
	for i := range n - 1 {
		list = append(list, i)
	}
	return list
}

// alternating adds another operation for every image of a batch.
func alternating(x *graph.Node) *graph.Node {
	for range x.Shape[0] {
		x = x.Abs()
	}
	return x
}

// TestExportFiles writes the files that testdata/check_export.py compares with another
// runtime, into the folder that RESIDUAL_EXPORT_DIR names or else a temporary one.
func TestExportFiles(t *testing.T) {
	dir := cmp.Or(os.Getenv("RESIDUAL_EXPORT_DIR"), t.TempDir())
	write := func(name string, m nn.Module, c ExportConfig, fed, x *tensor.Tensor) {
		model, err := Export(m, c)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := onnx.Write(f, model); err != nil {
			t.Fatal(err)
		}
		y := call(t, m, x).Data()
		record := map[string]any{"shape": fed.Shape(), "images": fed.Data(), "logits": y}
		if n, ok := m.(*quant.Net); ok {
			record["quantised"], record["step"] = len(n.Scheme.Layers), stepOf(y)
		}
		b, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range examples() {
		for _, fold := range []bool{false, true} {
			c := e.conf
			c.Fold = fold
			x := unit(3, c.Input.Channels, c.Input.Height, c.Input.Width)
			write(fmt.Sprintf("%s-folded-%v", e.name, fold), e.module, c, x, x)
			c.Bytes, c.Input.Preprocess = true, prepare.Steps{Mean: make([]float64, c.Input.Channels), Std: make([]float64, c.Input.Channels)}
			for i := range c.Input.Channels {
				c.Input.Preprocess.Mean[i], c.Input.Preprocess.Std[i] = 0.45+0.02*float64(i), 0.22+0.01*float64(i)
			}
			fed, x := pixels(2, c.Input.Channels, c.Input.Height, c.Input.Width), unit(2, c.Input.Channels, c.Input.Height, c.Input.Width)
			for i := range x.Data() {
				channel := i / (c.Input.Height * c.Input.Width) % c.Input.Channels
				x.Data()[i] = (x.Data()[i] - float32(c.Input.Preprocess.Mean[channel])) / float32(c.Input.Preprocess.Std[channel])
			}
			write(fmt.Sprintf("%s-folded-%v-bytes", e.name, fold), e.module, c, fed, x)
			c.ChannelsLast = true
			write(fmt.Sprintf("%s-folded-%v-last", e.name, fold), e.module, c, channelsLast(fed), x)
		}
	}
	for name, c := range quantisedExamples(t) {
		write(name+"-quantised", c.net, c.conf, c.x, c.x)
	}
}

func channelsLast(x *tensor.Tensor) *tensor.Tensor {
	s := x.Shape()
	y := tensor.New(s[0], s[2], s[3], s[1])
	area := s[2] * s[3]
	for i, v := range x.Data() {
		n, c, at := i/(s[1]*area), i/area%s[1], i%area
		y.Data()[(n*area+at)*s[1]+c] = v
	}
	return y
}
