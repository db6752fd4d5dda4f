package exchange

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
)

// Head returns the path of the graph's last linear layer, or "" if it has none. It implements
// nn.Header.
func (n *Network) Head() string { return n.head }

// Replace replaces the layer at path by with. It implements nn.Replacer, and nn.Replace calls it.
// Only the layers with parameters, which Layers lists, can be replaced; other operations, such as
// an activation, cannot. Replace traces the new network once. If that fails, it changes nothing
// and returns an error.
func (n *Network) Replace(path string, with nn.Module) error {
	old, ok := n.Layers[path]
	if !ok {
		if _, err := nn.Submodule(n, path); err != nil {
			return fmt.Errorf("%w; of an ONNX graph only layers with parameters can be replaced", err)
		}
		return fmt.Errorf("%s is within a layer of the ONNX graph; replace that layer", path)
	}
	if n.originals == nil {
		n.originals, n.replaced = map[string]nn.Module{}, map[nn.Module]nn.Module{}
	}
	if n.originals[path] == nil { // the nodes refer to the file's layer
		n.originals[path] = old
	}
	n.Layers[path], n.replaced[n.originals[path]] = with, with
	h, w := n.Input.tracedSize()
	nn.Named(n)
	y, err := n.outputShape(1, h, w)
	if err == nil && len(y) != 2 {
		err = fmt.Errorf("the output is %v for one image, where a classifier gives [N, classes]", y)
	}
	if err != nil {
		n.Layers[path], n.replaced[n.originals[path]] = old, old
		return fmt.Errorf("%s of the ONNX graph cannot be a %s: %w", path, nn.Class(with), err)
	}
	n.Classes = y[1]
	return nil
}

// current returns the module that has replaced a layer of the file, or else the layer itself.
func (n *Network) current(layer nn.Module) nn.Module {
	if with, ok := n.replaced[layer]; ok {
		return with
	}
	return layer
}

// forward applies a layer of the file, or the module that has replaced it. The weight of the file's
// own layer is quantised as in the file.
func (n *Network) forward(layer nn.Module, x *graph.Node) *graph.Node {
	with := n.current(layer)
	op, ok := n.quantised[layer]
	if !ok || with != layer {
		return with.Forward(x)
	}
	g, first := x.Graph, len(x.Graph.Nodes)
	apply := func(layer graph.Op, x *graph.Node, weight, bias *nn.Parameter) *graph.Node {
		in := []*graph.Node{x, g.Apply(op, g.Variable(weight))}
		if bias != nil {
			in = append(in, g.Variable(bias))
		}
		return g.Apply(layer, in...)
	}
	switch l := layer.(type) {
	case *nn.Conv2d:
		return g.Record(l, first, apply(l.Geometry, x, l.Weight, l.Bias))
	case *nn.Linear:
		to := x.Shape.Clone()
		last := len(to) - 1
		y := apply(graph.Linear{}, x.Reshape(to[:last].Numel(), to[last]), l.Weight, l.Bias)
		to[last] = y.Shape[1]
		return g.Record(l, first, y.Reshape(to...))
	}
	return with.Forward(x)
}
