package exchange

import (
	"errors"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// quantisedNet quantises all layers of m that can be, by the ranges of their values for the images x.
func quantisedNet(t *testing.T, m nn.Module, x *tensor.Tensor) *quant.Net {
	t.Helper()
	g := graph.New(graph.Eval)
	in := g.Input("x", tensor.Float32, x.Shape()...)
	out := m.Forward(in)
	candidates := quant.Layers(m, out)
	s := &quant.Scheme{Layers: map[string]quant.Layer{}}
	for _, c := range candidates {
		s.Layers[c.Name] = quant.Layer{Weight: quant.WeightScales(c.Weight.Value)}
	}
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	values := quant.Values(candidates, out)
	spec := engine.Spec{}
	for _, v := range values {
		spec.Outputs = append(spec.Outputs, v.Node)
	}
	program, err := engine.Compile(g, engine.NewStore(dev), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(program.Feed(in, x), program.Run(0)); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		y := tensor.New(v.Node.Shape...)
		program.Read(v.Node, y)
		s.Set(v, quant.GridOf(slices.Min(y.Data()), slices.Max(y.Data())))
	}
	return &quant.Net{Module: m, Scheme: s}
}

// stepOf returns the difference of two neighbouring logits, if they had 8 bits.
func stepOf(logits []float32) float64 {
	return float64(slices.Max(logits)-slices.Min(logits)) / math.MaxUint8
}

// quantisedExamples returns quantised networks and their images.
func quantisedExamples(t *testing.T) map[string]struct {
	net  *quant.Net
	conf ExportConfig
	x    *tensor.Tensor
} {
	t.Helper()
	all := map[string]struct {
		net  *quant.Net
		conf ExportConfig
		x    *tensor.Tensor
	}{}
	bottlenecks, err := models.Lookup("resnet50")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(examples()[:3], example{"bottlenecks", shake(bottlenecks.New(models.Config{Classes: 7, Blocks: []int{1, 1, 1, 1}})), ExportConfig{Input: prepare.Input{Channels: 3, Height: 64, Width: 64}}}) {
		in := c.conf.Input
		x := unit(3, in.Channels, in.Height, in.Width)
		e := all[c.name]
		e.net, e.conf, e.x = quantisedNet(t, c.module, x), c.conf, x
		all[c.name] = e
	}
	return all
}

// A quantised network is written with integers. What is read from the file computes its logits within
// one step: only the terms of sums are rounded once more.
func TestExportQuantised(t *testing.T) {
	for name, c := range quantisedExamples(t) {
		t.Run(name, func(t *testing.T) {
			want := call(t, c.net, c.x).Data()
			limit := 1.0
			if name == "bottlenecks" { // whose random weights make two steps of any value that is rounded once more
				limit = 4
			}
			m := exported(t, c.net, c.conf)
			integers, convolutions := 0, 0
			for _, i := range m.Graph.Initialisers {
				if len(i.Tensor.Shape()) > 1 && m.Graph.Types[i.Name] == onnx.Int8 {
					integers++
				}
			}
			if integers != len(c.net.Scheme.Layers) || integers == 0 {
				t.Errorf("%d weights are integers, want %d", integers, len(c.net.Scheme.Layers))
			}
			for i, n := range m.Graph.Nodes { // ONNX Runtime fuses only what stands between the two
				if term := n.Op == "Conv" && i > 0 && m.Graph.Nodes[i-1].Op == "DequantizeLinear"; term && m.Graph.Nodes[i+1].Op == "QuantizeLinear" {
					convolutions++
				}
			}
			sums := 0
			for _, l := range c.net.Scheme.Layers {
				if l.Sum != nil || l.Output != nil {
					sums++
				}
			}
			if convolutions != sums {
				t.Errorf("%d convolutions without a ReLU are followed by QuantizeLinear, want %d", convolutions, sums)
			}
			net := imported(t, m)
			if off := steps(call(t, net, c.x).Data(), want, stepOf(want)); !(off <= limit) {
				t.Errorf("differs by %.2f steps", off)
			}
			found, err := quantisedAgain(net)
			if err != nil {
				t.Fatal(err)
			}
			if found == nil {
				return
			}
			if off := steps(call(t, found, c.x).Data(), call(t, net, c.x).Data(), stepOf(want)); !(off <= 0.01) {
				t.Errorf("the recognised model differs by %.2f steps from the graph", off)
			}
			if got, want := slices.Sorted(maps.Keys(found.Scheme.Layers)), slices.Sorted(maps.Keys(c.net.Scheme.Layers)); !slices.Equal(got, want) {
				t.Errorf("recognised are the layers %q, want %q", got, want)
			}
		})
	}
}

// quantisedAgain recognises a network; it returns nil if it is none of the registry.
func quantisedAgain(n *Network) (*quant.Net, error) {
	_, m, err := Recognise(n, "")
	if m == nil {
		return nil, nil
	}
	found, ok := m.(*quant.Net)
	if !ok {
		return nil, errors.New("recognised without a scheme")
	}
	return found, err
}
