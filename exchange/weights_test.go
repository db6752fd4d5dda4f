package exchange_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/npz"
	"github.com/residual-ml/residual/weights/onnx"
	"github.com/residual-ml/residual/weights/safetensors"
)

// small is a fast net whose tensors fit no other model.
const small = "cifar-preresnet8"

func net(t *testing.T, name string, c models.Config) (models.Entry, nn.Module) {
	t.Helper()
	e, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(c)
	nn.Init(m, 5, nn.KaimingNormal)
	for i, b := range nn.Buffers(m) { // give each different values
		b.Value.Fill(float32(i+1) / 64)
	}
	return e, m
}

// foreign writes a state dict as another program might, with other names and with batch
// counters.
func foreign(t *testing.T, state []tensor.Named, rename func(string) string) string {
	t.Helper()
	var values []tensor.Named
	for _, s := range state {
		name := rename(s.Name)
		values = append(values, tensor.Named{Name: name, Tensor: s.Tensor})
		if prefix, ok := strings.CutSuffix(name, "running_var"); ok {
			values = append(values, tensor.Named{Name: prefix + "num_batches_tracked", Tensor: tensor.FromInts([]int64{9})})
		}
	}
	path := filepath.Join(t.TempDir(), "weights")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := npz.Write(f, values); err != nil {
		t.Fatal(err)
	}
	return path
}

func same(name string) string { return name }

func sameState(t *testing.T, what string, got, want nn.Module) {
	t.Helper()
	a, b := nn.StateDict(got), nn.StateDict(want)
	if len(a) != len(b) {
		t.Fatalf("%s: %d tensors, want %d", what, len(a), len(b))
	}
	for i := range a {
		if a[i].Name != b[i].Name || !slices.Equal(a[i].Tensor.Data(), b[i].Tensor.Data()) {
			t.Errorf("%s: %s is not %s as it was", what, a[i].Name, b[i].Name)
		}
	}
}

// Names of Hugging Face's transformers are translated to torchvision's for the same layers;
// testdata/huggingface_names.py compared the logits.
func TestHuggingFaceNames(t *testing.T) {
	text, err := os.ReadFile("testdata/huggingface_names.json")
	if err != nil {
		t.Fatal(err)
	}
	var fixture struct {
		Models map[string]map[string]string
	}
	if err := json.Unmarshal(text, &fixture); err != nil {
		t.Fatal(err)
	}
	if len(fixture.Models) != 2 {
		t.Fatalf("%d models", len(fixture.Models))
	}
	for model, names := range fixture.Models {
		c := models.Config{Classes: 7, Blank: true, Blocks: []int{1, 1, 1, 1}}
		e, err := models.Lookup(model)
		if err != nil {
			t.Fatal(err)
		}
		m := e.New(c)
		back := map[string]string{}
		for theirs, ours := range names {
			back[ours] = theirs
		}
		for i, p := range nn.Named(m) {
			if back[p.Name] == "" {
				t.Fatalf("%s: the fixture has no name for %s", model, p.Name)
			}
			p.Value.Fill(float32(i))
		}
		for what, rename := range map[string]func(string) string{
			"as transformers writes it": func(name string) string { return back[name] },
			"within another module":     func(name string) string { return "backbone." + back[name] },
			"without the prefix resnet": func(name string) string { return strings.TrimPrefix(back[name], "resnet.") },
			"torchvision's":             same,
		} {
			got, info, _, err := exchange.FromWeightsAt(foreign(t, nn.StateDict(m), rename), exchange.ModelConfig{})
			if err != nil {
				t.Fatalf("%s, %s: %v", model, what, err)
			}
			sameState(t, model+", "+what, got, m)
			if info.Architecture != model || !slices.Equal(info.Blocks, c.Blocks) || len(info.Classes) != 7 {
				t.Errorf("%s, %s: %s with blocks %v for %d classes", model, what, info.Architecture, info.Blocks, len(info.Classes))
			}
		}
	}
}

