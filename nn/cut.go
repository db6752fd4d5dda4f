package nn

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Cut returns the part of m that ends with the module at path, such as layer4 of a ResNet for
// its last feature maps. Paths are those of Activations. input is the shape of an input that m
// takes, for example [1, 3, 224, 224]. The result also takes inputs of other shapes, even if
// the layers after the cut would not.
//
// The result shares its parameters with m. It is a module like any other: it can be trained,
// summarised, and used within another one.
func Cut(m Module, path string, input tensor.Shape) (*Features, error) {
	return cut(m, path, input, false)
}

// CutHead returns m without its head (see Head). The output is the input of the head, such as the
// 512 features by which a ResNet-18 classifies an image. input is as for Cut.
func CutHead(m Module, input tensor.Shape) (*Features, error) {
	head := Head(m)
	if head == "" {
		return nil, fmt.Errorf("%s has no layer with parameters that could be its head; choose a module by its path", Class(m))
	}
	return cut(m, head, input, true)
}

func cut(m Module, path string, input tensor.Shape, before bool) (*Features, error) {
	Named(m) // gives parameters the names that errors use
	f := &Features{Net: m, path: path, input: before, calls: map[graph.Mode]callAt{}}
	for _, mode := range []graph.Mode{graph.Eval, graph.Train} {
		x := graph.New(mode).Input("input", tensor.Float32, input...)
		if _, err := traceOn(x, m); err != nil {
			if mode == graph.Train { // Forward reports it if it is called in this mode
				break
			}
			return nil, err
		}
		w := walkFields(m)
		c, err := w.call(m, w.paths(topCalls(x.Graph.Calls, 0)), path)
		if err != nil {
			return nil, err
		}
		out := c.Output
		if before {
			out = inputOf(x.Graph, c.Call)
		}
		f.calls[mode] = callAt{c.number, c.first(), identity(c.Module), len(out.Shape) > 0 && out.Shape[0] == x.Shape[0]}
		if mode == graph.Eval {
			f.hide(w, out)
		}
	}
	return f, nil
}

// hide records the parameters that out does not depend on.
func (f *Features) hide(w *fieldWalker, out *graph.Node) {
	needed, reached := map[*graph.Node]bool{out: true}, map[*graph.Variable]bool{}
	for _, n := range slices.Backward(out.Graph.Nodes[:out.ID+1]) {
		if !needed[n] {
			continue
		}
		for _, in := range n.Inputs {
			needed[in] = true
		}
		if l, ok := n.Op.(*graph.Leaf); ok {
			reached[l.Variable] = true
		}
	}
	f.hidden = map[*graph.Variable]bool{}
	for _, p := range w.parameters {
		if !reached[p.Variable] {
			f.hidden[p.Variable] = true
		}
	}
}

// inputOf returns the input of a call: the last node before the call that its nodes take, apart
// from variables.
func inputOf(g *graph.Graph, c graph.Call) *graph.Node {
	var found *graph.Node
	for _, n := range g.Nodes[c.First:c.Last] {
		for _, in := range n.Inputs {
			if _, leaf := in.Op.(*graph.Leaf); in.ID < c.First && !leaf && !g.IsKey(in) && (found == nil || in.ID > found.ID) {
				found = in
			}
		}
	}
	if found == nil { // the call added no node
		return c.Output
	}
	return found
}

// Forward computes m up to the cut.
func (f *Features) Forward(x *graph.Node) *graph.Node {
	g, first, calls := x.Graph, len(x.Graph.Nodes), len(x.Graph.Calls)
	at, ok := f.calls[g.Mode]
	if !ok {
		panic(tensor.Misusef("nn: %v: %s did not compute in mode %v when it was cut", f, Class(f.Net), g.Mode))
	}
	out := f.until(x, calls, at)
	if len(out.Shape) > 0 && at.batch && out.Shape[0] != x.Shape[0] {
		panic(tensor.Misusef("nn: %v: %s computes each of several inputs separately; give it one at a time", f, Class(f.Net)))
	}
	g.Record(f, first, out)
	g.Enclose(calls)
	return out
}

// until computes the network up to the call at, and removes the nodes after the cut.
func (f *Features) until(x *graph.Node, calls int, at callAt) (out *graph.Node) {
	g := x.Graph
	stop := g.Watch(func(i int) {
		if i == calls+at.index && identity(g.Calls[i].Module) == at.identity {
			panic(reachedCut{f})
		}
	})
	defer func() {
		stop()
		r := recover()
		if c, ok := r.(reachedCut); !ok || c.Features != f {
			if r == nil {
				r = tensor.Misusef("nn: %v: %s was changed before the cut; cut it again", f, Class(f.Net))
			}
			panic(r)
		}
		c := g.Calls[calls+at.index]
		if out = c.Output; f.input {
			out = inputOf(g, c)
			g.Truncate(max(c.First, out.ID+1), calls+at.first)
		}
	}()
	f.Net.Forward(x)
	return nil
}
