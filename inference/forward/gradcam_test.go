package forward_test

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/models/modelstest"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// cams is the output of testdata/gradcam.py.
type cams struct {
	Seed uint64 `json:"seed"`
	CAMs []struct {
		Net      string      `json:"net"`
		Channels int         `json:"channels"`
		Size     int         `json:"size"`
		Classes  []int       `json:"classes"`
		Logits   []float64   `json:"logits"`
		Height   int         `json:"height"`
		Width    int         `json:"width"`
		Maps     [][]float64 `json:"maps"`
	} `json:"cams"`
}

// With the same weights the maps equal PyTorch's, for residual networks with the activation
// before and after the addition, and for a network that pools its maps by windows and has
// several layers after them.
func TestGradCAMAsInPyTorch(t *testing.T) {
	text, err := os.ReadFile("testdata/gradcam.json")
	if err != nil {
		t.Fatal(err)
	}
	var want cams
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	dev, nets := device(t), modelstest.Nets{Seed: want.Seed}
	shown := map[string]bool{}
	for _, w := range want.CAMs {
		m, err := nets.Build(w.Net)
		if err != nil {
			t.Fatal(err)
		}
		// Grad-CAM is computed in FP32 regardless of the runner's precision.
		r := forward.NewRunner(m, engine.NewStore(dev), engine.BF16)
		x, source := tensor.New(2, w.Channels, w.Size, w.Size), nn.NewSource(want.Seed, "images")
		for i := range x.Data() {
			x.Data()[i] = float32(source.Float64())
		}
		got, err := r.GradCAM(x, w.Classes)
		if err != nil {
			t.Fatal(err)
		}
		largest := 0.0
		for _, m := range w.Maps {
			largest = max(largest, slices.Max(m))
		}
		shown[w.Net] = shown[w.Net] || largest > 0
		for i, g := range got {
			if g.Class != w.Classes[i] || g.Height != w.Height || g.Width != w.Width || len(g.Values) != len(w.Maps[i]) {
				t.Fatalf("%s: a map of %dx%d for class %d, in PyTorch %dx%d for class %d", w.Net, g.Height, g.Width, g.Class, w.Height, w.Width, w.Classes[i])
			}
			if math.Abs(g.Logit-w.Logits[i]) > 1e-4 {
				t.Errorf("%s: the logit of class %d is %v, in PyTorch %v", w.Net, g.Class, g.Logit, w.Logits[i])
			}
			off := 0.0
			for j, v := range g.Values {
				off = max(off, math.Abs(float64(v)-w.Maps[i][j]))
			}
			if !(off <= 1e-4*largest) {
				t.Errorf("%s: the map of class %d is off by %.1e of the largest value", w.Net, g.Class, off/largest)
			}
		}
	}
	for net, ok := range shown {
		if !ok {
			t.Errorf("%s: all maps of the fixture are zero", net)
		}
	}
}

// globalMean is a network whose logits depend only on the means of its maps.
type globalMean struct {
	Conv *nn.Conv2d
	FC   *nn.Linear
}

func (m *globalMean) maps(x *graph.Node) *graph.Node {
	return nn.ReLU{}.Forward(m.Conv.Forward(x))
}

func (m *globalMean) Forward(x *graph.Node) *graph.Node {
	return m.FC.Forward(nn.Flatten{}.Forward(nn.AdaptiveAvgPool2d{}.Forward(m.maps(x))))
}

// For such a network Grad-CAM equals the class activation map of Zhou et al.: the sum of the
// maps, each times the class's weight in the linear layer, divided by their area
// (Selvaraju et al., section 3.1).
func TestGradCAMIsCAM(t *testing.T) {
	const classes, channels, size = 5, 12, 9
	m := &globalMean{nn.NewConv2d(3, channels, 3, nn.Conv{Padding: 1}), nn.NewLinear(channels, classes)}
	nn.Init(m, 3, nn.KaimingNormal)
	x, source := tensor.New(4, 3, size, size), nn.NewSource(5, "images")
	for i := range x.Data() {
		x.Data()[i] = float32(source.Float64())
	}
	dev := device(t)
	maps, err := engine.Call(dev, graph.Eval, m.maps, x)
	if err != nil {
		t.Fatal(err)
	}
	r := forward.NewRunner(m, engine.NewStore(dev), engine.FP32)
	logits, err := r.Logits(x)
	if err != nil {
		t.Fatal(err)
	}
	likeliest := make([]int, 4)
	for i := range likeliest {
		row := logits.Data()[i*classes : (i+1)*classes]
		likeliest[i] = slices.Index(row, slices.Max(row))
	}
	for _, asked := range [][]int{{0, 1, 2, 3}, {4, 4, 4, 4}, {-1, 2, -1, -1}} {
		got, err := r.GradCAM(x, asked)
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range got {
			class := asked[i]
			if class < 0 {
				class = likeliest[i]
			}
			if g.Class != class {
				t.Fatalf("image %d: class %d is explained, not %d", i, g.Class, class)
			}
			for j, v := range g.Values {
				cam := 0.0
				for k := range channels {
					cam += float64(m.FC.Weight.Value.Data()[class*channels+k]) * float64(maps.Data()[(i*channels+k)*size*size+j])
				}
				if want := max(0, cam/(size*size)); math.Abs(float64(v)-want) > 1e-6 {
					t.Fatalf("image %d, class %d: value %d is %v, the class activation map %v", i, class, j, v, want)
				}
			}
		}
	}
	if _, err := r.GradCAM(x, []int{0, 0, 0, classes}); err == nil || !strings.Contains(err.Error(), "no class 5") {
		t.Errorf("an unknown class gave %v", err)
	}
}

// For a network without feature maps GradCAM returns an error that says so.
func TestGradCAMWithoutMaps(t *testing.T) {
	m := nn.Sequential{nn.Flatten{}, nn.NewLinear(12, 3)}
	nn.Init(m, 1, nn.XavierUniform)
	r := forward.NewRunner(m, engine.NewStore(device(t)), engine.FP32)
	if _, err := r.GradCAM(tensor.New(1, 3, 2, 2), []int{0}); err == nil || !strings.Contains(err.Error(), "makes no feature maps") {
		t.Errorf("got %v", err)
	}
}