func TestFromWeights(t *testing.T) {
	_, m := net(t, small, models.Config{})
	for _, prefix := range []string{"", "model.", "module.model."} {
		path := foreign(t, nn.StateDict(m), func(name string) string { return prefix + name })
		got, info, notes, err := exchange.FromWeightsAt(path, exchange.ModelConfig{})
		if err != nil {
			t.Fatal(err)
		}
		sameState(t, prefix, got, m)
		want := checkpoint.Model{
			Architecture: "cifar-preresnet20", Blocks: []int{1, 1, 1},
			Input: prepare.Input{Channels: 3, Height: 32, Width: 32, Preprocess: prepare.Steps{
				ResizeShorter: 32, Interpolation: "bilinear", Mean: []float64{0.4914, 0.4822, 0.4465}, Std: []float64{0.2470, 0.2435, 0.2616},
			}}, Classes: info.Classes,
		}
		want.Preprocess.Scale, want.Residual, want.Go = 1.0/255, info.Residual, info.Go
		if !reflect.DeepEqual(info, want) || len(info.Classes) != 10 || info.Classes[9] != "class 9" {
			t.Errorf("it says of itself %+v", info)
		}
		if len(notes) != 2 || !strings.Contains(notes[0], "channels of zeros") || !strings.Contains(notes[1], "10 classes are numbered") {
			t.Errorf("notes %q", notes)
		}
	}
	_, grey := net(t, small, models.Config{Channels: 1, Classes: 2})
	path := foreign(t, nn.StateDict(grey), same)
	_, info, notes, err := exchange.FromWeightsAt(path, exchange.ModelConfig{Model: small, Classes: []string{"cat", "dog"}, Images: prepare.Choice{Resize: 40, Size: 36, Interpolation: "bicubic"}})
	if err != nil {
		t.Fatal(err)
	}
	if p := info.Preprocess; info.Architecture != small || info.Blocks != nil || info.Height != 36 || p.ResizeShorter != 40 || p.Interpolation != "bicubic" || !p.Grey || p.Mean != nil {
		t.Errorf("it says of itself %+v", info)
	}
	if len(notes) != 2 || !strings.Contains(notes[1], "not normalised") {
		t.Errorf("notes %q", notes)
	}
	_, info, _, err = exchange.FromWeightsAt(path, exchange.ModelConfig{Images: prepare.Choice{Mean: []float64{0.3}, Std: []float64{0.2}}})
	if err != nil || info.Preprocess.Mean[0] != 0.3 || info.Preprocess.Std[0] != 0.2 {
		t.Errorf("%v, %+v", err, info.Preprocess)
	}
}

