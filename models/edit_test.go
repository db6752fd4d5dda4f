package models_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// small returns a model of the registry with one block in each stage, and the shape of two small images.
func small(t *testing.T, name string) (models.Entry, nn.Module, tensor.Shape) {
	t.Helper()
	e, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	side := e.Height
	if !e.FixedSize {
		side = 32
	}
	return e, e.New(models.Config{Blocks: slices.Repeat([]int{1}, len(e.Blocks))}), tensor.Shape{2, e.Channels, side, side}
}

// The head of every model can be replaced by several layers. All other parameters keep their
// names and values.
func TestReplaceHeadOfEveryModel(t *testing.T) {
	for _, name := range models.Names() {
		e, m, shape := small(t, name)
		if got := nn.Head(m); got != e.Head {
			t.Errorf("%s: the head is %q, the registry says %q", name, got, e.Head)
		}
		f, err := nn.CutHead(m, shape)
		if err != nil {
			t.Fatal(name, err)
		}
		before := nn.Named(m)
		features := f.Forward(graph.New(graph.Eval).Input("x", tensor.Float32, shape...)).Shape
		if len(features) != 2 || len(nn.Named(f)) != len(before)-2 {
			t.Errorf("%s: the features are %v, with %d of %d parameters", name, features, len(nn.Named(f)), len(before))
		}
		if err := nn.ReplaceHead(m, nn.Sequential{nn.Dropout{}, nn.NewLinear(features[1], 7), nn.ReLU{}, nn.NewLinear(7, 3)}); err != nil {
			t.Fatal(name, err)
		}
		after := nn.Named(m)
		for i, p := range before[:len(before)-2] {
			if after[i].Name != p.Name || after[i].Variable != p.Variable {
				t.Errorf("%s: %s became %s", name, p.Name, after[i].Name)
			}
		}
		if last := after[len(after)-1]; last.Name != e.Head+".3.bias" || nn.Head(m) != e.Head {
			t.Errorf("%s: the last parameter is %s", name, last.Name)
		}
		for _, mode := range []graph.Mode{graph.Eval, graph.Train} {
			if y := m.Forward(graph.New(mode).Input("x", tensor.Float32, shape...)); !y.Shape.Equal(tensor.Shape{2, 3}) {
				t.Errorf("%s: the output is %v", name, y.Shape)
			}
		}
	}
}

// Every model can be cut at every path of its activations, and gives the same values there.
func TestCutEveryModelEverywhere(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for _, name := range models.Names() {
		_, m, shape := small(t, name)
		g := graph.New(graph.Eval)
		x := g.Input("x", tensor.Float32, shape...)
		all, err := nn.Activations(m, x)
		if err != nil {
			t.Fatal(name, err)
		}
		outputs := make([]*graph.Node, 0, len(all))
		paths := slices.Sorted(maps.Keys(all))
		for _, path := range paths {
			outputs = append(outputs, all[path])
		}
		images := tensor.New(shape...)
		for i := range images.Data() {
			images.Data()[i] = float32(i*i%97)/97 - 0.5
		}
		p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: outputs})
		if err != nil {
			t.Fatal(name, err)
		}
		if err := p.Feed(x, images); err != nil {
			t.Fatal(err)
		}
		if err := p.Run(0); err != nil {
			t.Fatal(err)
		}
		for i, path := range paths {
			n := all[path]
			f, err := nn.Cut(m, path, shape)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, mode := range []graph.Mode{graph.Eval, graph.Train} {
				if y := f.Forward(graph.New(mode).Input("x", tensor.Float32, shape...)); !y.Shape.Equal(n.Shape) {
					t.Errorf("%s: cut at %s gives %v, the activation is %v", name, path, y.Shape, n.Shape)
				}
			}
			if i != len(paths)/2 {
				continue
			}
			got, err := engine.Call(dev, graph.Eval, f.Forward, images)
			if err != nil {
				t.Fatal(name, path, err)
			}
			want := tensor.New(n.Shape...)
			p.Read(n, want)
			for i, v := range got.Data() {
				if d := v - want.Data()[i]; d > 1e-4 || d < -1e-4 {
					t.Errorf("%s: cut at %s, value %d is %v, the activation's %v", name, path, i, v, want.Data()[i])
					break
				}
			}
		}
	}
}

// A block can be replaced by any module that keeps the shape. Studies then see one block less.
func TestReplaceABlock(t *testing.T) {
	_, m, shape := small(t, "resnet18")
	if err := nn.Replace(m, "layer1.0", nn.Identity{}); err != nil {
		t.Fatal(err)
	}
	y := m.Forward(graph.New(graph.Eval).Input("x", tensor.Float32, shape...))
	net := m.(models.Net)
	seen := 0
	net.Through(graph.New(graph.Eval).Input("x", tensor.Float32, shape...), func(b models.Block, x *graph.Node) *graph.Node {
		seen++
		return b.Forward(x)
	})
	if !y.Shape.Equal(tensor.Shape{2, 1000}) || seen != 3 || len(net.Stages()[0].Blocks) != 0 {
		t.Errorf("the output is %v, and %d blocks were seen", y.Shape, seen)
	}
}
