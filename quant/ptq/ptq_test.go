package ptq_test

import (
	"context"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/quant/ptq"
)

const side = 16 // pixels of an image

var classes = []string{"a", "b", "c", "d"}

// set is a data set of random images with given labels.
type set struct {
	name   string
	pixels []transforms.Image
	labels []int
}

func newSet(name string, n int, seed uint64) *set {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &set{name: name, labels: make([]int, n)}
	base := 0
	for range n {
		m := transforms.NewImage(3, side, side)
		for i := range m.Pix {
			if i%(side*side) == 0 {
				base = r.IntN(192)
			}
			m.Pix[i] = uint8(base + r.IntN(64))
		}
		s.pixels = append(s.pixels, m)
	}
	return s
}

func (s *set) Len() int { return len(s.pixels) }
func (s *set) Info() data.Info {
	return data.Info{Name: s.name, Channels: 3, Height: side, Width: side, Classes: classes}
}
func (s *set) Get(i int, pix []uint8) (int, error) {
	copy(pix, s.pixels[i].Pix)
	return s.labels[i], nil
}

func device(t *testing.T) engine.Device {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// net returns a small residual net with random weights.
func net(t *testing.T) *modelfile.Model {
	t.Helper()
	e, err := models.Lookup("cifar-resnet20")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{Classes: len(classes), Blocks: []int{1, 1, 1}})
	nn.Init(m, 5, nn.KaimingNormal)
	return &modelfile.Model{Path: "net.safetensors", Module: m, Info: checkpoint.Model{
		Architecture: e.Name, Blocks: []int{1, 1, 1}, Classes: classes, Dataset: "waves",
		Input: prepare.Resolved(prepare.Input{Channels: 3, Height: side, Width: side, Preprocess: prepare.Steps{Mean: []float64{0.5, 0.5, 0.5}, Std: []float64{0.3, 0.3, 0.3}}}),
	}}
}

// taught returns a classifier, and images of which it knows every label in float32: these are its
// own answers. The bias of m is changed so that all classes are among them.
func taught(t *testing.T, m *modelfile.Model) (*inference.Classifier, *ptq.Images) {
	t.Helper()
	dev, test := device(t), newSet("test", 200, 2)
	parameters := nn.Parameters(m.Module)
	bias := parameters[len(parameters)-1].Value.Data()
	for i, v := range answers(t, inference.New(m, dev, engine.FP32), test) {
		bias[i%len(classes)] -= v / float32(test.Len())
	}
	c := inference.New(m, dev, engine.FP32)
	logits, seen := answers(t, c, test), map[int]bool{}
	for i := range test.labels {
		row := logits[i*len(classes) : (i+1)*len(classes)]
		test.labels[i] = slices.Index(row, slices.Max(row))
		seen[test.labels[i]] = true
	}
	if len(seen) < 2 {
		t.Fatalf("the net answers with one class alone")
	}
	return c, &ptq.Images{Name: "waves", Train: newSet("train", 96, 1), Test: test}
}

// answers returns the logits of all images of a set.
func answers(t *testing.T, c *inference.Classifier, s *set) []float32 {
	t.Helper()
	x, err := c.PreparePixels(s.pixels)
	if err != nil {
		t.Fatal(err)
	}
	y, err := c.Logits(x)
	if err != nil {
		t.Fatal(err)
	}
	return y.Data()
}