// An ONNX graph is recognised by what it computes. It gives back the weights, classes and
// preprocessing; the ModelConfig takes precedence.
func TestFromWeightsONNX(t *testing.T) {
	e, m := net(t, "d2l-bnlenet", models.Config{})
	info := checkpoint.Model{
		Architecture: e.Name, Classes: strings.Split("abcdefghij", ""),
		Input: prepare.Input{Channels: 1, Height: 28, Width: 28, Preprocess: prepare.Steps{NativeHeight: 14, NativeWidth: 14, Resize: 28, Grey: true, Mean: []float64{0.25}, Std: []float64{0.5}}}, Dataset: "letters",
	}
	path := filepath.Join(t.TempDir(), "net.bin")
	if _, err := exchange.Save(path, m, info, exchange.ExportConfig{}); err != nil {
		t.Fatal(err)
	}
	got, about, notes, err := exchange.FromWeightsAt(path, exchange.ModelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	sameState(t, "ONNX", got, m)
	info.Preprocess.Scale, info.Preprocess.Interpolation = 1.0/255, "bilinear"
	info.Residual, info.Go = about.Residual, about.Go
	if !reflect.DeepEqual(about, info) || len(notes) != 1 || !strings.Contains(notes[0], "taken from the file itself") {
		t.Errorf("it says of itself %+v, %q", about, notes)
	}
	_, about, _, err = exchange.FromWeightsAt(path, exchange.ModelConfig{Classes: strings.Split("klmnopqrst", ""), Images: prepare.Choice{Mean: []float64{0.75}, Std: []float64{2}}})
	if p := about.Preprocess; err != nil || about.Classes[0] != "k" || p.Mean[0] != 0.75 || p.Std[0] != 2 || p.Resize != 28 || !p.Grey {
		t.Errorf("%+v, %v", about, err)
	}
	// The graph of another program has no metadata, so the files beside it are read.
	graph, err := exchange.Export(m, exchange.ExportConfig{Input: prepare.Input{Channels: 1, Height: 28, Width: 28}})
	if err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "model.onnx")
	if err := checkpoint.WriteFile(foreign, func(w io.Writer) error { return onnx.Write(w, graph) }); err != nil {
		t.Fatal(err)
	}
	config := `{"label_names": ["z", "y", "x", "w", "v", "u", "t", "s", "r", "q"]}`
	if err := os.WriteFile(filepath.Join(filepath.Dir(foreign), "config.json"), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, about, _, err = exchange.FromWeightsAt(foreign, exchange.ModelConfig{}); err != nil || about.Classes[0] != "z" || about.Preprocess.Resize != 28 {
		t.Errorf("%+v, %v", about, err)
	}
	if _, _, _, err := exchange.FromWeightsAt(path, exchange.ModelConfig{Model: "resnet18"}); err == nil || !strings.Contains(err.Error(), "computes d2l-bnlenet, not resnet18") {
		t.Errorf("as another model: %v", err)
	}
}

func TestFromWeightsRefuses(t *testing.T) {
	_, m := net(t, small, models.Config{})
	_, alike := net(t, "cifar-resnet8", models.Config{})
	state := nn.StateDict(m)
	more := append(slices.Clone(state), tensor.Named{Name: "extra.weight", Tensor: tensor.New(2)})
	for _, c := range []struct {
		state  []tensor.Named
		config exchange.ModelConfig
		want   []string
	}{
		{nn.StateDict(alike), exchange.ModelConfig{}, []string{"CIFAR plain net like cifar-plain20 with 1, 1, 1 blocks a stage or CIFAR ResNet like cifar-resnet20 with 1, 1, 1", "with Model"}},
		{more, exchange.ModelConfig{}, []string{"fit no model known by name", "from the nearest, CIFAR pre-activation ResNet like", "1 unexpected (extra.weight [2])"}},
		{slices.Delete(slices.Clone(state), 5, 6), exchange.ModelConfig{}, []string{"fit no model known by name", "1 missing (" + state[5].Name + " [16, 16, 3, 3])"}},
		{more, exchange.ModelConfig{Model: small}, []string{"1 unexpected (extra.weight [2])"}},
		{state[1:], exchange.ModelConfig{Model: small}, []string{"no conv1.weight", small}},
		{state[:len(state)-1], exchange.ModelConfig{Model: small}, []string{"1 missing (fc.bias [10])"}},
		{state, exchange.ModelConfig{Model: "resnet18"}, []string{"resnet18"}},
		{state, exchange.ModelConfig{Model: "resnet0"}, []string{`"resnet0" is not known`}},
		{state, exchange.ModelConfig{Classes: []string{"one"}}, []string{"10 classes", "1 names"}},
		{state, exchange.ModelConfig{Images: prepare.Choice{Mean: []float64{1}, Std: []float64{1}}}, []string{"of 1 values for 3 channels"}},
		{state, exchange.ModelConfig{Images: prepare.Choice{Interpolation: "area"}}, []string{`interpolation "area"`}},
		{[]tensor.Named{{Name: "a", Tensor: tensor.New(1)}, {Name: "b.c", Tensor: tensor.New(1)}}, exchange.ModelConfig{}, []string{"other names than those of any model"}},
	} {
		path := foreign(t, c.state, same)
		_, _, _, err := exchange.FromWeightsAt(path, c.config)
		for _, want := range append(c.want, path) {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: want %q, got %v", c.config, want, err)
			}
		}
	}
}

