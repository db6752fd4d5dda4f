package inference_test

import (
	"context"
	"image"
	"image/color"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

func presetInfo() checkpoint.Model {
	return checkpoint.Model{
		Architecture: "cifar-resnet8", Classes: classes(),
		Input: prepare.Input{Channels: 3, Height: 24, Width: 24, Preprocess: prepare.Steps{
			ResizeShorter: 27, Interpolation: "bicubic", Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225},
		}},
	}
}

// With ResizeShorter, Prepare gives the same bits as torchvision's preset, against which
// data/transforms is tested.
func TestPrepareAsTorchvision(t *testing.T) {
	img := image.NewRGBA(image.Rect(3, 5, 60, 45))
	for y := 5; y < 45; y++ {
		for x := 3; x < 60; x++ {
			img.Set(x, y, color.RGBA{uint8(x * y), uint8(x*7 + y), uint8(y * 11), 255})
		}
	}
	for _, name := range prepare.Interpolations() {
		interpolation, ok := transforms.ParseInterpolation(name)
		if !ok {
			t.Fatalf("%s is not a filter", name)
		}
		info := presetInfo()
		info.Preprocess.Interpolation = interpolation.String()
		_, path := save(t, info, nil)
		c, err := inference.Load(path, device(t), engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Prepare([]image.Image{img, img})
		if err != nil {
			t.Fatal(err)
		}
		want := transforms.ImageClassification{
			ResizeSize: 27, CropSize: 24, Interpolation: interpolation, Mean: info.Preprocess.Mean, Std: info.Preprocess.Std,
		}.Apply(transforms.FromImage(img, 3))
		if !got.Shape().Equal(tensor.Shape{2, 3, 24, 24}) || !slices.Equal(got.Data(), append(slices.Clone(want.Data()), want.Data()...)) {
			t.Errorf("%v: an image of %v is not torchvision's", interpolation, got.Shape())
		}
	}
}

// Evaluate and Predict see the same numbers.
func TestEvaluateAsTorchvision(t *testing.T) {
	info := presetInfo()
	info.Channels, info.Preprocess.Grey = 1, true
	info.Preprocess.Mean, info.Preprocess.Std = []float64{0.3}, []float64{0.25}
	_, path := save(t, info, nil)
	c, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	ds := garments(t, 30)
	result, err := c.Evaluate(context.Background(), ds, data.LoaderConfig{Batch: 16}, nil)
	if err != nil {
		t.Fatal(err)
	}
	confusion := make([][]int, 10)
	for i := range confusion {
		confusion[i] = make([]int, 10)
	}
	for i := range ds.Len() {
		g := image.NewGray(image.Rect(0, 0, 28, 28))
		label, err := ds.Get(i, g.Pix)
		if err != nil {
			t.Fatal(err)
		}
		ps, err := c.Predict(t.Context(), g, 1)
		if err != nil {
			t.Fatal(err)
		}
		confusion[label][ps[0].Index]++
	}
	for i := range confusion {
		if !slices.Equal(confusion[i], result.Confusion[i]) {
			t.Errorf("class %d: predicted %v, evaluated %v", i, confusion[i], result.Confusion[i])
		}
	}
}

// A file with a contradictory preparation is refused.
func TestContradictoryPreparation(t *testing.T) {
	for want, change := range map[string]func(*checkpoint.Model){
		"a square is cut out":      func(m *checkpoint.Model) { m.Height = 20 },
		"0 x 0 pixels":             func(m *checkpoint.Model) { m.Height, m.Width = 0, 0 },
		"by both sides too":        func(m *checkpoint.Model) { m.Preprocess.Resize = 24 },
		"blue, green and red":      func(m *checkpoint.Model) { m.Channels, m.Preprocess.BGR = 1, true },
		`interpolation "area"`:     func(m *checkpoint.Model) { m.Preprocess.Interpolation = "area" },
		"a shorter side of -1":     func(m *checkpoint.Model) { m.Preprocess.ResizeShorter = -1 },
		"a mean of 2 values for 3": func(m *checkpoint.Model) { m.Preprocess.Mean = []float64{1, 2} },
	} {
		info := presetInfo()
		change(&info)
		if _, err := info.Metadata(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	info := presetInfo()
	info.Preprocess.ResizeShorter = 5000
	_, path := save(t, info, nil)
	if _, err := inference.Load(path, device(t), engine.FP32); err == nil || !strings.Contains(err.Error(), "at most 4096") {
		t.Errorf("a shorter side of 5000 pixels: %v", err)
	}
}

// Load sets all of a model's tensors to those of the file.
func TestLoadedWeightsAreTheFiles(t *testing.T) {
	m, path := save(t, presetInfo(), nil)
	c, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	got := nn.StateDict(c.Module())
	for i, want := range nn.StateDict(m) {
		if got[i].Name != want.Name || !slices.Equal(got[i].Tensor.Data(), want.Tensor.Data()) {
			t.Errorf("%s is not the file's", want.Name)
		}
	}
}
