package inference_test

import (
	"context"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

func device(t *testing.T) engine.Device {
	t.Helper()
	d, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func classes() []string {
	return []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
}

func leNetInfo() checkpoint.Model {
	return checkpoint.Model{
		Architecture: "d2l-bnlenet", Classes: classes(),
		Input: prepare.Input{Channels: 1, Height: 28, Width: 28, Preprocess: prepare.Steps{NativeHeight: 28, NativeWidth: 28, Grey: true}}, Dataset: "garments",
	}
}

// save writes a model of random weights and returns it with the file's path.
func save(t testing.TB, info checkpoint.Model, change func([]tensor.Named) []tensor.Named) (nn.Module, string) {
	t.Helper()
	m, err := models.New(info.Architecture, models.Config{Channels: info.Channels, Classes: 10})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(m, 7, nn.XavierUniform)
	var state []tensor.Named
	state = append(state, nn.StateDict(m)...)
	if change != nil {
		state = change(state)
	}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := checkpoint.SaveModel(path, info, state); err != nil {
		t.Fatal(err)
	}
	return m, path
}

func garments(t *testing.T, size int) data.Dataset {
	t.Helper()
	ds, err := data.Open(context.Background(), "garments", data.Options{Split: data.Test, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// Predict and Evaluate give the same results for the images of a data set.
func TestPredictAgreesWithEvaluate(t *testing.T) {
	dev := device(t)
	_, path := save(t, leNetInfo(), nil)
	c, err := inference.Load(path, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	const n = 45
	ds := garments(t, n)
	var calls int
	res, err := c.Evaluate(context.Background(), ds, data.LoaderConfig{Batch: 20, Workers: 2}, func(done, total int) {
		calls++
		if total != n || done > n {
			t.Errorf("progress %d of %d", done, total)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if res.Count != n || calls != 3 || !(res.ImagesPerSecond > 0) {
		t.Errorf("%d images in %d batches at %v images/s", res.Count, calls, res.ImagesPerSecond)
	}
	var images []image.Image
	var labels []int
	for i := range n {
		g := image.NewGray(image.Rect(0, 0, 28, 28))
		label, err := ds.Get(i, g.Pix)
		if err != nil {
			t.Fatal(err)
		}
		images, labels = append(images, g), append(labels, label)
	}
	all, err := c.PredictAll(t.Context(), images, 0)
	if err != nil {
		t.Fatal(err)
	}
	confusion, loss, right := make([][]int, 10), 0.0, 0
	for i := range confusion {
		confusion[i] = make([]int, 10)
	}
	for i, ps := range all {
		confusion[labels[i]][ps[0].Index]++
		sum := 0.0
		for _, p := range ps {
			sum += p.Probability
			if p.Index == labels[i] {
				loss -= math.Log(p.Probability) / n
			}
		}
		if math.Abs(sum-1) > 1e-6 || len(ps) != 10 || ps[0].Class != classes()[ps[0].Index] {
			t.Fatalf("image %d: %v", i, ps)
		}
		if ps[0].Index == labels[i] {
			right++
		}
	}
	if !slices.EqualFunc(confusion, res.Confusion, slices.Equal[[]int]) {
		t.Errorf("Predict counts %v, Evaluate %v", confusion, res.Confusion)
	}
	if math.Abs(loss-res.Loss) > 1e-5 || math.Abs(res.Accuracy-float64(right)/n) > 1e-12 {
		t.Errorf("loss %v and %d right, Evaluate says %v and %v", loss, right, res.Loss, res.Accuracy)
	}
	one, err := c.Predict(t.Context(), images[3], 3)
	if err != nil || len(one) != 3 || one[0].Index != all[3][0].Index {
		t.Errorf("alone %v (%v), in a batch %v", one, err, all[3])
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	dev := device(t)
	drop := func(s []tensor.Named) []tensor.Named { return s[1:] }
	extra := func(s []tensor.Named) []tensor.Named {
		return append(s, tensor.Named{Name: "head.weight", Tensor: tensor.New(2)})
	}
	bent := func(s []tensor.Named) []tensor.Named {
		s[0].Tensor = tensor.New(6, 1, 5, 4)
		return s
	}
	with := func(f func(*checkpoint.Model)) checkpoint.Model {
		m := leNetInfo()
		f(&m)
		return m
	}
	for name, c := range map[string]struct {
		info   checkpoint.Model
		change func([]tensor.Named) []tensor.Named
		want   string
	}{
		"missing":      {leNetInfo(), drop, "missing (0.weight)"},
		"unexpected":   {leNetInfo(), extra, "unexpected (head.weight)"},
		"shape":        {leNetInfo(), bent, "0.weight is float32 [6, 1, 5, 4] and should be float32 [6, 1, 5, 5]"},
		"architecture": {with(func(m *checkpoint.Model) { m.Architecture = "alexnet" }), nil, "d2l-resnet18"},
		"other model":  {with(func(m *checkpoint.Model) { m.Architecture, m.Height, m.Width = "d2l-resnet18", 96, 96 }), leNetState, "missing"},
		"input":        {with(func(m *checkpoint.Model) { m.Height = 32 }), nil, "takes only 28x28"},
		"classes":      {with(func(m *checkpoint.Model) { m.Classes = classes()[:9] }), nil, "of another shape"},
		"resize":       {with(func(m *checkpoint.Model) { m.Preprocess.Resize = 60000 }), nil, "at most 4096"},
		"disagreement": {with(func(m *checkpoint.Model) { m.Preprocess.Resize = 32 }), nil, "resized to 32x32"},
		"stages":       {with(func(m *checkpoint.Model) { m.Blocks = []int{1} }), nil, "no stages"},
		"blocks": {with(func(m *checkpoint.Model) {
			m.Architecture, m.Height, m.Width, m.Blocks = "d2l-resnet18", 96, 96, []int{2, 2, 2}
		}), nil, "4 stages"},
		"lie": {with(func(m *checkpoint.Model) {
			m.Architecture, m.Height, m.Width, m.Classes = "d2l-resnet18", 96, 96, slices.Repeat([]string{"x"}, 60000)
		}), leNetState, "holds only"},
		"deep lie": {with(func(m *checkpoint.Model) {
			m.Architecture, m.Height, m.Width, m.Blocks = "d2l-resnet18", 96, 96, []int{1000, 1000, 1000, 1000}
		}), leNetState, "holds only"},
	} {
		t.Run(name, func(t *testing.T) {
			info := c.info
			if info.Architecture == "alexnet" {
				_, path := save(t, leNetInfo(), nil)
				if err := checkpoint.SaveModel(path, info, nil); err != nil {
					t.Fatal(err)
				}
				wantError(t, path, dev, c.want)
				return
			}
			_, path := save(t, info, c.change)
			wantError(t, path, dev, c.want)
		})
	}
	_, path := save(t, leNetInfo(), nil)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)-100], 0o666); err != nil {
		t.Fatal(err)
	}
	wantError(t, path, dev, "")
	wantError(t, filepath.Join(t.TempDir(), "none.safetensors"), dev, "none.safetensors")
}

func leNetState([]tensor.Named) []tensor.Named {
	m, err := models.New("d2l-bnlenet", models.Config{})
	if err != nil {
		panic(err)
	}
	var state []tensor.Named
	state = append(state, nn.StateDict(m)...)
	return state
}

func wantError(t *testing.T, path string, dev engine.Device, want string) {
	t.Helper()
	_, err := inference.Load(path, dev, engine.FP32)
	if err == nil {
		t.Fatal("the file has been loaded")
	}
	if text := err.Error(); !strings.Contains(text, path) || !strings.Contains(text, want) || strings.Contains(text, "\n") {
		t.Errorf("got %q, want %q and the path in one line", text, want)
	}
}

// The values follow from the formula of Pillow's Image.convert("L").
func TestPrepareGrey(t *testing.T) {
	_, path := save(t, leNetInfo(), nil)
	c, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewNRGBA(image.Rect(5, 5, 33, 33))
	colours := []struct {
		c    color.NRGBA
		grey uint8
	}{
		{color.NRGBA{255, 0, 0, 255}, 76}, {color.NRGBA{0, 255, 0, 255}, 150}, {color.NRGBA{0, 0, 255, 255}, 29},
		{color.NRGBA{255, 255, 255, 0}, 255}, {color.NRGBA{10, 20, 30, 255}, 18}, {color.NRGBA{200, 100, 50, 255}, 124},
	}
	for i, k := range colours {
		img.SetNRGBA(5+i, 5, k.c)
	}
	x, err := c.Prepare([]image.Image{img})
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range colours {
		if got := x.Data()[i]; got != float32(k.grey)/255 {
			t.Errorf("%v becomes %v, want %d/255", k.c, got*255, k.grey)
		}
	}
	if _, err := c.Prepare([]image.Image{image.NewGray(image.Rect(0, 0, 0, 4))}); err == nil {
		t.Error("an image without pixels was accepted")
	}
}

// All types of image.Image give the same numbers for the same colours, at any size.
func TestPrepareKindsOfImages(t *testing.T) {
	info := leNetInfo()
	info.Preprocess.Mean, info.Preprocess.Std = []float64{0.25}, []float64{0.5}
	_, path := save(t, info, nil)
	c, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	r := image.Rect(0, 0, 61, 40)
	kinds := []interface {
		image.Image
		Set(x, y int, c color.Color)
	}{image.NewGray(r), image.NewNRGBA(r), image.NewRGBA(r), image.NewGray16(r), image.NewNRGBA64(r)}
	var images []image.Image
	for _, k := range kinds {
		for y := range 40 {
			for x := range 61 {
				k.Set(x, y, color.Gray{uint8(x*3 + y)})
			}
		}
		images = append(images, k)
	}
	x, err := c.Prepare(images)
	if err != nil {
		t.Fatal(err)
	}
	if !x.Shape().Equal(tensor.Shape{5, 1, 28, 28}) {
		t.Fatalf("prepared %v", x.Shape())
	}
	for i := range kinds {
		if !slices.Equal(x.Data()[:784], x.Data()[i*784:(i+1)*784]) {
			t.Errorf("a %T gives other numbers than a grey image", kinds[i])
		}
	}
	small, grey := make([]uint8, 784), images[0].(*image.Gray)
	data.ResizeBilinear(small, 28, 28, grey.Pix, 61, 40)
	for i, v := range small {
		if want := (float64(v)/255 - 0.25) / 0.5; math.Abs(float64(x.Data()[i])-want) > 1e-6 {
			t.Fatalf("number %d is %v, want %v", i, x.Data()[i], want)
		}
	}
}