// The error of a backbone says what it is, what is missing and what to do, with torchvision's
// names and with Hugging Face's.
func TestBackbone(t *testing.T) {
	e, m := net(t, "resnet18", models.Config{Blocks: []int{1, 1, 1, 1}})
	backbone := slices.DeleteFunc(nn.StateDict(m), func(s tensor.Named) bool { return strings.HasPrefix(s.Name, "fc.") })
	for _, prefix := range []string{"", "backbone."} {
		path := foreign(t, backbone, func(name string) string { return prefix + name })
		for model, want := range map[string]string{"": "a training with Weights " + path + " gives it a new last layer", "resnet18": "with Weights " + path + " and Model resnet18 gives"} {
			_, _, _, err := exchange.FromWeightsAt(path, exchange.ModelConfig{Model: model, Classes: []string{"cat", "dog"}})
			if err == nil || !strings.Contains(err.Error(), "holds no fc.weight and no fc.bias: it is basic-block ResNet like resnet18 with 1, 1, 1, 1 blocks a stage without its last layer") ||
				!strings.Contains(err.Error(), want) {
				t.Errorf("as %q: %v", model, err)
			}
		}
		if _, _, _, err := exchange.FromWeightsAt(path, exchange.ModelConfig{Model: "resnet50"}); err == nil || strings.Contains(err.Error(), "it is resnet50") {
			t.Errorf("as resnet50: %v", err)
		}
		found, err := exchange.IdentifyAt(path)
		if err != nil || len(found) != 1 || found[0].Entry.Name != e.Name || !found[0].Headless || found[0].Config.Channels != 3 || len(found[0].Config.Blocks) != 4 {
			t.Errorf("identified as %+v, %v", found, err)
		}
	}
	// The error names a last layer that consists of several.
	head := []tensor.Named{
		{Name: "fc.0.weight", Tensor: tensor.New(9, 512)}, {Name: "fc.0.bias", Tensor: tensor.New(9)},
		{Name: "fc.2.weight", Tensor: tensor.New(2, 9)}, {Name: "fc.2.bias", Tensor: tensor.New(2)},
	}
	_, _, _, err := exchange.FromWeightsAt(foreign(t, append(backbone, head...), same), exchange.ModelConfig{})
	if err == nil || !strings.Contains(err.Error(), "2 missing (fc.weight [1000, 512], fc.bias [1000]), 4 unexpected (fc.0.weight [9, 512], fc.0.bias [9], fc.2.weight [2, 9], fc.2.bias [2])") {
		t.Errorf("with a last layer of two: %v", err)
	}
}

// Load adapts the first and last layers to other channels and classes, and says so.
func TestLoadAdapts(t *testing.T) {
	_, from := net(t, small, models.Config{})
	e, to := net(t, small, models.Config{Channels: 1, Classes: 4})
	fresh := nn.Parameters(to)[len(nn.Parameters(to))-2].Value.Clone()
	w, err := exchange.ReadWeightsAt(foreign(t, nn.StateDict(from), same))
	if err != nil {
		t.Fatal(err)
	}
	changes, err := w.Load(to, e)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != 3 || !strings.Contains(changes[0], "fc is new, for 4 classes: the file's is for 10") || !strings.Contains(changes[1], "conv1 takes 1 channel") {
		t.Errorf("changes %q", changes)
	}
	theirs := map[string]*tensor.Tensor{}
	for _, s := range nn.StateDict(from) {
		theirs[s.Name] = s.Tensor
	}
	for _, p := range nn.Named(to) {
		switch {
		case p.Name == "conv1.weight":
			for o := range 16 {
				for y := range 3 {
					for x := range 3 {
						c := theirs[p.Name]
						if got, want := p.Value.At(o, 0, y, x), c.At(o, 0, y, x)+c.At(o, 1, y, x)+c.At(o, 2, y, x); got != want {
							t.Fatalf("conv1[%d, 0, %d, %d] is %v, want %v", o, y, x, got, want)
						}
					}
				}
			}
		case p.Name == "fc.weight":
			if !slices.Equal(p.Value.Data(), fresh.Data()) {
				t.Error("the new layer is not as it was drawn")
			}
		case p.Name != "fc.bias" && !slices.Equal(p.Value.Data(), theirs[p.Name].Data()):
			t.Errorf("%s is not the file's", p.Name)
		}
	}

	// From one channel to three, for a file without a last layer.
	w, err = exchange.ReadWeightsAt(foreign(t, slices.DeleteFunc(nn.StateDict(to), func(s tensor.Named) bool { return strings.HasPrefix(s.Name, "fc.") }), same))
	if err != nil {
		t.Fatal(err)
	}
	_, back := net(t, small, models.Config{})
	changes, err = w.Load(back, e)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != 3 || !strings.Contains(changes[0], "for 10 classes: the file has none") || !strings.Contains(changes[1], "divided equally") {
		t.Errorf("changes %q", changes)
	}
	grey, colours := nn.Parameters(to)[0].Value, nn.Parameters(back)[0].Value
	for o := range 16 {
		for c := range 3 {
			if got, want := colours.At(o, c, 1, 2), grey.At(o, 0, 1, 2)/3; got != want {
				t.Errorf("conv1[%d, %d, 1, 2] is %v, want %v", o, c, got, want)
			}
		}
	}
	if changes, err = w.Load(to, e); err != nil || len(changes) != 2 || !strings.Contains(changes[1], "channels of zeros") {
		t.Errorf("what differs in the last layer alone: %q, %v", changes, err)
	}
}

