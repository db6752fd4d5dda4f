package nn

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
)

// Activations adds m to the graph of x, as m.Forward does, and returns the outputs of the modules
// at the given paths, keyed by path, like torchvision's create_feature_extractor. Without paths,
// it returns the outputs of all modules. The path "" stands for m.
//
// Paths are those of Named, such as layer1.0.conv2 or layer4. A module has an output here if it
// records its calls, as all modules of this package and of package models do, or if it is in a
// Sequential. If a module is called several times, its path stands for the first call, and the
// suffixes _1, _2 and so on for later ones: layer1.0.relu_1 is the output of a basic block. A
// layer that a Forward creates itself is named by its class, such as layer1.0.(ReLU).
//
// The nodes are like all others: engine.Spec.Outputs can list them, and graph.Gradients can
// differentiate with respect to them. The error lists the modules near an unknown path.
func Activations(m Module, x *graph.Node, paths ...string) (map[string]*graph.Node, error) {
	calls := len(x.Graph.Calls)
	Named(m)
	if _, err := traceOn(x, m); err != nil {
		return nil, err
	}
	w := walkFields(m)
	all := w.paths(topCalls(x.Graph.Calls, calls))
	out := map[string]*graph.Node{}
	if len(paths) == 0 {
		for path, c := range all {
			out[path] = c.Output
		}
		return out, nil
	}
	for _, path := range paths {
		c, err := w.call(m, all, path)
		if err != nil {
			return nil, err
		}
		out[path] = c.Output
	}
	return out, nil
}

// paths returns the calls, keyed by the paths that Activations documents.
func (w *fieldWalker) paths(outermost []*calls) map[string]*calls {
	all := map[string]*calls{}
	byPath := map[string][]*calls{}
	var visit func(within []*calls, parent *namedModule)
	visit = func(within []*calls, parent *namedModule) {
		for i, p := range w.callModules(within, parent) {
			byPath[p.path] = append(byPath[p.path], within[i])
			visit(within[i].within, p)
		}
	}
	visit(outermost, nil)
	for path, list := range byPath {
		slices.SortFunc(list, func(a, b *calls) int { return a.number - b.number })
		all[path] = list[0]
		if path == "" {
			all[path] = list[len(list)-1] // the outermost
		}
	}
	for path, list := range byPath {
		for i, c := range list[1:] {
			if name := fmt.Sprintf("%s_%d", path, i+1); path != "" && all[name] == nil {
				all[name] = c
			}
		}
	}
	return all
}

// call returns the call at a path.
func (w *fieldWalker) call(m Module, all map[string]*calls, path string) (*calls, error) {
	if c := all[path]; c != nil {
		return c, nil
	}
	for _, p := range w.modules {
		if p.path == path {
			return nil, fmt.Errorf("%s of %s records no call: it is not called, or its Forward does not end with Graph.Record; choose a module within it or after it", path, Class(m))
		}
	}
	return nil, w.unknown(m, path)
}

// first returns the index of the first call within c, or that of c.
func (c *calls) first() int {
	n := c.number
	for _, d := range c.within {
		n = min(n, d.first())
	}
	return n
}
