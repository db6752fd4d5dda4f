package exchange

import (
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// basic and resnet are the networks with basic blocks in torch_export.py. They have
// torchvision's names.
type basic struct {
	Conv1, Conv2 *nn.Conv2d
	BN1, BN2     *nn.BatchNorm2d
	Downsample   nn.Sequential
}

func (b *basic) Forward(x *graph.Node) *graph.Node {
	y := nn.ReLU{}.Forward(b.BN1.Forward(b.Conv1.Forward(x)))
	y = b.BN2.Forward(b.Conv2.Forward(y))
	if b.Downsample != nil {
		x = b.Downsample.Forward(x)
	}
	return nn.ReLU{}.Forward(x.Add(y)) // the summands are in the other order than PyTorch's
}

type resnet struct {
	Conv1          *nn.Conv2d
	BN1            *nn.BatchNorm2d
	Layer1, Layer2 nn.Sequential
	FC             *nn.Linear
}

func (m *resnet) Forward(x *graph.Node) *graph.Node {
	x = nn.ReLU{}.Forward(m.BN1.Forward(m.Conv1.Forward(x)))
	x = nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}.Forward(x)
	x = m.Layer2.Forward(m.Layer1.Forward(x))
	return m.FC.Forward(nn.Flatten{}.Forward(nn.AdaptiveAvgPool2d{}.Forward(x)))
}

func conv(in, out, kernel, stride int) *nn.Conv2d {
	return nn.NewConv2d(in, out, kernel, nn.Conv{Stride: stride, Padding: kernel / 2, NoBias: true})
}

func newResnet(blocks, channels, classes int) *resnet {
	m := &resnet{Conv1: conv(channels, 4, 7, 2), BN1: nn.NewBatchNorm2d(4), FC: nn.NewLinear(8, classes)}
	for range blocks {
		m.Layer1 = append(m.Layer1, &basic{Conv1: conv(4, 4, 3, 1), Conv2: conv(4, 4, 3, 1), BN1: nn.NewBatchNorm2d(4), BN2: nn.NewBatchNorm2d(4)})
	}
	m.Layer2 = nn.Sequential{&basic{
		Conv1: conv(4, 8, 3, 2), Conv2: conv(8, 8, 3, 1), BN1: nn.NewBatchNorm2d(8), BN2: nn.NewBatchNorm2d(8),
		Downsample: nn.Sequential{conv(4, 8, 1, 2), nn.NewBatchNorm2d(8)},
	}}
	return m
}

// tried returns matches of entries with their own blocks.
func tried(n *Network, entries ...models.Entry) (all []models.Match) {
	for _, e := range entries {
		all = append(all, models.Match{Entry: e, Config: models.Config{Channels: n.Input.Channels, Classes: n.Classes}})
	}
	return all
}

// The weights of PyTorch's exports, folded or not, get PyTorch's names.
func TestRecognisePyTorchsExports(t *testing.T) {
	entry := func(name string, blocks int) models.Entry {
		return models.Entry{Name: name, Input: prepare.Input{Channels: 3, Height: 32, Width: 32}, Classes: 5,
			New: func(c models.Config) nn.Module { return newResnet(blocks, c.Channels, c.Classes) }}
	}
	for name, want := range map[string]string{"unfolded": "one", "folded": "one", "dynamo": "one", "unoptimised": "one", "view": "two", "bottleneck": ""} {
		m, f, x, logits := load(t, name)
		net := imported(t, m)
		match, found, err := recognise(net, tried(net, entry("three", 3), entry("two", 2), entry("one", 1)), "")
		if err != nil {
			t.Fatal(err)
		}
		if e := match.Entry; e.Name != want || (found == nil) != (want == "") {
			t.Errorf("%s: found %q; want %q", name, e.Name, want)
		}
		if found == nil {
			continue
		}
		if net.Softmax {
			found = nn.Sequential{found, nn.Softmax{}}
		}
		near(t, name, call(t, found, x).Data(), logits)
		if name != "unfolded" {
			continue
		}
		for _, p := range nn.Named(found) {
			sum := 0.0
			for _, v := range p.Value.Data() {
				sum += float64(v)
			}
			if want, ok := f.State[p.Name]; !ok || math.Abs(sum-want) > 1e-6*max(1, math.Abs(want)) {
				t.Errorf("%s sums up to %v, in PyTorch to %v", p.Name, sum, want)
			}
		}
	}
}

