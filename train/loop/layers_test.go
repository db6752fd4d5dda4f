package loop

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
)

// Layers are counted as in timm.
func TestLayerDecayAgainstTimm(t *testing.T) {
	text, err := os.ReadFile("testdata/timm_layer_decay.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Decay  float64
		Scales map[string]map[string]float64
	}
	if err := json.Unmarshal(text, &f); err != nil || len(f.Scales) != 2 {
		t.Fatal(err, len(f.Scales))
	}
	for name, scales := range f.Scales {
		e, err := models.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		tr := trainee{module: e.New(models.Config{Blank: true}), options: Options{LayerDecay: f.Decay}}
		if err := tr.choose(); err != nil {
			t.Fatal(err)
		}
		if len(tr.trained) != len(scales) {
			t.Errorf("%s: %d parameters, timm has %d", name, len(tr.trained), len(scales))
		}
		for _, p := range tr.trained {
			if got, want := float64(tr.rates[p.Variable]), scales[p.Name]; math.Abs(got-want) > 1e-6*want {
				t.Errorf("%s: the rate of %s is times %v, timm's %v", name, p.Name, got, want)
			}
		}
	}
}

// In every model the last layer and the stem are those that the registry names, and every
// parameter belongs to a group.
func TestGroupsOfEveryModel(t *testing.T) {
	for _, name := range models.Names() {
		e, err := models.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		m := e.New(models.Config{Blank: true, Blocks: slices.Repeat([]int{1}, len(e.Blocks))})
		list := groups(m)
		total := 0
		for _, g := range list {
			total += len(g)
		}
		if total != len(nn.Named(m)) {
			t.Errorf("%s: %d values in layers, there are %d", e.Name, total, len(nn.Named(m)))
		}
		if n := len(e.Blocks); n > 0 && len(list) != n+2 {
			t.Errorf("%s: %d layers of %d blocks", e.Name, len(list), n)
		}
		if last := list[len(list)-1]; layerOf(last[0].Name) != e.Head || len(last) != 2 {
			t.Errorf("%s: the last layer is %s, the registry says %s", e.Name, last[0].Name, e.Head)
		}
		if !strings.HasPrefix(list[0][0].Name, e.Stem+".") {
			t.Errorf("%s: the stem begins with %s, the registry says %s", e.Name, list[0][0].Name, e.Stem)
		}
	}
	lenet := groups(models.NewD2LBNLeNet(1, 10))
	if len(lenet) != 5 || layerOf(lenet[0][0].Name) != "0" || len(lenet[0]) != 6 {
		t.Errorf("the LeNet has %d layers, the first of %d values", len(lenet), len(lenet[0]))
	}
}

// Frozen parameters and running statistics keep their bits, the others are trained, and
// gradients that only frozen parameters need are not computed.
func TestFreeze(t *testing.T) {
	ds := someImages(t, data.Train, 40)
	for _, c := range []struct {
		words                 string
		frozen                []string // name prefixes
		inputs, weights, stat int      // gradients of convolutions, and batch norms that update their statistics
	}{
		{"", nil, 7, 8, 7},
		{"stem", []string{"conv1.", "bn1."}, 6, 7, 6},
		{"backbone", []string{"conv1.", "bn1.", "layer"}, 0, 1, 0},
		{"conv1,bn1,layer1.0.conv1", []string{"conv1.", "bn1.", "layer1.0.conv1."}, 6, 6, 6},
		{"bn1", []string{"bn1."}, 7, 8, 6},
		{"fc", []string{"fc."}, 7, 7, 7},
	} {
		m := resNet(t)
		var words []string
		if c.words != "" {
			words = strings.Split(c.words, ",")
		}
		tr := trainerOf(t, m, ds, nil, Options{Batch: 20, Epochs: 2, Optimizer: optim.SGD{Momentum: 0.9, WeightDecay: 0.1}, EMA: 0.5, Freeze: words})
		before := copies(nn.StateDict(m))
		run(t, tr, nil)
		for i, p := range nn.Named(m) {
			frozen := slices.ContainsFunc(c.frozen, func(prefix string) bool { return strings.HasPrefix(p.Name, prefix) })
			if unchanged := slices.Equal(before[i].Tensor.Data(), p.Value.Data()); unchanged != frozen {
				t.Errorf("--freeze %q: %s was kept: %v", c.words, p.Name, unchanged)
			}
		}
		var inputs, weights, stats int
		for _, s := range tr.programs[batchKind{20, false}].Steps() {
			switch s := s.(type) {
			case *engine.ConvGradInput:
				inputs++
			case *engine.ConvGradWeight:
				weights++
			case *engine.BatchNormStats:
				stats++
			case *engine.Conv:
				if s.Stats != nil {
					stats++
				}
			}
		}
		if inputs != c.inputs || weights != c.weights || stats != c.stat {
			t.Errorf("--freeze %q: %d gradients of inputs, %d of weights, %d batch norms at work; want %d, %d, %d", c.words, inputs, weights, stats, c.inputs, c.weights, c.stat)
		}
	}
}

