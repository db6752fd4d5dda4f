package models

import (
	"fmt"
	"slices"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// residualKinds has one network for every type of block.
var residualKinds = []string{"d2l-resnet18", "resnet18", "resnet50", "preresnet18", "preresnet50", "cifar-resnet8", "cifar-preresnet8", "resnet9-32", "whitened-resnet8"}

// feedAll adds the value of every variable of g to feeds, in float64.
func feedAll(g *graph.Graph, feeds map[*graph.Node][]float64) {
	for _, v := range g.Variables() {
		wide := make([]float64, v.Value.Numel())
		for i, x := range v.Value.Data() {
			wide[i] = float64(x)
		}
		feeds[g.Variable(v)] = wide
	}
}

// A block with ZeroInit returns its shortcut, so an identity block returns its input, bit for
// bit. So does a block whose last layer is set to zero.
func TestZeroInitMakesBlocksIdentities(t *testing.T) {
	for _, name := range residualKinds {
		for _, zeroed := range []bool{false, true} {
			e, err := Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			blocks := slices.Repeat([]int{1}, len(e.Blocks))
			blocks[0] = 2 // the narrowest
			m := e.New(Config{Blocks: blocks, ZeroInit: !zeroed}).(Net)
			b := m.Stages()[0].Blocks[1]
			nn.Init(b, 3, nn.KaimingNormal)
			if !b.Identity() {
				t.Fatalf("%s: the second block is not an identity block", name)
			}
			if zeroed {
				b.Last().Zero()
			}
			g := graph.New(graph.Eval)
			x := g.Input("x", tensor.Float32, 1, channelsOf(name), 3, 3)
			y := b.Forward(x)
			feeds := map[*graph.Node][]float64{x: make([]float64, x.Shape.Numel())}
			feedAll(g, feeds)
			for i := range feeds[x] {
				feeds[x][i] = float64(i%17) / 7 // not negative, as after a ReLU
				if e.Kind == PreActivation {
					feeds[x][i]--
				}
			}
			if got := graph.Reference([]*graph.Node{y}, feeds)[0]; !slices.Equal(got, feeds[x]) {
				t.Errorf("%s, zeroed afterwards %t: the block changes its input", name, zeroed)
			}
		}
	}
}

func channelsOf(name string) int {
	switch name {
	case "cifar-resnet8", "cifar-preresnet8":
		return 16
	case "resnet50", "preresnet50":
		return 256
	}
	return 64
}

// With ZeroInit the last layer of every residual branch starts at zero, and no other.
func TestZeroInitIsOfTheLastLayers(t *testing.T) {
	for _, name := range residualKinds {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		m := e.New(Config{ZeroInit: true, Blocks: slices.Repeat([]int{1}, len(e.Blocks))})
		last := map[string]bool{"bn2.weight": true}
		switch name {
		case "whitened-resnet8":
			last = map[string]bool{"bn1.weight": true}
		case "resnet50":
			last = map[string]bool{"bn3.weight": true}
		case "preresnet18", "cifar-preresnet8":
			last = map[string]bool{"conv2.weight": true}
		case "preresnet50":
			last = map[string]bool{"conv3.weight": true}
		}
		for _, init := range []bool{false, true} {
			if init {
				nn.Init(m, 1, nn.XavierUniform)
			}
			checkZeros(t, fmt.Sprintf("%s, initialised again %t", name, init), m.(Net), last)
		}
	}
}

func checkZeros(t *testing.T, what string, m Net, last map[string]bool) {
	t.Helper()
	for _, s := range m.Stages() {
		for i, b := range s.Blocks {
			for _, p := range nn.Parameters(b) {
				if len(p.Value.Shape()) == 1 && !last[p.Name] && p.Name[len(p.Name)-4:] == "bias" {
					continue // of batch norms
				}
				zero := !slices.ContainsFunc(p.Value.Data(), func(v float32) bool { return v != 0 })
				if zero != last[p.Name] {
					t.Errorf("%s: %s.%d.%s is zero: %t", what, s.Name, i, p.Name, zero)
				}
			}
		}
	}
}

// Through visits the blocks in order, also if one of them is skipped.
func TestThrough(t *testing.T) {
	for _, name := range residualKinds {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := slices.Repeat([]int{1}, len(e.Blocks))
		blocks[0] = 3
		net := e.New(Config{Blocks: blocks}).(Net)
		var want, got []Block
		for _, s := range net.Stages() {
			want = append(want, s.Blocks...)
		}
		g := graph.New(graph.Train)
		y := net.Through(g.Input("x", tensor.Float32, 2, e.Channels, 64, 64), func(b Block, x *graph.Node) *graph.Node {
			got = append(got, b)
			if b.Identity() {
				return x
			}
			branch, shortcut := b.Parts(x)
			if !branch.Shape.Equal(shortcut.Shape) {
				t.Errorf("%s: a branch of %v and a shortcut of %v", name, branch.Shape, shortcut.Shape)
			}
			return shortcut
		})
		if !slices.Equal(got, want) || !y.Shape.Equal(tensor.Shape{2, e.Classes}) {
			t.Errorf("%s: %d of %d blocks visited, logits %v", name, len(got), len(want), y.Shape)
		}
	}
}

// Option A takes every second pixel and appends channels of zeros.
func TestOptionA(t *testing.T) {
	s := optionA(place{in: 2, out: 3, stride: 2})
	g := graph.New(graph.Eval)
	x := g.Input("x", tensor.Float32, 1, 2, 3, 4)
	feeds := map[*graph.Node][]float64{x: make([]float64, 24)}
	for i := range feeds[x] {
		feeds[x][i] = float64(i + 1)
	}
	y := s.Forward(x)
	if got, want := graph.Reference([]*graph.Node{y}, feeds)[0], []float64{1, 3, 9, 11, 13, 15, 21, 23, 0, 0, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The drop probability grows in equal steps up to that of the last block.
func TestStochasticDepthDecays(t *testing.T) {
	m, err := New("cifar-resnet20", Config{StochasticDepth: 0.45})
	if err != nil {
		t.Fatal(err)
	}
	l := 0
	for _, s := range m.(Net).Stages() {
		for _, b := range s.Blocks {
			l++
			if got, want := b.(*BasicBlock).Drop.P, 0.45*float64(l)/9; got != want {
				t.Errorf("block %d is dropped with probability %v, want %v", l, got, want)
			}
		}
	}
}