// plainShortcut is resnet with a bias in place of the shortcut's batch norm. Folded, the two
// have the same graph.
func plainShortcut(channels, classes int) *resnet {
	m := newResnet(1, channels, classes)
	m.Layer2[0].(*basic).Downsample = nn.Sequential{nn.NewConv2d(4, 8, 1, nn.Conv{Stride: 2})}
	return m
}

func TestRecogniseByNamesWhereFoldingHidesTheDifference(t *testing.T) {
	m, _, x, logits := load(t, "folded")
	net := imported(t, m)
	under := func(c models.Config) nn.Module { return nn.Sequential{plainShortcut(c.Channels, c.Classes)} }
	entries := []models.Entry{
		{Name: "other names", Input: prepare.Input{Height: 32, Width: 32}, New: under},
		{Name: "resnet", Input: prepare.Input{Height: 32, Width: 32}, New: func(c models.Config) nn.Module { return newResnet(1, c.Channels, c.Classes) }},
	}
	for likely, want := range map[string]string{"": "resnet", "other names": "other names", "none": "resnet"} {
		match, found, err := recognise(net, tried(net, entries...), likely)
		if err != nil || match.Entry.Name != want {
			t.Errorf("likely %q: found %q; want %q", likely, match.Entry.Name, want)
			continue
		}
		near(t, want, call(t, found, x).Data(), logits)
	}
}

// A net with unusual numbers of blocks is recognised by its names. If another model of the
// registry has these numbers, the net gets that model's name.
func TestRecogniseOtherBlocks(t *testing.T) {
	for _, c := range []struct {
		from, want   string
		blocks, left []int
	}{
		{"cifar-preresnet20", "cifar-preresnet20", []int{1, 2, 1}, []int{1, 2, 1}},
		{"cifar-resnet20", "cifar-resnet32", []int{5, 5, 5}, nil},
	} {
		e, err := models.Lookup(c.from)
		if err != nil {
			t.Fatal(err)
		}
		m := shake(e.New(models.Config{Blocks: c.blocks}))
		for _, fold := range []bool{false, true} {
			net := imported(t, exported(t, m, ExportConfig{Input: prepare.Input{Channels: 3, Height: 32, Width: 32}, Fold: fold}))
			match, found, err := Recognise(net, "")
			if err != nil {
				t.Fatalf("blocks %v, folded %v: %v", c.blocks, fold, err)
			}
			if match.Entry.Name != c.want || !slices.Equal(match.Config.Blocks, c.left) {
				t.Errorf("blocks %v, folded %v: %s with blocks %v", c.blocks, fold, match.Entry.Name, match.Config.Blocks)
			}
			x := unit(1, 3, 32, 32)
			near(t, c.from, call(t, found, x).Data(), call(t, m, x).Data())
		}
	}
}

// A batch norm that was never trained may be folded without leaving a bias.
func TestRecogniseWithoutBias(t *testing.T) {
	e, err := models.Lookup("cifar-resnet20")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{})
	model := exported(t, m, ExportConfig{Input: prepare.Input{Channels: 3, Height: 32, Width: 32}, Fold: true})
	left := 0
	for i, n := range model.Graph.Nodes {
		if n.Op == "Conv" && len(n.Inputs) == 3 {
			model.Graph.Nodes[i].Inputs = n.Inputs[:2]
			left++
		}
	}
	net := imported(t, model)
	match, found, err := Recognise(net, "")
	if err != nil || match.Entry.Name != e.Name || left < 19 {
		t.Fatalf("%s, %v, %d biases left out", match.Entry.Name, err, left)
	}
	x := unit(1, 3, 32, 32)
	near(t, e.Name, call(t, found, x).Data(), call(t, net, x).Data())
}
