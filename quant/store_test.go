package quant_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/safetensors"
)

// saved writes a quantised net to a file and returns it with its description.
func saved(t *testing.T, name string) (path string, net *quant.Net, info checkpoint.Model) {
	t.Helper()
	m := model(t, name)
	net = &quant.Net{Module: m, Scheme: schemeOf(t, m, images(2, 3, 48, 48)), Calibration: quant.Calibration{Method: quant.MSE, Images: 2, Data: "waves"}}
	info = checkpoint.Model{
		Architecture: name, Classes: []string{"a", "b", "c", "d", "e"},
		Input: prepare.Input{Channels: 3, Height: 48, Width: 48},
	}
	path = filepath.Join(t.TempDir(), "net.safetensors")
	if err := quant.SaveModel(path, info, net); err != nil {
		t.Fatal(err)
	}
	return path, net, info
}

// logits computes a module on one input.
func logits(t *testing.T, m nn.Module, x *tensor.Tensor) []float32 {
	t.Helper()
	g := graph.New(graph.Eval)
	in := g.Input("x", tensor.Float32, x.Shape()...)
	return compute(t, g, in, x, engine.FP32, m.Forward(in))[0].Data()
}

// A quantised file holds the integers of the weights, and the net that is read from it is the
// same: its integers and scales, and the outputs, up to what rounds the other weights to bfloat16.
func TestSaveModel(t *testing.T) {
	path, net, info := saved(t, "resnet18")
	got, err := modelfile.Open(path, modelfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	read, ok := got.Module.(*quant.Net)
	if !ok {
		t.Fatalf("a quantised file is opened as %T", got.Module)
	}
	if read.Calibration != net.Calibration || !maps.EqualFunc(read.Scheme.Layers, net.Scheme.Layers, sameLayer) {
		t.Errorf("other scales, or another calibration: %+v", read.Calibration)
	}
	again := filepath.Join(t.TempDir(), "again.safetensors")
	if err := quant.SaveModel(again, got.Info, read); err != nil {
		t.Fatal(err)
	}
	if a, b := content(t, path), content(t, again); !slices.Equal(a, b) {
		t.Error("the model that was read is written as another file")
	}
	x := images(2, 3, 48, 48)
	want := logits(t, net, x)
	for i, v := range logits(t, read, x) {
		if d := v - want[i]; d > 0.02 || d < -0.02 {
			t.Errorf("logit %d is %v after reading and %v before", i, v, want[i])
		}
	}
	plain := filepath.Join(t.TempDir(), "plain.safetensors")
	if err := quant.SaveModel(plain, info, net.Module); err != nil {
		t.Fatal(err)
	}
	if small, large := len(content(t, path)), len(content(t, plain)); 100*small > 28*large {
		t.Errorf("the quantised file has %d bytes, the other %d", small, large)
	}
}

func sameLayer(a, b quant.Layer) bool {
	same := func(a, b *quant.Grid) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }
	if !same(a.Output, b.Output) || !same(a.Sum, b.Sum) {
		return false
	}
	return a.Input == b.Input && slices.Equal(a.Weight, b.Weight)
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Other readers of safetensors see a weight as I8 and its scales as F32.
func TestStoredTensors(t *testing.T) {
	path, net, _ := saved(t, "resnet18")
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string]string{
		"conv1.weight": "BF16", "bn1.weight": "F32", "layer2.0.conv1.weight": "I8", "layer2.0.conv1.weight_scale": "F32",
		"layer2.0.conv1.input_scale": "F32", "layer2.0.downsample.0.output_scale": "F32", "layer2.0.downsample.0.output_zero_point": "I64",
		"layer2.0.conv2.sum_scale": "F32", "layer2.0.conv2.sum_zero_point": "I64",
	} {
		if dtype, _, ok := f.Info(name); !ok || dtype != want {
			t.Errorf("%s is %q, want %s", name, dtype, want)
		}
	}
	const name = "layer2.0.conv1.weight"
	q, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	scales := net.Scheme.Layers[name].Weight
	for _, p := range nn.Named(net) {
		if p.Name != name {
			continue
		}
		per := q.Numel() / len(scales)
		for i, v := range p.Value.Data() {
			if d := float32(q.Ints()[i])*scales[i/per] - v; d > scales[i/per]*0.5001 || d < -scales[i/per]*0.5001 {
				t.Fatalf("integer %d stands for a number that is %v away from the weight; the scale is %v", i, d, scales[i/per])
			}
		}
	}
}

// Whatever is wrong with a quantised file is an error that names the layer and what to do.
func TestDamagedFiles(t *testing.T) {
	path, _, _ := saved(t, "resnet18")
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const name = "layer1.0.conv1.weight"
	for _, c := range []struct {
		what   string
		change func(values map[string]*tensor.Tensor, metadata map[string]string)
		want   string
	}{
		{"no weight", func(v map[string]*tensor.Tensor, _ map[string]string) { delete(v, name) }, "no tensor of integers"},
		{"a weight of floats", func(v map[string]*tensor.Tensor, _ map[string]string) { v[name] = tensor.New(64, 64, 3, 3) }, "no tensor of integers"},
		{"no scales", func(v map[string]*tensor.Tensor, _ map[string]string) { delete(v, name+"_scale") }, "not one number for each of its 64 channels"},
		{"too few scales", func(v map[string]*tensor.Tensor, _ map[string]string) { v[name+"_scale"] = tensor.New(3) }, "not one number for each of its 64 channels"},
		{"no scale of the input", func(v map[string]*tensor.Tensor, _ map[string]string) { delete(v, "layer1.0.conv1.input_scale") }, "input_scale is not one number"},
		{"-128", func(v map[string]*tensor.Tensor, _ map[string]string) { v[name].Ints()[7] = -128 }, "holds -128"},
		{"half an output", func(v map[string]*tensor.Tensor, _ map[string]string) {
			delete(v, "layer2.0.downsample.0.output_zero_point")
		}, "not one number each"},
		{"other integers", func(_ map[string]*tensor.Tensor, m map[string]string) { change(m, `"int8"`, `"int4"`) }, "int4"},
		{"a layer twice", func(_ map[string]*tensor.Tensor, m map[string]string) { change(m, `["`, `["`+name+`","`) }, "twice"},
		{"no JSON", func(_ map[string]*tensor.Tensor, m map[string]string) { change(m, `{`, `[`) }, "cannot be read"},
	} {
		values, err := f.Tensors()
		if err != nil {
			t.Fatal(err)
		}
		metadata := f.Metadata()
		c.change(values, metadata)
		if s, _, err := quant.Load(values, metadata); err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// change replaces text in what the metadata says of the quantisation.
func change(metadata map[string]string, old, by string) {
	const key = "residual.quantization"
	metadata[key] = strings.Replace(metadata[key], old, by, 1)
}

// A file that is not quantised has no scheme, and its tensors stay as they are.
func TestLoadPlain(t *testing.T) {
	values := map[string]*tensor.Tensor{"w": tensor.New(2, 3)}
	if s, _, err := quant.Load(values, map[string]string{"residual": "{}"}); s != nil || err != nil || len(values) != 1 {
		t.Errorf("%v, %v, %d tensors", s, err, len(values))
	}
}