// resNet returns a residual network of three blocks.
func resNet(t *testing.T) nn.Module {
	t.Helper()
	e, err := models.Lookup("cifar-resnet8")
	if err != nil {
		t.Fatal(err)
	}
	return e.New(models.Config{Channels: 1, Blocks: []int{1, 1, 1}})
}

// In the first step the change of a layer is proportional to its learning rate.
func TestRatesOfLayers(t *testing.T) {
	ds := someImages(t, data.Train, 40)
	moved := func(o Options) map[string]float64 {
		m := resNet(t)
		o.Batch, o.Epochs, o.Schedule = 40, 1, optim.Constant{Base: 0.1}
		tr := trainerOf(t, m, ds, nil, o)
		before := copies(nn.StateDict(m))
		run(t, tr, nil)
		by := map[string]float64{}
		for _, p := range nn.Parameters(m) {
			for _, b := range before {
				if b.Name == p.Name {
					for j, v := range p.Value.Data() {
						by[p.Name] += math.Abs(float64(v - b.Tensor.Data()[j]))
					}
				}
			}
		}
		return by
	}
	full := moved(Options{})
	for name, o := range map[string]Options{"backbone": {BackboneRate: 0.25}, "decay": {LayerDecay: 0.5}} {
		for param, length := range moved(o) {
			factor := 0.25
			switch {
			case strings.HasPrefix(param, "fc."):
				factor = 1
			case name == "decay" && strings.HasPrefix(param, "layer3."):
				factor = 0.5
			case name == "decay" && strings.HasPrefix(param, "layer2."):
				factor = 0.25
			case name == "decay" && strings.HasPrefix(param, "layer1."):
				factor = 0.125
			case name == "decay":
				factor = 0.0625
			}
			if want := factor * full[param]; math.Abs(length-want) > 1e-3*want {
				t.Errorf("%s: %s moved by %v, want %v", name, param, length, want)
			}
		}
	}
}

// With frozen layers the bits, including the norm of the gradients, depend neither on
// recomputation nor on the number of threads, in either precision.
func TestFrozenSameBits(t *testing.T) {
	ds := someImages(t, data.Train, 60)
	for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
		var want nn.Module
		for _, threads := range []int{1, 2, 3} {
			for _, recompute := range []bool{false, true} {
				dev, err := cpu.New(cpu.Options{Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				m := resNet(t)
				nn.Init(m, 4, nn.XavierUniform)
				tr, err := New(dev, m, ds, nil, Options{
					Batch: 20, Epochs: 2, Precision: precision, Recompute: recompute, Freeze: []string{"stem", "layer2"},
					ClipNorm: 0.1, EMA: 0.5, Accumulate: 2, LayerDecay: 0.7, Optimizer: optim.SGD{Momentum: 0.9}, Schedule: optim.Constant{Base: 0.3},
				})
				if err != nil {
					t.Fatal(err)
				}
				run(t, tr, nil)
				dev.Close()
				if want == nil {
					want = m
				}
				if off := apart(want, m); off != 0 {
					t.Errorf("%v: %d threads, recomputing %v: %v apart", precision, threads, recompute, off)
				}
			}
		}
	}
}

// A head of several layers is one group, and the last wherever it is declared.
func TestGroupsOfAReplacedHead(t *testing.T) {
	m := resNet(t)
	if err := nn.ReplaceHead(m, nn.Sequential{nn.NewLinear(64, 8), nn.NewBatchNorm1d(8), nn.NewLinear(8, 10)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		m      nn.Module
		head   string
		values int
	}{{m, "fc.", 8}, {nn.Sequential{m}, "0.fc.", 8}, {&headFirst{nn.NewLinear(10, 3), m}, "out.", 2}} {
		list := groups(c.m)
		last, total := list[len(list)-1], 0
		for _, g := range list {
			total += len(g)
		}
		for _, p := range last {
			if !strings.HasPrefix(p.Name, c.head) {
				t.Errorf("%s is in the head", p.Name)
			}
		}
		if len(last) != c.values || total != len(nn.Named(c.m)) {
			t.Errorf("%s: %d values in the head, %d in all", c.head, len(last), total)
		}
	}
}

// headFirst declares its head first, and says so.
type headFirst struct {
	Out  *nn.Linear
	Body nn.Module
}

func (m *headFirst) Head() string { return "out" }

func (m *headFirst) Forward(x *graph.Node) *graph.Node { return m.Out.Forward(m.Body.Forward(x)) }