// All layers between the first and the last must fit; the error names the ones that do not.
func TestLoadRefuses(t *testing.T) {
	e, m := net(t, small, models.Config{})
	change := func(name string, t *tensor.Tensor) []tensor.Named {
		var state []tensor.Named
		for _, s := range nn.StateDict(m) {
			if s.Name == name {
				s.Tensor = t
			}
			if s.Tensor != nil {
				state = append(state, s)
			}
		}
		return state
	}
	for want, state := range map[string][]tensor.Named{
		"1 missing (layer2.0.conv1.weight [32, 16, 3, 3])":          change("layer2.0.conv1.weight", nil),
		"bn.bias is [3] and should be [64]":                         change("bn.bias", tensor.New(3)),
		"bn.bias is int64":                                          change("bn.bias", tensor.FromInts(make([]int64, 64), 64)),
		"conv1.weight is [16, 2, 3, 3] and should be [16, 3, 3, 3]": change("conv1.weight", tensor.New(16, 2, 3, 3)),
		"fc.weight is [10, 63] and should be [10, 64]":              change("fc.weight", tensor.New(10, 63)),
		"1 missing (fc.weight [10, 64])":                            change("fc.weight", nil),
		"fc.bias is [9] and should be [10]":                         change("fc.bias", tensor.New(9)),
		"1 unexpected (other [1])":                                  append(nn.StateDict(m), tensor.Named{Name: "other", Tensor: tensor.New(1)}),
	} {
		w, err := exchange.ReadWeightsAt(foreign(t, state, same))
		if err != nil {
			t.Fatal(err)
		}
		_, to := net(t, small, models.Config{})
		before := nn.StateDict(to)
		if _, err = w.Load(to, e); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), w.Path) {
			t.Errorf("want %q, got %v", want, err)
		}
		for i, s := range nn.StateDict(to) {
			if s.Tensor != before[i].Tensor {
				t.Errorf("%s was changed for nothing", s.Name)
			}
		}
	}
	other, _ := net(t, "cifar-resnet20", models.Config{Blank: true})
	w, err := exchange.ReadWeightsAt(foreign(t, nn.StateDict(m), same))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Load(other.New(models.Config{}), other); err == nil || !strings.Contains(err.Error(), "it holds the weights of CIFAR pre-activation ResNet like cifar-preresnet20") {
		t.Errorf("of another model: %v", err)
	}
}

// BenchmarkLoadResNet50 loads resnet50 from a safetensors file into a network that is ready to
// run; bench/torch_load.py measures the same in PyTorch. RESIDUAL_RESNET50 may name the file
// that this script writes; otherwise the benchmark writes one.
func BenchmarkLoadResNet50(b *testing.B) {
	e, err := models.Lookup("resnet50")
	if err != nil {
		b.Fatal(err)
	}
	path := os.Getenv("RESIDUAL_RESNET50")
	if path == "" {
		path = filepath.Join(b.TempDir(), "resnet50.safetensors")
		err := checkpoint.WriteFile(path, func(w io.Writer) error {
			return safetensors.Write(w, nn.StateDict(e.New(models.Config{})), nil)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		w, err := exchange.ReadWeightsAt(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.Load(e.New(models.Config{Blank: true}), e); err != nil {
			b.Fatal(err)
		}
	}
}
