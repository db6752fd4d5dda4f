package nn

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Features is a module that ends at a cut within a larger one: see Cut and CutHead. What lies
// behind the cut is neither computed nor among the parameters; all others keep their names.
type Features struct {
	Net Module `nn:""` // the whole module, with which Features shares its parameters

	path   string
	input  bool                     // the output is what goes into the module at path
	calls  map[graph.Mode]callAt    // where Forward stops
	hidden map[*graph.Variable]bool // the parameters behind the cut
}

// callAt identifies a call among those of a Forward.
type callAt struct {
	index, first int // of the call, and of the first within it
	identity     any
	batch        bool // the output has as many rows as the input
}

// Cut returns the part of m whose output is that of the module at path, such as layer4 of a
// ResNet for its last feature maps. Paths are those of Activations. input is the shape of an
// input that m takes, for example [1, 3, 224, 224]; the result takes others, too, even where the
// layers behind the cut would not.
//
// The result shares its parameters with m. It is a module like any other: it can be trained,
// summarised, and used within another one.
func Cut(m Module, path string, input tensor.Shape) (*Features, error) {
	return cut(m, path, input, false)
}

// CutHead returns m without its head (see Head): its output is what goes into the head, such as
// the 512 features of an image that a ResNet-18 classifies by. input is as for Cut.
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
			if mode == graph.Train { // then Forward says so
				break
			}
			return nil, err
		}
		w := walk(m)
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

// hide notes the parameters that out does not depend on.
func (f *Features) hide(w *walker, out *graph.Node) {
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

// inputOf returns the node that a call was made on: the only one from before the call that its
// nodes take, apart from variables.
func inputOf(g *graph.Graph, c graph.Call) *graph.Node {
	var found *graph.Node
	for _, n := range g.Nodes[c.First:c.Last] {
		for _, in := range n.Inputs {
			if _, leaf := in.Op.(*graph.Leaf); in.ID < c.First && !leaf && !g.IsKey(in) && (found == nil || in.ID > found.ID) {
				found = in
			}
		}
	}
	if found == nil { // it made no node
		return c.Output
	}
	return found
}

// Path returns the path of the module at the cut.
func (f *Features) Path() string { return f.path }

// reachedCut is the panic that leaves a Forward at the cut of these features.
type reachedCut struct{ *Features }

// Forward computes m up to the cut.
func (f *Features) Forward(x *graph.Node) *graph.Node {
	g, first, calls := x.Graph, len(x.Graph.Nodes), len(x.Graph.Calls)
	at, ok := f.calls[g.Mode]
	if !ok {
		panic(tensor.Misusef("nn: %v: %s did not compute in mode %v when it was cut", f, Class(f.Net), g.Mode))
	}
	out := f.until(x, calls, at)
	if len(out.Shape) > 0 && at.batch && out.Shape[0] != x.Shape[0] {
		panic(tensor.Misusef("nn: %v: %s computes each of several inputs alone; give it one at a time", f, Class(f.Net)))
	}
	g.Record(f, first, out)
	g.Enclose(calls)
	return out
}

// until computes the module up to the call at, and removes what was made after the cut.
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

func (f *Features) String() string {
	if f.input {
		return fmt.Sprintf("Features(%s, before %s)", Class(f.Net), f.path)
	}
	return fmt.Sprintf("Features(%s, to %s)", Class(f.Net), f.path)
}
