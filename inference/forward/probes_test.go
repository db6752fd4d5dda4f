package forward_test

import (
	"encoding/json"
	"image/color"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/models/modelstest"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// fact describes a tensor of testdata/probes.py.
type fact struct {
	Shape  tensor.Shape `json:"shape"`
	L2     float64      `json:"l2"`
	Places []int        `json:"places"`
	At     []float64    `json:"at"`
}

// compare reports how far the values are from PyTorch's, relative to their norm.
func (f fact) compare(t *testing.T, what string, shape tensor.Shape, got []float32) {
	t.Helper()
	if !shape.Equal(f.Shape) {
		t.Errorf("%s is %v, in PyTorch %v", what, shape, f.Shape)
		return
	}
	sum := 0.0
	for _, v := range got {
		sum += float64(v) * float64(v)
	}
	if off := math.Abs(math.Sqrt(sum) - f.L2); !(off <= 1e-4*f.L2) {
		t.Errorf("%s: the norm is %v, in PyTorch %v", what, math.Sqrt(sum), f.L2)
	}
	for i, place := range f.Places {
		if off := math.Abs(float64(got[place]) - f.At[i]); !(off <= 1e-4*f.L2) {
			t.Errorf("%s: element %d is %v, in PyTorch %v", what, place, got[place], f.At[i])
		}
	}
}

// With the same weights activations have torchvision's names and PyTorch's values, and so have
// the gradients with respect to the images and the saliency maps.
func TestProbesAsInPyTorch(t *testing.T) {
	text, err := os.ReadFile("testdata/probes.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Seed   uint64 `json:"seed"`
		Probes []struct {
			Net                string          `json:"net"`
			Channels           int             `json:"channels"`
			Size               int             `json:"size"`
			Classes            []int           `json:"classes"`
			Activations        map[string]fact `json:"activations"`
			Gradient, Saliency fact
		} `json:"probes"`
	}
	if err := json.Unmarshal(text, &want); err != nil || len(want.Probes) != 4 {
		t.Fatal(err, len(want.Probes))
	}
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	nets := modelstest.Nets{Seed: want.Seed}
	for _, w := range want.Probes {
		m, err := nets.Build(w.Net)
		if err != nil {
			t.Fatal(err)
		}
		x, source := tensor.New(2, w.Channels, w.Size, w.Size), nn.NewSource(want.Seed, "images")
		for i := range x.Data() {
			x.Data()[i] = float32(source.Float64())
		}
		r := forward.NewRunner(m, engine.NewStore(dev), engine.FP32)
		all, err := r.Activations(x)
		if err != nil {
			t.Fatal(w.Net, err)
		}
		missing := 0
		for path, f := range w.Activations {
			a := all[path]
			if a == nil {
				missing++
				if strings.HasPrefix(w.Net, "resnet") { // the script's other nets have activations of their own names
					t.Errorf("%s: there is no activation %s", w.Net, path)
				}
				continue
			}
			f.compare(t, w.Net+" "+path, a.Shape(), a.Data())
		}
		if missing > len(w.Activations)/2 {
			t.Errorf("%s: %d activations of %d are missing", w.Net, missing, len(w.Activations))
		}
		gradient, err := r.InputGradient(x, w.Classes)
		if err != nil {
			t.Fatal(w.Net, err)
		}
		w.Gradient.compare(t, w.Net+"'s gradient", gradient.Shape(), gradient.Data())
		maps, err := r.Saliency(x, w.Classes)
		if err != nil {
			t.Fatal(w.Net, err)
		}
		w.Saliency.compare(t, w.Net+"'s saliency", tensor.Shape{2, maps[0].Height, maps[0].Width}, slices.Concat(maps[0].Values, maps[1].Values))
		if logit := all[""].At(1, w.Classes[1]); maps[1].Class != w.Classes[1] || math.Abs(maps[1].Logit-float64(logit)) > 1e-4 {
			t.Errorf("%s: the map is of class %d with logit %v, which is %v", w.Net, maps[1].Class, maps[1].Logit, logit)
		}
	}
}

// Activations chosen by path are those of all, whichever were asked for before.
func TestSomeActivations(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	m := nn.Sequential{nn.NewConv2d(1, 2, 3), nn.ReLU{}, nn.Dropout{}, nn.Flatten{}, nn.NewLinear(8, 3)}
	x := tensor.New(1, 1, 4, 4).Fill(0.5)
	r := forward.NewRunner(m, engine.NewStore(dev), engine.FP32)
	all, err := r.Activations(x)
	if err != nil || len(all) != 6 {
		t.Fatal(err, all)
	}
	for _, paths := range [][]string{{"1"}, {"1", "2", "3"}, {"0", ""}, {"1"}} {
		some, err := r.Activations(x, paths...)
		if err != nil || len(some) != len(paths) {
			t.Fatal(err, some)
		}
		for path, a := range some {
			if !slices.Equal(a.Data(), all[path].Data()) {
				t.Errorf("of %v, %s is %v, not %v", paths, path, a.Data(), all[path].Data())
			}
		}
	}
	if _, err := r.Activations(x, "5"); err == nil || !strings.Contains(err.Error(), `"5"; it has 0, 1, 2, 3, 4`) {
		t.Errorf("an unknown path gave %v", err)
	}
	if _, err := r.Activations(tensor.New(1, 3, 4, 4)); err == nil || !strings.Contains(err.Error(), "0.weight") {
		t.Errorf("images that do not fit gave %v", err)
	}
	if _, err := r.Saliency(x, []int{3}); err == nil || !strings.Contains(err.Error(), "no class 3") {
		t.Errorf("an unknown class gave %v", err)
	}
}

// The image of a saliency map is black at 0 and white at its largest value.
func TestSaliencyImage(t *testing.T) {
	img := forward.Saliency{Height: 1, Width: 3, Values: []float32{0, 2, 4}}.Image()
	for i, want := range []uint8{0, 128, 255} {
		if got := img.GrayAt(i, 0); got != (color.Gray{Y: want}) {
			t.Errorf("pixel %d is %v, want %d", i, got, want)
		}
	}
	if img := (forward.Saliency{Height: 1, Width: 1, Values: []float32{0}}).Image(); img.Pix[0] != 0 {
		t.Error("a map of zeros is not black")
	}
}