// A quantised net keeps its accuracy within the limit, its layers are described, and the file that
// is written computes what was measured.
func TestQuantise(t *testing.T) {
	m := net(t)
	c, images := taught(t, m)
	stages := map[string]int{}
	r, err := ptq.Quantise(context.Background(), c, images, ptq.Config{MaxDrop: 5, Images: 48, Progress: func(stage string, done, total int) {
		stages[stage]++
		if done < 0 || done > total {
			t.Errorf("%s: %d of %d", stage, done, total)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Methods) != len(quant.Methods()) || len(r.Layers) != 8 || len(stages) < 6 {
		t.Errorf("%d methods, %d layers, %d stages", len(r.Methods), len(r.Layers), len(stages))
	}
	for _, tried := range r.Methods {
		if tried.Error < r.Methods[slices.IndexFunc(r.Methods, func(m ptq.MethodError) bool { return m.Method == r.Method })].Error {
			t.Errorf("%s was chosen, and %s has the error %v", r.Method, tried.Method, tried.Error)
		}
	}
	for i, l := range r.Layers {
		ends := i == 0 || i == len(r.Layers)-1
		if ends == l.Quantised && l.Why == "" || ends && l.Quantised {
			t.Errorf("layer %d, %s, is quantised: %v (%s)", i, l.Layer, l.Quantised, l.Why)
		}
		if l.Quantised && (l.High <= 0 || l.High > l.Seen || l.Error == nil || *l.Error <= 0 || l.Before == nil || l.After == nil) {
			t.Errorf("%+v", l)
		}
	}
	if *r.Drop > 5 || r.Error <= 0 || r.Error > 0.2 {
		t.Errorf("%v points lost, error %v", *r.Drop, r.Error)
	}
	first, last := r.States[0], r.States[len(r.States)-1]
	if first.Precision != "fp32" || *first.Accuracy != 1 || last.Precision != "int8" || math.Abs(100*float64(*first.Accuracy-*last.Accuracy)-float64(*r.Drop)) > 1e-9 {
		t.Errorf("%+v, %+v", first, last)
	}
	path := filepath.Join(t.TempDir(), "small.safetensors")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	small, err := inference.Load(path, c.Device(), engine.Auto)
	if err != nil {
		t.Fatal(err)
	}
	if small.Precision() != engine.INT8 {
		t.Errorf("a quantised model is computed in %v", small.Precision())
	}
	got, err := small.Evaluate(context.Background(), images.Test, data.LoaderConfig{Batch: 64}, nil)
	if err != nil || got.Accuracy != float64(*last.Accuracy) {
		t.Errorf("the file has the accuracy %v, and %v was measured (%v)", got.Accuracy, *last.Accuracy, err)
	}
}

// With a limit that the net cannot keep, the most sensitive layers stay in floating point, and if
// none is left it is an error.
func TestMaxDrop(t *testing.T) {
	m := net(t)
	c, images := taught(t, m)
	loose, err := ptq.Quantise(context.Background(), c, images, ptq.Config{MaxDrop: 100, Images: 48, Method: quant.Entropy})
	if err != nil {
		t.Fatal(err)
	}
	if *loose.Drop <= 0.5 {
		t.Skipf("the whole net loses only %v points", *loose.Drop)
	}
	strict, err := ptq.Quantise(context.Background(), c, images, ptq.Config{MaxDrop: float64(*loose.Drop) - 0.5, Images: 48, Method: quant.Entropy})
	if err != nil {
		t.Fatal(err)
	}
	worst, all := "", 0.
	for _, l := range loose.Layers {
		if l.Error != nil && float64(*l.Error) > all {
			worst, all = l.Layer, float64(*l.Error)
		}
	}
	if a, b := len(strict.Net.Scheme.Layers), len(loose.Net.Scheme.Layers); a >= b || strict.Net.Scheme.Has(strings.TrimSuffix(worst, ".weight")) || *strict.Drop >= *loose.Drop {
		t.Errorf("%d layers of %d are quantised, %s among them: %v; %v points lost", a, b, worst, strict.Net.Scheme.Has(worst), *strict.Drop)
	}
}

// Files without labels are observed, and no accuracy is measured; random images are said to be so.
func TestWithoutLabels(t *testing.T) {
	m := net(t)
	c := inference.New(m, device(t), engine.FP32)
	dir := t.TempDir()
	for i, p := range newSet("", 6, 3).pixels {
		f, err := os.Create(filepath.Join(dir, strconv.Itoa(i)+".png"))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, transforms.ToImage(p)); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.png"), []byte("nothing"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, s := range []ptq.Source{{Data: dir + "/"}, {Random: true}} {
		images, err := ptq.OpenImages(context.Background(), c, s)
		if err != nil {
			t.Fatal(err)
		}
		if len(images.Notes) != 1 || images.Test != nil || images.Random != s.Random {
			t.Errorf("%+v", images)
		}
		r, err := ptq.Quantise(context.Background(), c, images, ptq.Config{Images: 4, Method: quant.MinMax})
		if err != nil {
			t.Fatal(err)
		}
		if r.Drop != nil || r.States[0].Accuracy != nil || r.Random != s.Random || r.Images < 1 || len(r.Net.Scheme.Layers) == 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestErrors(t *testing.T) {
	ctx, dev := context.Background(), device(t)
	m := net(t)
	c, images := taught(t, m)
	for _, config := range []ptq.Config{{MaxDrop: -1}, {Images: -1}, {Method: "most"}} {
		if _, err := ptq.Quantise(ctx, c, images, config); err == nil {
			t.Errorf("%+v is accepted", config)
		}
	}
	if _, err := ptq.OpenImages(ctx, c, ptq.Source{Data: t.TempDir() + "/"}); err == nil || !strings.Contains(err.Error(), "no images") {
		t.Errorf("an empty folder: %v", err)
	}
	nameless := *m
	nameless.Info.Dataset = ""
	if _, err := ptq.OpenImages(ctx, inference.New(&nameless, dev, engine.FP32), ptq.Source{}); err == nil || !strings.Contains(err.Error(), "name images like those") {
		t.Errorf("a model without a data set: %v", err)
	}
	other := *images
	other.Train = grey{images.Train}
	if _, err := ptq.Quantise(ctx, c, &other, ptq.Config{}); err == nil || !strings.Contains(err.Error(), "takes 3 channels") {
		t.Errorf("images of another shape: %v", err)
	}
	quantised := *m
	quantised.Module = &quant.Net{Module: m.Module, Scheme: &quant.Scheme{}}
	if _, err := ptq.OpenImages(ctx, inference.New(&quantised, dev, engine.FP32), ptq.Source{Random: true}); err == nil || !strings.Contains(err.Error(), "quantised already") {
		t.Errorf("a quantised model: %v", err)
	}
	plain := *m
	plain.Module = nn.Sequential{nn.Flatten{}, nn.NewLinear(3*side*side, len(classes))}
	if _, err := ptq.Quantise(ctx, inference.New(&plain, dev, engine.FP32), images, ptq.Config{Images: 8}); err == nil || !strings.Contains(err.Error(), "no convolutions") {
		t.Errorf("a net without convolutions: %v", err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if _, err := ptq.Quantise(ended, c, images, ptq.Config{}); err == nil {
		t.Error("an ended context is no error")
	}
	damaged := net(t)
	nn.Parameters(damaged.Module)[0].Value.Data()[0] = float32(math.NaN())
	if _, err := ptq.Quantise(ctx, inference.New(damaged, dev, engine.FP32), images, ptq.Config{Images: 8}); err == nil || !strings.Contains(err.Error(), "not finite") {
		t.Errorf("a weight that is NaN: %v", err)
	}
}

// grey is a data set with one channel.
type grey struct{ data.Dataset }

func (g grey) Info() data.Info {
	i := g.Dataset.Info()
	i.Channels = 1
	return i
}
