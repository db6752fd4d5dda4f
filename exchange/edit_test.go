package exchange

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Graphs of other programs can be cut before their head and at every layer with parameters, and
// their heads replaced.
func TestEditForeignGraphs(t *testing.T) {
	edited := 0
	cases := graphsOf(t, "foreign_graphs")
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		net, err := Import(cases[name].model(t, name))
		if err != nil || nn.Head(net) == "" {
			continue
		}
		h, w := net.Input.tracedSize()
		shape := tensor.Shape{1, net.Input.Channels, h, w}
		before := nn.Named(net)
		for path := range net.Layers {
			if _, err := nn.Cut(net, path, shape); err != nil && !strings.Contains(err.Error(), "records no call") {
				t.Errorf("%s: %v", name, err)
			}
		}
		f, err := nn.CutHead(net, shape)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		features := f.Forward(graph.New(graph.Eval).Input("x", tensor.Float32, shape...)).Shape
		head := nn.Head(net)
		l, ok := net.Layers[head].(*nn.Linear)
		if !ok || len(features) != 2 {
			t.Errorf("%s: the features are %v", name, features)
			continue
		}
		in := l.Weight.Value.Shape()[1]
		with := nn.Sequential{nn.NewLinear(in, 5), nn.ReLU{}, nn.NewLinear(5, l.Weight.Value.Shape()[0])}
		if err := nn.ReplaceHead(net, with); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		edited++
		if y := net.Forward(graph.New(graph.Eval).Input("x", tensor.Float32, shape...)); len(y.Shape) != 2 || y.Shape[1] != net.Classes {
			t.Errorf("%s: the output is %v for %d classes", name, y.Shape, net.Classes)
		}
		var names []string
		for _, p := range nn.Named(net) {
			names = append(names, p.Name)
		}
		if !slices.Contains(names, head+".2.weight") || slices.Contains(names, head+".weight") || len(names) < len(before) {
			t.Errorf("%s: the parameters are %v", name, names)
		}
		if err := nn.ReplaceHead(net, l); err != nil { // and back
			t.Errorf("%s: %v", name, err)
		}
		if err := nn.ReplaceHead(net, nn.NewLinear(in+1, 5)); err == nil || !strings.Contains(err.Error(), fmt.Sprint(in)) || net.Layers[head] != nn.Module(l) {
			t.Errorf("%s: a head that does not fit gave %v", name, err)
		}
	}
	if edited < 2 {
		t.Errorf("%d graphs were edited", edited)
	}
}

// The head of a graph that PyTorch exported is replaced for other classes, and an operation
// without parameters cannot be.
func TestReplaceInAnExportedGraph(t *testing.T) {
	m, _, x, _ := load(t, "folded")
	net, err := Import(m)
	if err != nil {
		t.Fatal(err)
	}
	if nn.Head(net) != "fc" {
		t.Fatalf("the head is %q", nn.Head(net))
	}
	in := net.Layers["fc"].(*nn.Linear).Weight.Value.Shape()[1]
	if err := nn.ReplaceHead(net, nn.Sequential{nn.NewLinear(in, 4), nn.ReLU{}, nn.NewLinear(4, 2)}); err != nil {
		t.Fatal(err)
	}
	if y := call(t, net, x); net.Classes != 2 || y.Shape()[1] != 2 {
		t.Errorf("the output is %v for %d classes", y.Shape(), net.Classes)
	}
	for path, want := range map[string]string{"relu": "only layers with parameters", "layer1.0.conv1.x": "no module"} {
		if err := nn.Replace(net, path, nn.Identity{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}
